// Passes every call on to another store, a memory store unless one is given. Tests override what
// they want to hold up, or to see otherwise.
#ifndef HOST_STUB_STORE_TESTING_FORWARDING_STORE_H_
#define HOST_STUB_STORE_TESTING_FORWARDING_STORE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "host_stub/store/incident_store.h"
#include "host_stub/store/memory_store.h"

namespace host_stub {

class ForwardingStore : public IncidentStore {
 public:
  explicit ForwardingStore(std::unique_ptr<IncidentStore> store = NewMemoryStore({}))
      : store_(std::move(store)) {}

  absl::Status Create(Submission* submission) override { return store_->Create(submission); }
  absl::StatusOr<StoredIncident> Get(int64_t id) override { return store_->Get(id); }
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) override {
    return store_->List(query);
  }
  int64_t last_id() const override { return store_->last_id(); }
  std::string identity() const override { return store_->identity(); }
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed) override {
    return store_->Subscribe(std::move(committed));
  }
  void SetRetention(const Retention& retention) override { store_->SetRetention(retention); }
  StoreStatistics statistics() const override { return store_->statistics(); }
  absl::Status health() const override { return store_->health(); }
  void Close() override { store_->Close(); }

 private:
  const std::unique_ptr<IncidentStore> store_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_TESTING_FORWARDING_STORE_H_
