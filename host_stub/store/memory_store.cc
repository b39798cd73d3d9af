#include "host_stub/store/memory_store.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "host_stub/store/deduplication.h"
#include "host_stub/store/duplicate_index.h"
#include "host_stub/store/fifo_arena.h"
#include "host_stub/store/incident_filter.h"
#include "host_stub/store/state_queue.h"
#include "host_stub/store/subscriber_list.h"
#include "plugin/base/clock.h"

namespace host_stub {
namespace {

// How many incidents one page looks at where there is a filter: whoever creates one waits.
constexpr int64_t kIdsOfAPage = 1'000;
constexpr int64_t kDroppedAtATime = 1'000;

struct Instance {
  std::string uid;
  std::string name;
  std::string brand;
};

// What rows of a batch share.
struct Shared {
  std::string end;  // of their details
  std::string request_address;
  std::string request_query;
};

struct Row {
  int64_t instance = 0;
  absl::Time created;
  absl::string_view name;  // all of these are one text of the arena
  absl::string_view type;
  absl::string_view occurred;
  absl::string_view details;
  absl::string_view warnings;            // each ends with a line break
  std::shared_ptr<const Shared> shared;  // may be null
  bool counts_shared = false;            // the one row of them that does
  double severity = 0;

  int64_t bytes() const {
    return static_cast<int64_t>(
        sizeof(Row) + name.size() + type.size() + occurred.size() + details.size() +
        warnings.size() +
        (counts_shared
             ? shared->end.size() + shared->request_address.size() + shared->request_query.size()
             : 0));
  }
};

// Copies texts one after the other.
class Copier {
 public:
  explicit Copier(char* at) : at_(at) {}

  absl::string_view Copy(absl::string_view text) {
    char* const begin = at_;
    at_ = std::copy(text.begin(), text.end(), at_);
    return {begin, text.size()};
  }
  // All but the last `without` bytes of the last text.
  absl::string_view CopyAll(std::span<const absl::string_view> texts, size_t without) {
    char* const begin = at_;
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool is_last = i + 1 == texts.size();
      Copy(texts[i].substr(0, texts[i].size() - (is_last ? without : 0)));
    }
    return {begin, static_cast<size_t>(at_ - begin)};
  }
  absl::string_view CopyLines(std::span<const absl::string_view> texts) {
    char* const begin = at_;
    for (const absl::string_view text : texts) {
      at_ = std::replace_copy(text.begin(), text.end(), at_, '\n', ' ');
      *at_++ = '\n';
    }
    return {begin, static_cast<size_t>(at_ - begin)};
  }

 private:
  char* at_;
};

// Rows in order of their ids, the first of which is first_id.
class MemoryTables : public IncidentTables {
 public:
  absl::StatusOr<int64_t> InstanceNumber(const Submission& batch, bool may_add) override {
    int64_t number = NumberOf(batch.instance_uid);
    if (!may_add) return number;
    if (number == 0) {
      instances_.push_back({std::string(batch.instance_uid), {}, {}});
      number = static_cast<int64_t>(instances_.size());
      numbers_.emplace(batch.instance_uid, number);
    }
    Instance& instance = instances_[static_cast<size_t>(number - 1)];
    if (instance.name != batch.instance_name) instance.name = std::string(batch.instance_name);
    if (instance.brand != batch.source_brand) instance.brand = std::string(batch.source_brand);
    return number;
  }

  absl::StatusOr<int64_t> AddIncident(int64_t instance, absl::Time created,
                                      const NewIncident& incident, SharedParts& shared) override {
    const bool shares_end = shared.EndsDetailsOf(incident);
    const size_t shared_bytes = shares_end ? shared.end.size() : 0;
    Copier copier(texts_.Append(TextBytes(incident) - shared_bytes));
    Row& row = rows_.emplace_back(Row{.instance = instance, .created = created});
    row.name = copier.Copy(incident.name);
    row.type = copier.Copy(incident.type);
    row.occurred = copier.Copy(incident.occurred);
    row.details = copier.CopyAll(incident.details, shared_bytes);
    row.warnings = copier.CopyLines(incident.warnings);
    row.severity = incident.severity;
    if (shares_end || shared.has_request()) {
      std::shared_ptr<const Shared>& kept = shares_end ? shared_ : shared_request_;
      row.counts_shared = std::exchange(shares_end ? shared.number : shared.request_number, 1) == 0;
      if (row.counts_shared) {
        kept = std::make_shared<const Shared>(Shared{std::string(shares_end ? shared.end : ""),
                                                     std::string(shared.request_address),
                                                     std::string(shared.request_query)});
      }
      row.shared = kept;
    }
    bytes_ += row.bytes();
    return last_id();
  }

  absl::Status AddKey(DeliveryKey& key) override {
    key.row = ++keys_;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ReadFirsts(const DeliveryKey& key) override { return key.firsts; }

  absl::Status ReadFirst(int64_t id, CreatedIncident& duplicate) override {
    if (const Row* row = Find(id); row != nullptr) {
      duplicate.created = row->created;
      *duplicate.first = {std::string(row->name), std::string(row->type),
                          std::string(row->occurred), row->severity};
    }
    return absl::OkStatus();
  }

  // There must be one.
  void DropOldest() {
    bytes_ -= rows_.front().bytes();
    rows_.pop_front();
    texts_.DropOldest();
    ++first_id_;
  }

  const Row* oldest() const { return rows_.empty() ? nullptr : &rows_.front(); }
  int64_t count() const { return static_cast<int64_t>(rows_.size()); }
  int64_t bytes() const { return bytes_; }

  int64_t first_id() const { return first_id_; }
  int64_t last_id() const { return first_id_ + static_cast<int64_t>(rows_.size()) - 1; }
  int64_t NumberOf(absl::string_view uid) const {
    const auto found = numbers_.find(uid);
    return found == numbers_.end() ? 0 : found->second;
  }

  const Row* Find(int64_t id) const {
    return id < first_id_ || id > last_id() ? nullptr : &rows_[static_cast<size_t>(id - first_id_)];
  }

  StoredIncident Read(int64_t id, const Row& row) const {
    const Instance& instance = instances_[static_cast<size_t>(row.instance - 1)];
    const Shared shared = row.shared == nullptr ? Shared() : *row.shared;
    return {id,
            instance.uid,
            instance.name,
            instance.brand,
            std::string(row.name),
            std::string(row.type),
            std::string(row.occurred),
            row.created,
            absl::StrCat(row.details, shared.end),
            absl::StrSplit(row.warnings, '\n', absl::SkipEmpty()),
            row.severity,
            shared.request_address,
            shared.request_query};
  }

 private:
  FifoArena texts_;
  std::shared_ptr<const Shared> shared_;  // of the batch that is being written, as the next
  std::shared_ptr<const Shared> shared_request_;
  std::deque<Row> rows_;
  int64_t first_id_ = 1;
  int64_t bytes_ = 0;
  int64_t keys_ = 0;  // that were ever added
  std::vector<Instance> instances_;
  std::map<std::string, int64_t, std::less<>> numbers_;  // index + 1, by uid
};

class MemoryStateTables : public StateTables {
 public:
  absl::StatusOr<std::string> ReadContext(const std::string& uid, const std::string& key) override {
    const auto found = context_.find({uid, key});
    if (found == context_.end()) return absl::NotFoundError("nothing is set under this key");
    return found->second;
  }

  absl::Status WriteContext(const std::string& uid, const std::string& key,
                            const std::string& value) override {
    context_[{uid, key}] = value;
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<StoredInstance>> ReadInstances() override {
    std::vector<StoredInstance> list;
    for (const auto& [name, instance] : instances_) list.push_back(instance);
    return list;
  }

  absl::Status WriteInstance(const StoredInstance& instance) override {
    const auto found = instances_.find(instance.name);
    if (found != instances_.end() && found->second.uid != instance.uid) {
      return absl::AlreadyExistsError(
          absl::StrCat("an instance \"", instance.name, "\" exists already"));
    }
    instances_[instance.name] = instance;
    return absl::OkStatus();
  }

  absl::Status DeleteInstance(const std::string& uid) override {
    std::erase_if(instances_, [&uid](const auto& entry) { return entry.second.uid == uid; });
    std::erase_if(context_, [&uid](const auto& entry) { return entry.first.first == uid; });
    return absl::OkStatus();
  }

  absl::Status WriteAudit(const AuditEntry& entry, int64_t most_kept) override {
    const int64_t last = audit_.empty() ? 0 : audit_.back().number;
    audit_.push_back(entry);
    audit_.back().number = last + 1;
    if (static_cast<int64_t>(audit_.size()) > most_kept) audit_.pop_front();
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<AuditEntry>> ReadAudit(int64_t before, int64_t most) override {
    std::vector<AuditEntry> list;
    for (auto entry = audit_.rbegin(); entry != audit_.rend(); ++entry) {
      if (before > 0 && entry->number >= before) continue;
      if (static_cast<int64_t>(list.size()) >= most) break;
      list.push_back(*entry);
    }
    return list;
  }

 private:
  std::map<std::pair<std::string, std::string>, std::string> context_;
  std::map<std::string, StoredInstance> instances_;  // by name
  std::deque<AuditEntry> audit_;
};

class MemoryStore : public Store {
 public:
  explicit MemoryStore(MemoryStoreOptions options)
      : options_(std::move(options)),
        state_queue_(options_.limits),
        retention_(options_.retention),
        index_(options_.limits.remembered_delivery_keys) {}

  absl::Status GetContext(absl::string_view uid, absl::string_view key, ContextDone done) override {
    absl::Status status = state_queue_.PushGet(uid, key, std::move(done));
    if (status.ok()) RunState();
    return status;
  }
  absl::Status SetContext(absl::string_view uid, absl::string_view key, std::string value,
                          ContextDone done) override {
    absl::Status status = state_queue_.PushSet(uid, key, std::move(value), std::move(done));
    if (status.ok()) RunState();
    return status;
  }
  absl::StatusOr<std::vector<StoredInstance>> ListInstances(int64_t* version) override {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    if (version != nullptr) *version = 0;
    return state_.ReadInstances();
  }
  absl::Status SaveInstance(const StoredInstance& instance, const AuditEntry* audit,
                            int64_t) override {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    const absl::Status status = state_.WriteInstance(instance);
    return status.ok() && audit != nullptr ? WriteAudit(*audit) : status;
  }
  absl::Status DeleteInstance(absl::string_view uid, const AuditEntry* audit, int64_t) override {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    const absl::Status status = state_.DeleteInstance(std::string(uid));
    return status.ok() && audit != nullptr ? WriteAudit(*audit) : status;
  }
  absl::Status AddAudit(const AuditEntry& entry) override {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    return WriteAudit(entry);
  }
  absl::StatusOr<std::vector<AuditEntry>> ListAudit(int64_t before, int64_t most) override {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    return state_.ReadAudit(before, most);
  }

  absl::Status Create(Submission* submission) override {
    const absl::StatusOr<int64_t> bytes = CheckBatch(*submission, options_.limits);
    if (!bytes.ok()) return bytes.status();
    int64_t last = 0;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (closed_) return absl::UnavailableError("the incident store is closed");
      Write(*submission);
      last = tables_.last_id();
    }
    submission->next = nullptr;
    submission->sink->Complete(submission);
    subscribers_->Notify(last);
    return absl::OkStatus();
  }

  absl::StatusOr<StoredIncident> Get(int64_t id) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    DropWhatRetentionDeletes();
    const Row* row = tables_.Find(id);
    if (row == nullptr) return absl::NotFoundError(absl::StrCat("there is no incident ", id));
    return tables_.Read(id, *row);
  }

  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    DropWhatRetentionDeletes();
    if (query.complete && query.after_id + 1 < tables_.first_id()) {
      return DeletedError(query.after_id);
    }
    if (query.complete && query.after_id > tables_.last_id()) return AheadError(query.after_id);
    int64_t least = std::max(query.after_id + 1, tables_.first_id());
    int64_t most = query.LastOf(tables_.last_id());
    IncidentPageFiller page(query);
    page.CutRange(kIdsOfAPage, least, most);
    const int64_t step = query.newest_first ? -1 : 1;
    for (int64_t id = query.newest_first ? most : least; id >= least && id <= most; id += step) {
      if (page.is_full()) return page.EndBeforeNext();
      page.Take(tables_.Read(id, *tables_.Find(id)));
    }
    return page.EndOfRange();
  }

  int64_t last_id() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return tables_.last_id();
  }

  std::string identity() const override { return identity_; }

  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed) override {
    return subscribers_->Add(std::move(committed));
  }

  void SetRetention(const Retention& retention) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    retention_ = retention;
  }

  StoreStatistics statistics() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return {.deleted_incidents = deleted_};
  }

  absl::Status health() const override { return absl::OkStatus(); }

  void Close() override {
    state_queue_.Close();
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }

 private:
  void Write(Submission& batch) {
    if (FailIfPastDeadline(batch, base::MonotonicNanoseconds())) return;
    const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(options_.now()));
    batch.status = WriteBatch(batch, now, tables_, index_);
    batch.outcome = CreationOutcome::kCreated;
    batch.retry_after_seconds = 0;
    Submission* const one = &batch;
    KeepKeys({&one, 1}, now, index_);
    index_.forgotten_rows().clear();
    while (tables_.count() > options_.kept_incidents || tables_.bytes() > options_.kept_bytes) {
      tables_.DropOldest();
    }
    DropWhatRetentionDeletes(static_cast<int64_t>(batch.incidents.size()));
  }

  // A bounded part at each use of the store: whoever uses it waits. `added` were added just now.
  void DropWhatRetentionDeletes(int64_t added = 0) {
    if (!retention_.is_set()) return;
    const absl::Time created_before = retention_.days > 0
                                          ? options_.now() - absl::Hours(24) * retention_.days
                                          : absl::InfinitePast();
    for (int64_t most = kDroppedAtATime + added; most > 0 && tables_.oldest() != nullptr; --most) {
      const bool too_much = retention_.bytes > 0 && tables_.bytes() > retention_.bytes;
      if (tables_.oldest()->created >= created_before && !too_much) return;
      tables_.DropOldest();
      ++deleted_;
    }
  }

  // With state_mutex_ held.
  absl::Status WriteAudit(const AuditEntry& entry) {
    return state_.WriteAudit(entry, options_.limits.audit_entries);
  }

  // Runs everything that waits, also what other threads have pushed. Work is taken and run under
  // one lock, so that it runs in the order in which it was pushed. A callback runs without the
  // lock, since it may call the store.
  void RunState() {
    std::vector<StateWork> works;
    std::vector<absl::Status> results;
    {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      works = state_queue_.Take(SIZE_MAX);
      for (StateWork& work : works) results.push_back(work.run(state_));
    }
    for (size_t i = 0; i < works.size(); ++i) works[i].finish(results[i]);
  }

  const MemoryStoreOptions options_;
  const std::string identity_ = absl::StrCat(absl::Hex(std::random_device()(), absl::kZeroPad8),
                                             absl::Hex(std::random_device()(), absl::kZeroPad8));
  StateQueue state_queue_;  // for its bounds and checks
  std::mutex state_mutex_;
  MemoryStateTables state_;
  const std::shared_ptr<SubscriberList> subscribers_ = std::make_shared<SubscriberList>();
  mutable std::mutex mutex_;
  bool closed_ = false;
  Retention retention_;
  int64_t deleted_ = 0;
  MemoryTables tables_;
  DuplicateIndex index_;
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore(MemoryStoreOptions options) {
  return std::make_unique<MemoryStore>(std::move(options));
}

}  // namespace host_stub
