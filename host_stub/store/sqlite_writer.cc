#include "host_stub/store/sqlite_writer.h"

#include <sys/stat.h>

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "host_stub/store/batch_writer.h"
#include "plugin/base/clock.h"

namespace host_stub {
namespace {

using Kind = TransactionResult::Kind;

constexpr std::chrono::milliseconds kLongestReopenPause(5'000);
constexpr int64_t kRetryAfterSeconds = 5;
// Forgotten keys are deleted when nobody waits, or when there are too many of them.
constexpr size_t kForgottenKeysWhenIdle = 1'000;
constexpr size_t kStateWorksOfATransaction = 64;
constexpr std::chrono::milliseconds kPauseBetweenWipes(1'000);
constexpr size_t kForgottenKeysAlways = 100'000;
// One for each of a host's threads; more cost memory in the middle of a commit.
constexpr size_t kMostSinks = 256;

absl::Status TooLate() noexcept try {
  return absl::DeadlineExceededError("the batch's time was over before it was begun");
} catch (const std::bad_alloc&) {
  return absl::Status(absl::StatusCode::kDeadlineExceeded, "");
}

bool IsFilled(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteWriter>> SqliteWriter::Start(Options options) {
  // A process that was killed may have left a secret there.
  const bool left_a_log = IsFilled(options.path + "-wal");
  absl::StatusOr<std::unique_ptr<SqliteSession>> session = SqliteSession::Open(
      options.path, options.vfs, options.limits.remembered_delivery_keys, options.now());
  if (!session.ok()) return session.status();
  absl::StatusOr<std::unique_ptr<Checkpointer>> checkpointer =
      Checkpointer::Start(options.path, options.vfs, options.checkpointer);
  if (!checkpointer.ok()) return checkpointer.status();
  return std::unique_ptr<SqliteWriter>(new SqliteWriter(std::move(options), std::move(*session),
                                                        std::move(*checkpointer), left_a_log));
}

SqliteWriter::SqliteWriter(Options options, std::unique_ptr<SqliteSession> session,
                           std::unique_ptr<Checkpointer> checkpointer, bool left_a_log)
    : options_(std::move(options)),
      queue_(options_.limits),
      state_queue_(options_.limits),
      last_id_(session->last_id()),
      session_(std::move(session)),
      checkpointer_(std::move(checkpointer)),
      reopen_pause_(absl::ToChronoMilliseconds(options_.first_reopen_pause)),
      log_holds_secret_(left_a_log) {
  // A group and what became of it need no memory later.
  const auto most = static_cast<size_t>(options_.limits.queued_batches) + 1;
  group_.reserve(most);
  written_.reserve(most);
  finished_.reserve(kMostSinks);
  NoteCommit();
  if (log_holds_secret_) WipeLog(false);
  options_.subscribers->StartAfter(last_id());
  thread_ = std::thread([this] { Run(); });
}

absl::Status SqliteWriter::Create(Submission* submission) {
  const absl::StatusOr<int64_t> bytes = CheckBatch(*submission, options_.limits);
  if (!bytes.ok()) return bytes.status();
  return queue_.Push(submission, *bytes);
}

absl::Status SqliteWriter::health() const {
  const std::lock_guard<std::mutex> lock(health_mutex_);
  return health_;
}

void SqliteWriter::SetHealth(const absl::Status& health) {
  if (health.ok() && healthy_) return;
  healthy_ = health.ok();
  const std::lock_guard<std::mutex> lock(health_mutex_);
  health_ = health;
}

void SqliteWriter::Close() {
  std::call_once(closed_, [this] {
    state_queue_.Close();
    queue_.Close();
    thread_.join();
    checkpointer_->Stop();
    if (session_ != nullptr && checkpointer_->MayEmptyLog()) {
      bool all_copied = true;
      session_->EmptyLog(true, all_copied).status().IgnoreError();
    }
    session_.reset();
    checkpointer_.reset();
  });
}

void SqliteWriter::Run() {
  while (true) {
    const SubmissionQueue::Taken taken = queue_.TakeAll(NextTurn());
    if (taken.closed && state_queue_.empty()) return;
    if (session_ == nullptr && Clock::now() >= reopen_at_) TryToReopen();
    WriteAll(taken.list);
    try {
      RunState();
      if (log_holds_secret_ && Clock::now() >= wipe_at_) WipeLog(false);
    } catch (const std::exception&) {
      // Out of memory; what waits is still there.
    }
  }
}

// When there is something to do though nobody asks; nothing: never.
std::optional<SqliteWriter::Clock::time_point> SqliteWriter::NextTurn() const {
  if (session_ == nullptr) return reopen_at_;
  if (log_holds_secret_) return wipe_at_;
  return std::nullopt;
}

// A reader may be in the way; then once more in a while, without holding up who writes.
void SqliteWriter::WipeLog(bool wait) {
  if (session_ == nullptr) return;
  wipe_at_ = Clock::now() + kPauseBetweenWipes;
  if (!checkpointer_->MayEmptyLog() || !checkpointer_->BeginCopy(wait)) return;
  bool all_copied = true;
  const absl::StatusOr<bool> emptied = session_->EmptyLog(wait, all_copied);
  checkpointer_->EndCopy(all_copied);
  log_holds_secret_ = !emptied.ok() || !*emptied;
  LoseSessionIfDiskFailed(emptied.status());
}

// A bounded part of what waits: incidents come in between.
void SqliteWriter::RunState() {
  std::vector<StateWork> works = state_queue_.Take(kStateWorksOfATransaction);
  if (works.empty()) return;
  RunStateGroup(works);
  if (session_ != nullptr) KeepHouse();
  if (!state_queue_.empty()) queue_.Nudge();
}

void SqliteWriter::RunStateGroup(std::span<StateWork> works) {
  if (session_ == nullptr) {
    for (StateWork& work : works) work.finish(health_);
    return;
  }
  const TransactionResult result = session_->RunState(works);
  NoteCommit();
  // Also where it was undone: pages may have reached the log. Before the caller is told.
  if (session_->TakeRemovedSecret()) {
    log_holds_secret_ = true;
    if (result.kind == Kind::kCommitted) WipeLog(true);
  }
  if (result.kind == Kind::kBadBatch && works.size() > 1) {
    for (StateWork& work : works) RunStateGroup(std::span(&work, 1));
    return;
  }
  if (result.kind == Kind::kUndoneLost || result.kind == Kind::kUnknownLost) {
    LoseSession(result.status);
  }
  for (StateWork& work : works) work.finish(result.status);
}

// Out of memory, what is in use may be half done; the next batches try again.
void SqliteWriter::KeepHouseOrLose() noexcept {
  try {
    KeepHouse();
  } catch (const std::exception&) {
    LoseSession(absl::Status(absl::StatusCode::kUnavailable, ""));
  }
}

// Cuts the list into groups of one transaction. A batch is never cut, so a great one is alone.
void SqliteWriter::WriteAll(Submission* list) {
  const size_t most = static_cast<size_t>(options_.limits.incidents_of_a_commit);
  while (list != nullptr) {
    group_.clear();
    size_t incidents = 0;
    while (list != nullptr && (group_.empty() || incidents + list->incidents.size() <= most)) {
      incidents += list->incidents.size();
      group_.push_back(list);
      list = list->next;
    }
    WriteGroup(group_);
    CompleteGroup();
    if (session_ != nullptr) KeepHouseOrLose();
  }
}

void SqliteWriter::WriteGroup(std::span<Submission* const> group) noexcept {
  written_.clear();
  const int64_t now_mono_ns = base::MonotonicNanoseconds();
  for (Submission* batch : group) {
    if (IsPastDeadline(*batch, now_mono_ns)) {
      SetFailure(*batch, CreationOutcome::kNotCreated, TooLate(), 0);
    } else if (session_ == nullptr) {
      SetFailure(*batch, CreationOutcome::kNotCreated, health_, kRetryAfterSeconds);
    } else {
      written_.push_back(batch);
    }
  }
  if (written_.empty()) return;
  const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(options_.now()));
  const TransactionResult result = session_->Write(written_, now);
  NoteCommit();
  if (result.kind != Kind::kBadBatch || written_.size() == 1) return Settle(written_, result);
  // One caller's batch must not fail the others: each gets a transaction of its own.
  for (Submission* const& batch : written_) {
    const std::span<Submission* const> alone(&batch, 1);
    if (session_ == nullptr) {
      SetFailure(*batch, CreationOutcome::kNotCreated, health_, kRetryAfterSeconds);
    } else {
      const TransactionResult one = session_->Write(alone, now);
      NoteCommit();
      Settle(alone, one);
    }
  }
}

void SqliteWriter::Settle(std::span<Submission* const> group, const TransactionResult& result) {
  if (result.kind == Kind::kCommitted) {
    SetHealth(absl::OkStatus());
    for (Submission* batch : group) {
      batch->outcome = CreationOutcome::kCreated;
      batch->status = absl::OkStatus();
      batch->retry_after_seconds = 0;
    }
    return;
  }
  const bool unknown = result.kind == Kind::kUnknownLost;
  const bool later_is_better = result.kind != Kind::kBadBatch;
  for (Submission* batch : group) {
    SetFailure(*batch, unknown ? CreationOutcome::kUnknown : CreationOutcome::kNotCreated,
               result.status, later_is_better ? kRetryAfterSeconds : 0);
  }
  if (!later_is_better) return;
  SetHealth(result.status);
  if (result.kind != Kind::kUndone) LoseSession(result.status);
}

void SqliteWriter::LoseSession(const absl::Status& why) noexcept {
  session_.reset();
  reopen_at_ = Clock::now() + reopen_pause_;
  absl::Status health(absl::StatusCode::kUnavailable, "");
  try {
    health = absl::UnavailableError(why.message());
  } catch (const std::bad_alloc&) {
    // Without the reason.
  }
  SetHealth(health);
}

void SqliteWriter::TryToReopen() noexcept try {
  absl::StatusOr<std::unique_ptr<SqliteSession>> session = SqliteSession::Open(
      options_.path, options_.vfs, options_.limits.remembered_delivery_keys, options_.now());
  if (!session.ok()) {
    reopen_pause_ = std::min(2 * reopen_pause_, kLongestReopenPause);
    LoseSession(session.status());
    return;
  }
  session_ = std::move(*session);
  NoteCommit();
  reopen_pause_ = absl::ToChronoMilliseconds(options_.first_reopen_pause);
  last_id_.store(session_->last_id(), std::memory_order_release);
  SetHealth(absl::OkStatus());
  NotifySubscribers();
} catch (const std::exception&) {
  LoseSession(absl::Status(absl::StatusCode::kUnavailable, ""));
}

void SqliteWriter::NotifySubscribers() noexcept {
  try {
    options_.subscribers->Notify(last_id());
  } catch (const std::exception&) {
    // Out of memory; the next commit tells them.
  }
}

// Hands each sink its batches of the group, in their order.
void SqliteWriter::CompleteGroup() noexcept {
  if (session_ != nullptr) last_id_.store(session_->last_id(), std::memory_order_release);
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
  queue_.Release(static_cast<int64_t>(group_.size()), bytes);
  for (const Finished& finished : finished_) finished.sink->Complete(finished.first);
  NotifySubscribers();
}

// Where the log was copied or emptied it keeps everything that was acknowledged. But a sync that
// failed there is one of the connection that commits: the next commit could not be trusted.
void SqliteWriter::LoseSessionIfDiskFailed(const absl::Status& status) {
  if ((SqliteCodeOf(status) & 0xff) != SQLITE_IOERR) return;
  checkpointer_->CopyAllAgain();
  LoseSession(status);
}

// Before the writer does anything else: the next commit might begin the WAL anew.
void SqliteWriter::NoteCommit() {
  if (session_->TakeCommitted()) checkpointer_->Committed();
}

// What is not urgent, between two commits.
void SqliteWriter::KeepHouse() {
  if (checkpointer_->ShouldFinish(session_->log_pages()) && checkpointer_->BeginCopy(true)) {
    bool all_copied = true;
    const absl::Status status = session_->Checkpoint(all_copied);
    checkpointer_->EndCopy(all_copied);
    LoseSessionIfDiskFailed(status);
    if (session_ == nullptr) return;
  }
  const size_t forgotten = session_->forgotten_keys();
  if (forgotten < kForgottenKeysWhenIdle) return;
  if (forgotten < kForgottenKeysAlways && !queue_.empty()) return;
  // As many as came past the bound: one commit may forget more than are deleted when idle.
  const size_t past = forgotten - std::min(forgotten, kForgottenKeysAlways);
  const TransactionResult result =
      session_->DeleteForgottenKeys(std::max(kForgottenKeysWhenIdle, past));
  NoteCommit();
  if (result.kind == Kind::kUndoneLost || result.kind == Kind::kUnknownLost) {
    LoseSession(result.status);
  }
}

}  // namespace host_stub
