// Group commit over a database: the store that is durable.
//
// One thread writes. It takes all batches that wait, up to Limits::incidents_of_a_commit incidents,
// commits them in one transaction and completes each; it never waits for more to come. Reads go
// past it. It knows no engine: what it needs of one is in transaction.h.
//
// Faults. Where a transaction was rolled back, its batches complete as not created, UNAVAILABLE,
// and the next ones are tried at once, so service resumes when the disk does. Where the connection
// is lost, as after a failed sync, everything is closed and opened again, with growing pauses;
// until then batches complete at once as not created, UNAVAILABLE, and reads are UNAVAILABLE. A
// transaction that may have been committed nevertheless completes as unknown, unless the database,
// opened again at once, can tell.
#ifndef HOST_STUB_STORE_GROUP_COMMIT_H_
#define HOST_STUB_STORE_GROUP_COMMIT_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/duplicate_index.h"
#include "host_stub/store/state_queue.h"
#include "host_stub/store/store.h"
#include "host_stub/store/subscriber_list.h"
#include "host_stub/store/transaction.h"
#include "plugin/limits/limits.h"

namespace host_stub {

class GroupCommit : public Store {
 public:
  struct Options {
    webhook::Limits limits = {};
    std::function<absl::Time()> now = absl::Now;
    absl::Duration first_reopen_pause = absl::Milliseconds(50);
    // How often keys that have expired are freed while no incident comes.
    absl::Duration expiry_pause = absl::Minutes(1);
    Retention retention = {};
    // How long a shared database is asked again: where other hosts come first, and what became of a
    // commit whose answer was lost.
    absl::Duration patience = absl::Seconds(3);
    // How long one transaction deletes incidents, while batches wait; and how often the store looks
    // whether there are any to delete.
    absl::Duration retention_step = absl::Milliseconds(2);
    absl::Duration retention_pause = absl::Seconds(1);
  };

  // Opens the database and starts the writer's thread. An error is the database's.
  static absl::StatusOr<std::unique_ptr<GroupCommit>> Start(std::unique_ptr<Database> database,
                                                            Options options);
  ~GroupCommit() override { Close(); }

  absl::Status Create(Submission* submission) override;
  absl::StatusOr<StoredIncident> Get(int64_t id) override { return database_->Get(id); }
  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) override {
    return database_->List(query);
  }
  int64_t last_id() const override;
  std::string identity() const override { return identity_; }
  std::unique_ptr<IncidentSubscription> Subscribe(std::function<void(int64_t)> committed) override;
  void SetRetention(const Retention& retention) override;
  absl::Status health() const override;
  StoreStatistics statistics() const override;
  std::string durability() const override { return database_->durability(); }
  std::string warning() const override { return database_->warning(); }
  void Close() override;

  absl::Status GetContext(absl::string_view uid, absl::string_view key, ContextDone done) override;
  absl::Status SetContext(absl::string_view uid, absl::string_view key, std::string value,
                          ContextDone done) override;
  absl::StatusOr<std::vector<StoredInstance>> ListInstances(int64_t* version = nullptr) override;
  absl::Status TellOfHost(const HostReport& report) override {
    return database_->TellOfHost(report);
  }
  absl::StatusOr<std::vector<InstanceOnHost>> ListOnHosts(
      const std::vector<std::string>& uids) override {
    return database_->ListOnHosts(uids);
  }
  bool is_shared() const override { return database_->is_shared(); }
  absl::Status CheckKeepsSecrets() const override { return database_->CheckKeepsSecrets(); }
  absl::StatusOr<int64_t> InstancesVersion() override { return database_->InstancesVersion(); }
  absl::Status SaveInstance(const StoredInstance& instance, const AuditEntry* audit,
                            int64_t version) override;
  absl::Status DeleteInstance(absl::string_view uid, const AuditEntry* audit,
                              int64_t version) override;
  absl::Status AddAudit(const AuditEntry& entry) override;
  absl::StatusOr<std::vector<AuditEntry>> ListAudit(int64_t before, int64_t most) override;

 private:
  using Clock = std::chrono::steady_clock;

  GroupCommit(std::unique_ptr<Database> database, Options options);
  void Wake();
  // With `audit`, if it is not null, in the same transaction.
  absl::Status RunAndWait(std::function<absl::Status(StateTables&)> run,
                          const AuditEntry* audit = nullptr, int64_t version = 0);

  // All below: the writer's thread.
  absl::Status Open();
  void Run();
  // All that wait, oldest first. False: the store is closed, and nothing more will come.
  bool TakeAll(std::optional<Clock::time_point> latest, Submission** list);
  bool IsQueueEmpty() const;
  std::optional<Clock::time_point> NextTurn() const;
  void WriteAll(Submission* list);
  void WriteGroup();
  TransactionResult Write(std::span<Submission* const> batches, absl::Time now);
  TransactionResult UntilItIsKnown(absl::FunctionRef<TransactionResult()> transaction);
  bool OpenAgain(const absl::Status& why, Clock::time_point deadline);
  TransactionResult End(const absl::Status& written);
  void Settle(std::span<Submission* const> group, const TransactionResult& result);
  void CompleteGroup();
  void RunState();
  void RunStateGroup(std::span<StateWork> works);
  void RunMaintenance();
  void DeleteForgottenKeys();
  void DeleteOldIncidents();
  void LoseConnection(const absl::Status& why);
  void TryToReopen();
  void SetHealth(const absl::Status& health);

  const Options options_;
  const std::unique_ptr<Database> database_;
  const std::shared_ptr<SubscriberList> subscribers_ = std::make_shared<SubscriberList>();
  StateQueue state_queue_;

  // Batches that wait: bounded, in order, linked without an allocation.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool writer_waits_ = false;
  bool closed_ = false;
  bool woken_ = false;
  Submission* first_ = nullptr;
  Submission* last_ = nullptr;
  int64_t batches_ = 0;  // waiting or with the writer
  int64_t bytes_ = 0;
  Retention new_retention_;
  bool retention_is_new_ = false;

  Histogram<StoreStatistics::kCommitBounds.size()> commit_durations_;
  Histogram<StoreStatistics::kIncidentBounds.size()> incidents_of_commits_;
  std::atomic<int64_t> failed_commits_ = 0;
  std::atomic<int64_t> lost_connections_ = 0;
  std::string identity_;  // set when the store is opened for the first time
  std::atomic<int64_t> last_id_ = 0;
  std::atomic<int64_t> deleted_incidents_ = 0;
  mutable std::mutex health_mutex_;
  absl::Status health_;

  // The writer's.
  std::unique_ptr<Transaction> transaction_;  // null: the connection was lost
  DuplicateIndex index_;
  bool healthy_ = true;
  Clock::time_point reopen_at_;
  Clock::time_point expire_at_;
  std::chrono::milliseconds reopen_pause_;
  Retention retention_;
  Clock::time_point retain_at_;
  std::vector<Submission*> group_;    // reused from group to group
  std::vector<Submission*> written_;  // those of it that are not past their deadline
  struct Finished {
    CompletionSink* sink;
    Submission* first;
    Submission* last;
  };
  std::vector<Finished> finished_;

  std::once_flag close_once_;
  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_GROUP_COMMIT_H_
