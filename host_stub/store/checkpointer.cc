#include "host_stub/store/checkpointer.h"

#include <utility>

namespace host_stub {
namespace {

constexpr int64_t kPagesBetween = 4096;  // of 4 KiB: 16 MiB of log
constexpr int kBusyTimeoutMs = 1000;

}  // namespace

absl::StatusOr<std::unique_ptr<Checkpointer>> Checkpointer::Start(const std::string& path,
                                                                  const std::string& vfs) {
  absl::StatusOr<std::unique_ptr<SqliteConnection>> connection =
      SqliteConnection::Open(path, vfs, SqliteAccess::kReadWrite, kBusyTimeoutMs);
  if (!connection.ok()) return connection.status();
  // The first read opens the log.
  const absl::StatusOr<int64_t> version = (*connection)->QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  return std::unique_ptr<Checkpointer>(new Checkpointer(std::move(*connection)));
}

Checkpointer::Checkpointer(std::unique_ptr<SqliteConnection> connection)
    : connection_(std::move(connection)), next_pages_(kPagesBetween), thread_([this] { Run(); }) {}

Checkpointer::~Checkpointer() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool Checkpointer::ShouldFinish(int64_t log_pages) {
  if (log_pages < next_pages_ - kPagesBetween) next_pages_ = kPagesBetween;  // begun anew
  if (log_pages >= next_pages_) {
    next_pages_ = log_pages + kPagesBetween;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      begin_ = true;
    }
    wake_.notify_one();
    return false;
  }
  return finish_.exchange(false, std::memory_order_relaxed);
}

void Checkpointer::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return begin_ || stop_; });
    if (stop_) return;
    begin_ = false;
    lock.unlock();
    // Where it fails, the log keeps everything, and the next turn copies it again.
    const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr,
                                               SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (code == SQLITE_OK) finish_.store(true, std::memory_order_relaxed);
    lock.lock();
  }
}

}  // namespace host_stub
