#include "host_stub/store/checkpointer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "host_stub/store/log_index.h"

namespace host_stub {
namespace {

constexpr int kBusyTimeoutMs = 1000;
constexpr int64_t kTurns = 8;
constexpr int kNiceness = 10;
constexpr std::chrono::milliseconds kPatienceOfTheWriter(100);

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpointer>> Checkpointer::Start(const std::string& path,
                                                                  const std::string& vfs,
                                                                  const Options& options) {
  absl::StatusOr<std::unique_ptr<SqliteConnection>> connection =
      SqliteConnection::Open(path, vfs, SqliteAccess::kReadWrite, kBusyTimeoutMs);
  if (!connection.ok()) return connection.status();
  // The first read opens the log.
  const absl::StatusOr<int64_t> version = (*connection)->QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  return std::unique_ptr<Checkpointer>(new Checkpointer(std::move(*connection), options));
}

Checkpointer::Checkpointer(std::unique_ptr<SqliteConnection> connection, const Options& options)
    : options_(options),
      connection_(std::move(connection)),
      turn_pages_(options.own_thread ? std::max<int64_t>(options.log_pages_between / kTurns, 1)
                                     : options.log_pages_between),
      next_pages_(turn_pages_) {
  if (options_.own_thread) thread_ = std::thread([this] { Run(); });
}

Checkpointer::~Checkpointer() { Stop(); }

void Checkpointer::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool Checkpointer::ShouldFinish(int64_t log_pages) {
  if (TakeFinish()) return true;
  if (log_pages < next_pages_ - turn_pages_) next_pages_ = turn_pages_;  // begun anew
  if (log_pages < next_pages_) return false;
  next_pages_ = log_pages + turn_pages_;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    begin_ = true;
    is_last_turn_ = log_pages >= options_.log_pages_between;
  }
  if (options_.own_thread) {
    wake_.notify_one();
    return false;
  }
  Copy();
  return TakeFinish();
}

// The thread copies no more until the writer has taken this: two that copy at a time would keep
// each other from finishing, and the log would grow.
bool Checkpointer::TakeFinish() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!finish_ || asked_to_copy_again_ != forgotten_) return false;
  finish_ = false;
  begin_ = false;
  return true;
}

void Checkpointer::CopyAllAgain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++asked_to_copy_again_;
  finish_ = false;
  begin_ = true;
  wake_.notify_one();
}

bool Checkpointer::MayEmptyLog() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (asked_to_copy_again_ == forgotten_) return true;
    if (thread_.joinable()) {
      begin_ = true;
      wake_.notify_one();
      return false;
    }
  }
  return ForgetIfAsked();
}

void Checkpointer::Run() {
  // What a request waits for comes first.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return (begin_ && !finish_) || stop_; });
    if (stop_) return;
    begin_ = false;
    lock.unlock();
    Copy();
    lock.lock();
  }
}

void Checkpointer::Committed() {
  const std::lock_guard<std::mutex> lock(mutex_);
  all_copied_ = false;
}

bool Checkpointer::BeginCopy(bool wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto patience = wait ? kPatienceOfTheWriter : std::chrono::milliseconds(0);
  if (!copied_.wait_for(lock, patience, [this] { return !copying_; })) return false;
  copying_ = true;
  return true;
}

void Checkpointer::EndCopy(bool all_copied) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    copying_ = false;
    all_copied_ = all_copied;
  }
  copied_.notify_one();
}

bool Checkpointer::BeginCopyOfThisThread() {
  std::unique_lock<std::mutex> lock(mutex_);
  copied_.wait(lock, [this] { return !copying_; });
  if (all_copied_) return false;
  copying_ = true;
  return true;
}

// Where it fails, the WAL keeps everything, and the next turn copies it again.
void Checkpointer::Copy() {
  if (!ForgetIfAsked() || !BeginCopyOfThisThread()) return;
  const bool is_last_turn = IsLastTurn();
  int pages = -1;
  int copied_pages = -1;
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, &pages, &copied_pages);
  EndCopy(pages == copied_pages);
  if ((code & 0xff) == SQLITE_BUSY) return;
  if (code == SQLITE_OK && !is_last_turn) return options_.begin_writing();
  const bool synced = code == SQLITE_OK && options_.sync_database().ok();
  const std::lock_guard<std::mutex> lock(mutex_);
  finish_ = synced;
  if (!synced) ++asked_to_copy_again_;
}

bool Checkpointer::IsLastTurn() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return is_last_turn_;
}

bool Checkpointer::ForgetIfAsked() {
  std::unique_lock<std::mutex> lock(mutex_);
  const int64_t asked = asked_to_copy_again_;
  if (asked == forgotten_) return true;
  lock.unlock();
  if (!ForgetWhatWasCopied(*connection_).ok()) return false;
  lock.lock();
  forgotten_ = asked;
  return true;
}

}  // namespace host_stub
