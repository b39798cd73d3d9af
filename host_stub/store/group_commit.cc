#include "host_stub/store/group_commit.h"

#include <algorithm>
#include <latch>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/store/deduplication.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"
#include "plugin/base/thread.h"

namespace host_stub {
namespace {

using Kind = TransactionResult::Kind;

constexpr std::chrono::milliseconds kLongestReopenPause(5'000);
constexpr int64_t kRetryAfterSeconds = 5;
constexpr std::chrono::milliseconds kLongestConflictPause(100);
constexpr size_t kStateWorksOfATransaction = 64;
// Forgotten keys are deleted when nobody waits, or when there are too many of them.
constexpr size_t kForgottenKeysWhenIdle = 1'000;
constexpr size_t kForgottenKeysAlways = 100'000;
// Deleting incidents takes one part in so many of the writer's time, at most.
constexpr int kTimesOfARetentionStep = 5;

}  // namespace

absl::StatusOr<std::unique_ptr<GroupCommit>> GroupCommit::Start(std::unique_ptr<Database> database,
                                                                Options options) {
  std::unique_ptr<GroupCommit> store(new GroupCommit(std::move(database), std::move(options)));
  if (absl::Status status = store->Open(); !status.ok()) return status;
  store->subscribers_->StartAfter(store->last_id_);
  store->retain_at_ = Clock::now() + absl::ToChronoMilliseconds(store->options_.retention_pause);
  store->thread_ = base::StartThread("store-writer", [store = store.get()] { store->Run(); });
  return store;
}

GroupCommit::GroupCommit(std::unique_ptr<Database> database, Options options)
    : options_(std::move(options)),
      database_(std::move(database)),
      state_queue_(options_.limits),
      index_(database_->is_shared() ? INT64_MAX : options_.limits.remembered_delivery_keys),
      reopen_pause_(absl::ToChronoMilliseconds(options_.first_reopen_pause)),
      retention_(options_.retention) {}

// What callers do, on any thread.

absl::Status GroupCommit::Create(Submission* submission) {
  const absl::StatusOr<int64_t> checked = CheckBatch(*submission, options_.limits);
  if (!checked.ok()) return checked.status();
  const int64_t bytes = *checked;
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return absl::UnavailableError("the incident store is closed");
    if (batches_ + 1 > options_.limits.queued_batches) {
      return absl::UnavailableError(absl::StrCat(
          "the incident store is busy: ", base::Counted(batches_, "batch waits", "batches wait")));
    }
    if (bytes_ + bytes > options_.limits.queued_bytes) {
      return absl::UnavailableError(absl::StrCat("the incident store is busy: ", bytes_,
                                                 " bytes wait, and ", bytes, " more are too many"));
    }
    ++batches_;
    bytes_ += bytes;
    submission->queued_bytes = bytes;
    submission->next = nullptr;
    (last_ == nullptr ? first_ : last_->next) = submission;
    last_ = submission;
    wake = std::exchange(writer_waits_, false);
  }
  if (wake) wake_.notify_one();
  return absl::OkStatus();
}

void GroupCommit::Wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
  }
  wake_.notify_one();
}

std::unique_ptr<IncidentSubscription> GroupCommit::Subscribe(
    std::function<void(int64_t)> committed) {
  if (database_->is_shared()) return database_->Subscribe(std::move(committed));
  return subscribers_->Add(std::move(committed));
}

int64_t GroupCommit::last_id() const {
  return database_->is_shared() ? database_->last_id() : last_id_.load(std::memory_order_acquire);
}

StoreStatistics GroupCommit::statistics() const {
  StoreStatistics statistics = database_->sizes();
  statistics.commit_durations = commit_durations_.counts();
  statistics.incidents_of_commits = incidents_of_commits_.counts();
  statistics.deleted_incidents = deleted_incidents_;
  statistics.failed_commits = failed_commits_.load(std::memory_order_relaxed);
  statistics.lost_connections = lost_connections_.load(std::memory_order_relaxed);
  const std::lock_guard<std::mutex> lock(mutex_);
  statistics.queued_batches = batches_;
  statistics.queued_bytes = bytes_;
  return statistics;
}

void GroupCommit::SetRetention(const Retention& retention) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    new_retention_ = retention;
    retention_is_new_ = true;
  }
  Wake();
}

absl::Status GroupCommit::health() const {
  const std::lock_guard<std::mutex> lock(health_mutex_);
  return health_;
}

void GroupCommit::Close() {
  std::call_once(close_once_, [this] {
    state_queue_.Close();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
    if (transaction_ != nullptr) transaction_->PrepareToClose();
    transaction_.reset();
  });
}

absl::Status GroupCommit::GetContext(absl::string_view uid, absl::string_view key,
                                     ContextDone done) {
  absl::Status status = state_queue_.PushGet(uid, key, std::move(done));
  if (status.ok()) Wake();
  return status;
}

absl::Status GroupCommit::SetContext(absl::string_view uid, absl::string_view key,
                                     std::string value, ContextDone done) {
  absl::Status status = state_queue_.PushSet(uid, key, std::move(value), std::move(done));
  if (status.ok()) Wake();
  return status;
}

absl::Status GroupCommit::RunAndWait(std::function<absl::Status(StateTables&)> run,
                                     const AuditEntry* audit, int64_t version) {
  absl::Status result;
  std::latch finished{1};
  const auto run_all = [&](StateTables& tables) {
    absl::Status status;
    if (version != 0) status = tables.AdvanceVersion(version);
    if (status.ok()) status = run(tables);
    if (!status.ok() || audit == nullptr) return status;
    return tables.WriteAudit(*audit, options_.limits.audit_entries);
  };
  absl::Status pushed = state_queue_.Push({run_all, [&](const absl::Status& status) {
                                             result = status;
                                             finished.count_down();
                                           }});
  if (!pushed.ok()) return pushed;
  Wake();
  finished.wait();
  return result;
}

absl::StatusOr<std::vector<StoredInstance>> GroupCommit::ListInstances(int64_t* version) {
  std::vector<StoredInstance> list;
  absl::Status status = RunAndWait([&](StateTables& tables) {
    const absl::StatusOr<int64_t> before = tables.ReadVersion();
    if (!before.ok()) return before.status();
    if (version != nullptr) *version = *before;
    absl::StatusOr<std::vector<StoredInstance>> read = tables.ReadInstances();
    if (read.ok()) list = *std::move(read);
    return read.status();
  });
  if (!status.ok()) return status;
  return list;
}

absl::Status GroupCommit::SaveInstance(const StoredInstance& instance, const AuditEntry* audit,
                                       int64_t version) {
  return RunAndWait([&](StateTables& tables) { return tables.WriteInstance(instance); }, audit,
                    version);
}

absl::Status GroupCommit::DeleteInstance(absl::string_view uid, const AuditEntry* audit,
                                         int64_t version) {
  return RunAndWait(
      [uid = std::string(uid)](StateTables& tables) { return tables.DeleteInstance(uid); }, audit,
      version);
}

absl::Status GroupCommit::AddAudit(const AuditEntry& entry) {
  return RunAndWait([](StateTables&) { return absl::OkStatus(); }, &entry);
}

absl::StatusOr<std::vector<AuditEntry>> GroupCommit::ListAudit(int64_t before, int64_t most) {
  std::vector<AuditEntry> list;
  absl::Status status = RunAndWait([&](StateTables& tables) {
    absl::StatusOr<std::vector<AuditEntry>> read = tables.ReadAudit(before, most);
    if (read.ok()) list = *std::move(read);
    return read.status();
  });
  if (!status.ok()) return status;
  return list;
}

// What the writer's thread does.

void GroupCommit::Run() {
  while (true) {
    Submission* list = nullptr;
    if (!TakeAll(NextTurn(), &list) && state_queue_.empty()) return;
    if (transaction_ == nullptr && Clock::now() >= reopen_at_) TryToReopen();
    WriteAll(list);
    if (const auto due = NextTurn(); due.has_value() && Clock::now() >= *due) RunMaintenance();
    RunState();
  }
}

bool GroupCommit::TakeAll(std::optional<Clock::time_point> latest, Submission** list) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (first_ == nullptr && !closed_ && !woken_) {
    writer_waits_ = true;
    if (!latest.has_value()) {
      wake_.wait(lock);
    } else if (wake_.wait_until(lock, *latest) == std::cv_status::timeout) {
      break;
    }
  }
  writer_waits_ = false;
  woken_ = false;
  if (std::exchange(retention_is_new_, false)) {
    retention_ = new_retention_;
    retain_at_ = Clock::now();
  }
  *list = std::exchange(first_, nullptr);
  last_ = nullptr;
  return !closed_ || *list != nullptr;
}

bool GroupCommit::IsQueueEmpty() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return first_ == nullptr;
}

// When there is something to do though nobody asks; nothing: never.
std::optional<GroupCommit::Clock::time_point> GroupCommit::NextTurn() const {
  if (transaction_ == nullptr) return reopen_at_;
  auto next = transaction_->next_maintenance();
  const auto add = [&next](Clock::time_point at) { next = std::min(at, next.value_or(at)); };
  if (index_.has_expiring()) add(expire_at_);
  if (retention_.is_set()) add(retain_at_);
  return next;
}

// Cuts the list into groups of one transaction. A batch is never cut: an oversized batch gets its
// own transaction.
void GroupCommit::WriteAll(Submission* list) {
  const size_t most = static_cast<size_t>(options_.limits.incidents_of_a_commit);
  while (list != nullptr) {
    group_.clear();
    size_t incidents = 0;
    while (list != nullptr && (group_.empty() || incidents + list->incidents.size() <= most)) {
      incidents += list->incidents.size();
      group_.push_back(list);
      list = list->next;
    }
    WriteGroup();
    CompleteGroup();
    RunMaintenance();
  }
}

void GroupCommit::WriteGroup() {
  written_.clear();
  const int64_t now_mono_ns = base::MonotonicNanoseconds();
  for (Submission* batch : group_) {
    if (!FailIfPastDeadline(*batch, now_mono_ns)) written_.push_back(batch);
  }
  if (written_.empty()) return;
  const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(options_.now()));
  const auto write = [&](std::span<Submission* const> batches) {
    return UntilItIsKnown([&] { return Write(batches, now); });
  };
  const TransactionResult result = write(written_);
  if (result.kind != Kind::kBadBatch || written_.size() == 1) return Settle(written_, result);
  // One caller's batch must not fail the others: each gets a transaction of its own.
  for (Submission* const& batch : written_) {
    const std::span<Submission* const> alone(&batch, 1);
    Settle(alone, write(alone));
  }
}

// Runs the transaction. Where another host came first, or the connection to a shared database was
// lost and nothing was committed, runs it again. A connection that was lost is opened again.
TransactionResult GroupCommit::UntilItIsKnown(absl::FunctionRef<TransactionResult()> transaction) {
  const auto patience = absl::ToChronoMilliseconds(options_.patience);
  const Clock::time_point give_up = Clock::now() + patience;
  for (std::chrono::milliseconds pause(1);; pause = std::min(2 * pause, kLongestConflictPause)) {
    TransactionResult result = transaction();
    if (result.kind == Kind::kConflict) {
      std::this_thread::sleep_for(pause);
    } else if (result.connection_is_lost()) {
      if (!database_->is_shared()) {
        LoseConnection(result.status);
        return result;
      }
      if (!OpenAgain(result.status, std::max(give_up, Clock::now() + patience))) return result;
      if (result.kind == Kind::kUnknownConnectionLost) {
        const std::optional<bool> committed = transaction_->WasCommitted();
        if (!committed.has_value()) return result;
        if (*committed) return {};
      }
    } else {
      return result;
    }
    if (Clock::now() >= give_up) return {Kind::kRolledBack, result.status};
  }
}

bool GroupCommit::OpenAgain(const absl::Status& why, Clock::time_point deadline) {
  LoseConnection(why);
  do {
    std::this_thread::sleep_until(std::min(reopen_at_, deadline));
    TryToReopen();
  } while (transaction_ == nullptr && Clock::now() < deadline);
  return transaction_ != nullptr;
}

TransactionResult GroupCommit::End(const absl::Status& written) {
  TransactionResult result = transaction_->End(written);
  const bool failed = result.kind != Kind::kCommitted && result.kind != Kind::kConflict;
  // A name that is taken is no fault of the store, nor is another host that was faster.
  if (failed && !absl::IsAlreadyExists(result.status) && !absl::IsAborted(result.status)) {
    failed_commits_.fetch_add(1, std::memory_order_relaxed);
  }
  return result;
}

// Writes these batches in one transaction and fills their `created`.
TransactionResult GroupCommit::Write(std::span<Submission* const> batches, absl::Time now) {
  if (transaction_ == nullptr) return {Kind::kRolledBack, health_};
  const int64_t begun_ns = base::MonotonicNanoseconds();
  absl::Status written = transaction_->Begin();
  if (written.ok() && database_->is_shared()) {
    index_ = DuplicateIndex(INT64_MAX);
    written = transaction_->ReadKeysOf(batches,
                                       [this](DeliveryKey key) { index_.Stage(std::move(key)); });
    index_.Commit(now);
  }
  for (size_t i = 0; written.ok() && i < batches.size(); ++i) {
    written = WriteBatch(*batches[i], now, *transaction_, index_);
  }
  TransactionResult result = End(written);
  if (result.kind != Kind::kCommitted) {
    index_.Abandon();
    return result;
  }
  KeepKeys(batches, now, index_);
  int64_t last = last_id_;
  int64_t incidents = 0;
  for (const Submission* batch : batches) {
    if (!batch->dry_run) incidents += static_cast<int64_t>(batch->created.size());
    for (const CreatedIncident& incident : batch->created) last = std::max(last, incident.id);
  }
  if (incidents > 0) {  // not for what only tried
    incidents_of_commits_.Add(incidents, StoreStatistics::kIncidentBounds);
    commit_durations_.Add(base::MonotonicNanoseconds() - begun_ns, StoreStatistics::kCommitBounds);
  }
  last_id_.store(last, std::memory_order_release);
  return result;
}

void GroupCommit::Settle(std::span<Submission* const> group, const TransactionResult& result) {
  if (result.kind == Kind::kCommitted) {
    SetHealth(absl::OkStatus());
    for (Submission* batch : group) {
      batch->outcome = CreationOutcome::kCreated;
      batch->status = absl::OkStatus();
      batch->retry_after_seconds = 0;
    }
    return;
  }
  const bool unknown = result.kind == Kind::kUnknownConnectionLost;
  const bool later_is_better = result.kind != Kind::kBadBatch;
  for (Submission* batch : group) {
    SetFailure(*batch, unknown ? CreationOutcome::kUnknown : CreationOutcome::kNotCreated,
               result.status, later_is_better ? kRetryAfterSeconds : 0);
  }
  if (later_is_better && !result.connection_is_lost()) SetHealth(result.status);
}

// Hands each sink its batches of the group, in their order.
void GroupCommit::CompleteGroup() {
  finished_.clear();
  int64_t bytes = 0;
  for (Submission* batch : group_) {
    bytes += batch->queued_bytes;
    batch->next = nullptr;
    const auto known =
        std::find_if(finished_.begin(), finished_.end(),
                     [batch](const Finished& finished) { return finished.sink == batch->sink; });
    if (known == finished_.end()) {
      finished_.push_back({batch->sink, batch, batch});
    } else {
      known->last->next = batch;
      known->last = batch;
    }
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    batches_ -= static_cast<int64_t>(group_.size());
    bytes_ -= bytes;
  }
  for (const Finished& finished : finished_) finished.sink->Complete(finished.first);
  subscribers_->Notify(last_id_);
}

// A bounded part of what waits: incidents come in between.
void GroupCommit::RunState() {
  std::vector<StateWork> works = state_queue_.Take(kStateWorksOfATransaction);
  if (works.empty()) return;
  RunStateGroup(works);
  RunMaintenance();
  if (!state_queue_.empty()) Wake();
}

void GroupCommit::RunStateGroup(std::span<StateWork> works) {
  if (transaction_ == nullptr) {
    for (StateWork& work : works) work.finish(health_);
    return;
  }
  const TransactionResult result = UntilItIsKnown([&]() -> TransactionResult {
    if (transaction_ == nullptr) return {Kind::kRolledBack, health_};
    absl::Status written = transaction_->Begin();
    for (size_t i = 0; written.ok() && i < works.size(); ++i) {
      written = works[i].run(*transaction_);
    }
    return End(written);
  });
  if (result.kind == Kind::kBadBatch && works.size() > 1) {
    for (StateWork& work : works) RunStateGroup(std::span(&work, 1));
    return;
  }
  absl::Status told = result.status;
  if (result.kind == Kind::kUnknownConnectionLost) {
    told = absl::UnknownError(
        absl::StrCat(result.status.message(), "; it is unknown whether this was stored"));
  }
  for (StateWork& work : works) work.finish(told);
}

void GroupCommit::RunMaintenance() {
  if (transaction_ == nullptr) return;
  if (index_.has_expiring() && Clock::now() >= expire_at_) {
    index_.Expire(options_.now());
    expire_at_ = Clock::now() + absl::ToChronoMilliseconds(options_.expiry_pause);
  }
  if (retention_.is_set() && Clock::now() >= retain_at_) DeleteOldIncidents();
  if (transaction_ == nullptr) return;
  if (absl::Status status = transaction_->RunMaintenance(); !status.ok()) {
    LoseConnection(status);
  } else {
    if (database_->is_shared()) SetHealth(absl::OkStatus());
    DeleteForgottenKeys();
  }
}

void GroupCommit::DeleteForgottenKeys() {
  std::deque<int64_t>& rows = index_.forgotten_rows();
  if (rows.size() < kForgottenKeysWhenIdle) return;
  if (rows.size() < kForgottenKeysAlways && !IsQueueEmpty()) return;
  // As many as came past the bound: one commit may forget more than are deleted when idle.
  const size_t past = rows.size() - std::min(rows.size(), kForgottenKeysAlways);
  const size_t count = std::min(rows.size(), std::max(kForgottenKeysWhenIdle, past));
  absl::Status written = transaction_->Begin();
  if (written.ok()) written = transaction_->DeleteKeys(rows, count);
  const TransactionResult result = End(written);
  if (result.kind == Kind::kCommitted) {
    rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
  } else if (result.connection_is_lost()) {
    LoseConnection(result.status);
  }
}

// One step. The next one comes soon while there is more, but lets batches pass for most of the
// time.
void GroupCommit::DeleteOldIncidents() {
  const Clock::time_point begun = Clock::now();
  const absl::Time created_before = retention_.days > 0
                                        ? options_.now() - absl::Hours(24) * retention_.days
                                        : absl::InfinitePast();
  Transaction::Deleted deleted;
  absl::Status written = transaction_->Begin();
  if (written.ok()) {
    written = transaction_->DeleteOldest(created_before, retention_.bytes,
                                         begun + absl::ToChronoNanoseconds(options_.retention_step),
                                         deleted);
  }
  const TransactionResult result = End(written);
  const Clock::time_point ended = Clock::now();
  retain_at_ = ended + absl::ToChronoMilliseconds(options_.retention_pause);
  if (result.kind == Kind::kCommitted) {
    deleted_incidents_ += deleted.incidents;
    if (deleted.more) retain_at_ = ended + (kTimesOfARetentionStep - 1) * (ended - begun);
  } else if (result.connection_is_lost()) {
    LoseConnection(result.status);
  }
}

void GroupCommit::LoseConnection(const absl::Status& why) {
  lost_connections_.fetch_add(1, std::memory_order_relaxed);
  transaction_.reset();
  database_->Close();
  reopen_at_ = Clock::now() + reopen_pause_;
  SetHealth(absl::UnavailableError(why.message()));
}

void GroupCommit::TryToReopen() {
  if (absl::Status status = Open(); !status.ok()) {
    reopen_pause_ = std::min(2 * reopen_pause_, kLongestReopenPause);
    return LoseConnection(status);
  }
  reopen_pause_ = absl::ToChronoMilliseconds(options_.first_reopen_pause);
  SetHealth(absl::OkStatus());
  subscribers_->Notify(last_id_);  // of what was unknown and is there
}

// For the first time or again: what is remembered in memory is what the database has.
absl::Status GroupCommit::Open() {
  absl::StatusOr<std::unique_ptr<Transaction>> opened = database_->Open();
  if (!opened.ok()) return opened.status();
  const absl::StatusOr<int64_t> last = (*opened)->ReadLastId();
  if (!last.ok()) return last.status();
  if (identity_.empty()) {
    absl::StatusOr<std::string> identity = (*opened)->ReadIdentity();
    if (!identity.ok()) return identity.status();
    identity_ = *std::move(identity);
  }
  index_ = DuplicateIndex(options_.limits.remembered_delivery_keys);
  const absl::Time now = options_.now();
  absl::Status status = (*opened)->ReadKeys([&](DeliveryKey key) {
    index_.Stage(std::move(key));
    index_.Commit(now);
  });
  if (!status.ok()) return status;
  expire_at_ = Clock::now() + absl::ToChronoMilliseconds(options_.expiry_pause);
  transaction_ = *std::move(opened);
  last_id_.store(*last, std::memory_order_release);
  return absl::OkStatus();
}

void GroupCommit::SetHealth(const absl::Status& health) {
  if (health.ok() && healthy_) return;
  healthy_ = health.ok();
  const std::lock_guard<std::mutex> lock(health_mutex_);
  health_ = health;
}

}  // namespace host_stub
