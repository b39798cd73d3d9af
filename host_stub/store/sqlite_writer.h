// The one thread that writes: drains the queue, commits, completes; survives a failing disk.
#ifndef HOST_STUB_STORE_SQLITE_WRITER_H_
#define HOST_STUB_STORE_SQLITE_WRITER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/checkpointer.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/sqlite_session.h"
#include "host_stub/store/state_queue.h"
#include "host_stub/store/submission_queue.h"
#include "host_stub/store/subscriber_list.h"
#include "plugin/limits/limits.h"

namespace host_stub {

class SqliteWriter {
 public:
  struct Options {
    std::string path;
    std::string vfs;
    webhook::Limits limits;
    std::function<absl::Time()> now;
    std::shared_ptr<SubscriberList> subscribers;
    absl::Duration first_reopen_pause = absl::Milliseconds(50);
    Checkpointer::Options checkpointer = {};
  };

  static absl::StatusOr<std::unique_ptr<SqliteWriter>> Start(Options options);
  ~SqliteWriter() { Close(); }

  // Any thread; as IncidentStore has them.
  absl::Status Create(Submission* submission);
  // What is pushed to the state queue is run between two commits of incidents, after Nudge.
  StateQueue& state_queue() { return state_queue_; }
  void Nudge() { queue_.Nudge(); }
  int64_t last_id() const { return last_id_.load(std::memory_order_acquire); }
  absl::Status health() const;
  void Close();

 private:
  using Clock = std::chrono::steady_clock;

  SqliteWriter(Options options, std::unique_ptr<SqliteSession> session,
               std::unique_ptr<Checkpointer> checkpointer, bool left_a_log);

  // All below: the writer's thread.
  void Run();
  void WriteAll(Submission* list);
  void WriteGroup(std::span<Submission* const> group) noexcept;
  void Settle(std::span<Submission* const> group, const TransactionResult& result);
  void RunState();
  void RunStateGroup(std::span<StateWork> works);
  void LoseSession(const absl::Status& why) noexcept;
  void TryToReopen() noexcept;
  void LoseSessionIfDiskFailed(const absl::Status& status);
  void NoteCommit();
  void KeepHouse();
  void WipeLog(bool wait);
  std::optional<Clock::time_point> NextTurn() const;
  void KeepHouseOrLose() noexcept;
  void CompleteGroup() noexcept;
  void NotifySubscribers() noexcept;
  void SetHealth(const absl::Status& health);

  const Options options_;
  SubmissionQueue queue_;
  StateQueue state_queue_;
  std::atomic<int64_t> last_id_;
  mutable std::mutex health_mutex_;
  absl::Status health_;
  bool healthy_ = true;  // the writer's own copy

  std::unique_ptr<SqliteSession> session_;  // null: lost
  std::unique_ptr<Checkpointer> checkpointer_;
  Clock::time_point reopen_at_;
  std::chrono::milliseconds reopen_pause_;

  // The log holds a secret that was removed from the database.
  bool log_holds_secret_;
  Clock::time_point wipe_at_;

  // Reused from group to group.
  std::vector<Submission*> group_;    // all of it
  std::vector<Submission*> written_;  // those of it that are not past their deadline
  struct Finished {
    CompletionSink* sink;
    Submission* first;
    Submission* last;
  };
  std::vector<Finished> finished_;

  std::once_flag closed_;
  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_WRITER_H_
