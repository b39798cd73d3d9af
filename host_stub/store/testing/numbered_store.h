// A store whose ids are replaced by numbers: 1 for the first incident that was created, and so on.
// So tests of what every store promises can name ids.
#ifndef HOST_STUB_STORE_TESTING_NUMBERED_STORE_H_
#define HOST_STUB_STORE_TESTING_NUMBERED_STORE_H_

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "host_stub/store/testing/forwarding_store.h"

namespace host_stub {

class NumberedStore : public ForwardingStore, public CompletionSink {
 public:
  explicit NumberedStore(std::unique_ptr<IncidentStore> store)
      : ForwardingStore(std::move(store)) {}

  absl::Status Create(Submission* submission) override {
    const std::lock_guard<std::mutex> lock(creating_);
    {
      const std::lock_guard<std::mutex> ids(mutex_);
      sinks_[submission] = std::exchange(submission->sink, this);
    }
    absl::Status status = ForwardingStore::Create(submission);
    if (!status.ok()) GiveBackSink(submission);
    return status;
  }
  absl::StatusOr<StoredIncident> Get(int64_t number) override {
    absl::StatusOr<StoredIncident> incident = ForwardingStore::Get(IdOf(number));
    if (incident.ok()) incident->id = number;
    return incident;
  }
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) override {
    IncidentQuery with_ids = query;
    for (int64_t* const id : {&with_ids.after_id, &with_ids.before_id, &with_ids.through_id}) {
      *id = IdOf(*id);
    }
    absl::StatusOr<IncidentPage> page = ForwardingStore::List(with_ids);
    if (!page.ok()) return page;
    for (StoredIncident& incident : page->incidents) incident.id = NumberOf(incident.id);
    page->resume_id = NumberOf(page->resume_id);
    return page;
  }
  int64_t last_id() const override {
    auto* const store = const_cast<NumberedStore*>(this);
    store->ForwardingStore::List({.limit = 1}).IgnoreError();  // looks at what there is
    return store->NumberOf(ForwardingStore::last_id());
  }
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed) override {
    return ForwardingStore::Subscribe([this, committed = std::move(committed)](int64_t id) {
      // A reader may be told before whoever creates is.
      const auto page = ForwardingStore::List({.limit = kMostIncidentsOfAPage});
      if (!page.ok()) return;
      for (const StoredIncident& incident : page->incidents) NumberOf(incident.id);
      committed(NumberOf(id));
    });
  }

 private:
  void Complete(Submission* list) override {
    while (list != nullptr) {
      Submission* const next = std::exchange(list->next, nullptr);
      for (CreatedIncident& incident : list->created) incident.id = NumberOf(incident.id);
      GiveBackSink(list)->Complete(list);
      list = next;
    }
  }
  CompletionSink* GiveBackSink(Submission* submission) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = sinks_.find(submission);
    submission->sink = found->second;
    sinks_.erase(found);
    return submission->sink;
  }
  // Ids that nobody has had get one that nobody has.
  int64_t IdOf(int64_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (number <= 0) return number;
    const auto last = static_cast<int64_t>(ids_.size());
    if (number <= last) return ids_[static_cast<size_t>(number - 1)];
    return (ids_.empty() ? 0 : *std::max_element(ids_.begin(), ids_.end())) + number - last;
  }
  int64_t NumberOf(int64_t id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (id == 0) return 0;
    const auto number = std::find(ids_.begin(), ids_.end(), id) - ids_.begin() + 1;
    if (number > static_cast<int64_t>(ids_.size())) ids_.push_back(id);
    return number;
  }

  std::mutex creating_;
  std::mutex mutex_;
  std::map<Submission*, CompletionSink*> sinks_;
  std::vector<int64_t> ids_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_NUMBERED_STORE_H_
