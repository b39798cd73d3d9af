#include "host_stub/store/sqlite/checkpointer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "plugin/base/thread.h"

namespace host_stub {
namespace {

constexpr int kBusyTimeoutMs = 1000;
constexpr int64_t kTurns = 8;
constexpr int64_t kTooManyTimes = 2;  // the bound of the WAL
constexpr int kNiceness = 10;
constexpr std::chrono::milliseconds kPatienceOfTheWriter(100);

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpointer>> Checkpointer::Start(const std::string& path,
                                                                  const std::string& vfs,
                                                                  const Options& options) {
  absl::StatusOr<std::unique_ptr<SqliteConnection>> connection =
      SqliteConnection::Open(path, vfs, SqliteAccess::kReadWrite, kBusyTimeoutMs);
  if (!connection.ok()) return connection.status();
  // The first read opens the WAL.
  const absl::StatusOr<int64_t> version = (*connection)->QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  return std::unique_ptr<Checkpointer>(new Checkpointer(std::move(*connection), options));
}

Checkpointer::Checkpointer(std::unique_ptr<SqliteConnection> connection, const Options& options)
    : options_(options),
      connection_(std::move(connection)),
      turn_pages_(options.own_thread ? std::max<int64_t>(options.wal_pages_between / kTurns, 1)
                                     : options.wal_pages_between),
      next_pages_(turn_pages_),
      too_many_pages_(kTooManyTimes * options.wal_pages_between) {
  if (options_.own_thread) thread_ = base::StartThread("store-checkpt", [this] { Run(); });
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

void Checkpointer::Committed() {
  const std::lock_guard<std::mutex> lock(mutex_);
  all_copied_ = false;
}

bool Checkpointer::ShouldFinish(int64_t wal_pages) {
  if (TakeFinish()) return true;
  if (wal_pages < next_pages_ - turn_pages_) {  // begun anew
    next_pages_ = turn_pages_;
    too_many_pages_ = kTooManyTimes * options_.wal_pages_between;
  }
  if (wal_pages < next_pages_) return false;
  next_pages_ = wal_pages + turn_pages_;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    begin_ = true;
    is_last_turn_ = wal_pages >= options_.wal_pages_between;
  }
  if (options_.own_thread) {
    wake_.notify_one();
    if (wal_pages < too_many_pages_) return false;
    too_many_pages_ = wal_pages + options_.wal_pages_between;
    return true;
  }
  Copy();
  return TakeFinish();
}

// The thread copies no more until the writer has taken this: two that copy at a time would keep
// each other from finishing, and the WAL would grow.
bool Checkpointer::TakeFinish() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!std::exchange(finish_, false)) return false;
  begin_ = false;
  return true;
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

absl::Status Checkpointer::status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
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

// Where the disk is full or a reader is in the way, the WAL keeps everything, and the next turn
// copies it again.
void Checkpointer::Copy() {
  bool is_last_turn = false;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    copied_.wait(lock, [this] { return !copying_; });
    if (all_copied_ || !status_.ok()) return;
    copying_ = true;
    is_last_turn = is_last_turn_;
  }
  int pages = -1;
  int copied = -1;
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
  EndCopy(pages == copied);
  absl::Status status;
  if ((code & 0xff) == SQLITE_IOERR) {
    status = SqliteError(code, sqlite3_errstr(code), "copying the WAL into the database");
  } else if (code == SQLITE_OK && is_last_turn) {
    status = options_.sync_database();
  } else if (code == SQLITE_OK) {
    options_.begin_writing();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  finish_ = code == SQLITE_OK && is_last_turn && status.ok();
  status_ = status;
}

}  // namespace host_stub
