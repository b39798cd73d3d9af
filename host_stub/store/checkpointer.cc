#include "host_stub/store/checkpointer.h"

#include <utility>

#include "host_stub/store/log_index.h"

namespace host_stub {
namespace {

constexpr int kBusyTimeoutMs = 1000;

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
      next_pages_(options.log_pages_between) {
  if (options_.own_thread) thread_ = std::thread([this] { Run(); });
}

Checkpointer::~Checkpointer() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

bool Checkpointer::ShouldFinish(int64_t log_pages) {
  const int64_t between = options_.log_pages_between;
  if (log_pages < next_pages_ - between) next_pages_ = between;  // begun anew
  if (log_pages < next_pages_) return TakeFinish();
  next_pages_ = log_pages + between;
  if (!options_.own_thread) {
    Copy();
    return TakeFinish();
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    begin_ = true;
  }
  wake_.notify_one();
  return false;
}

bool Checkpointer::TakeFinish() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return asked_to_copy_again_ == forgotten_ && std::exchange(finish_, false);
}

void Checkpointer::CopyAllAgain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++asked_to_copy_again_;
  begin_ = true;
  wake_.notify_one();
}

bool Checkpointer::must_copy_again() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return asked_to_copy_again_ != forgotten_;
}

void Checkpointer::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return begin_ || stop_; });
    if (stop_) return;
    begin_ = false;
    lock.unlock();
    Copy();
    lock.lock();
  }
}

// Where it fails, the log keeps everything, and the next turn copies it again.
void Checkpointer::Copy() {
  if (!ForgetIfAsked()) return;
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_BUSY) return;
  const bool copied = code == SQLITE_OK && options_.sync_database().ok();
  const std::lock_guard<std::mutex> lock(mutex_);
  finish_ = copied;
  if (!copied) ++asked_to_copy_again_;
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
