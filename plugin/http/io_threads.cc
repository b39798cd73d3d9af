#include "plugin/http/io_threads.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "plugin/http/shard.h"

namespace webhook::http {
namespace {

// New threads inherit the signal mask, so blocking before and restoring after leaves no gap.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<IoThreads>> IoThreads::Start(int threads) {
  if (threads < 1) return absl::InvalidArgumentError("at least one I/O thread is needed");
  std::unique_ptr<IoThreads> result(new IoThreads());
  for (int i = 0; i < threads; ++i) {
    result->loops_.push_back(std::make_unique<Loop>());
    result->loops_.back()->index = i;
    if (absl::Status status = result->loops_.back()->events.Open(); !status.ok()) return status;
  }
  AllSignalsBlocked blocked;
  try {
    for (auto& loop : result->loops_) {
      loop->thread = std::thread([&events = loop->events] { events.Run(); });
    }
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError("the system gives no more threads");
  }
  return result;
}

IoThreads::IoThreads() = default;

IoThreads::~IoThreads() { Stop(); }

int IoThreads::size() const { return static_cast<int>(loops_.size()); }

int IoThreads::current() const {
  for (const auto& loop : loops_) {
    if (loop->events.IsHere()) return loop->index;
  }
  return -1;
}

void IoThreads::Post(int thread, absl::AnyInvocable<void()> work) {
  loops_[thread]->events.Post(std::move(work));
}

void IoThreads::Stop() {
  if (std::exchange(stopped_, true)) return;
  for (const auto& loop : loops_) {
    if (loop->thread.joinable()) loop->events.Stop();
  }
  for (const auto& loop : loops_) {
    if (loop->thread.joinable()) loop->thread.join();
  }
}

}  // namespace webhook::http
