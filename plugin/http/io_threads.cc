#include "plugin/http/io_threads.h"

#include <pthread.h>
#include <signal.h>

#include <boost/asio/post.hpp>
#include <exception>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "plugin/http/io_threads_internal.h"

namespace webhook::http {
namespace {

void RunLoop(Loop& loop) {
  bool stopped = false;
  for (;;) {
    try {
      if (!stopped) {
        loop.context.run();
        stopped = true;
        loop.context.restart();
      }
      // The last operations that were cancelled are still in the queue, and may own what they were
      // for. Never run() again: nothing would stop it.
      loop.context.poll();
      return;
    } catch (const std::exception&) {
      // An allocation failed inside an event's handler. Its connection is closed by its deadline;
      // the other connections of this thread must live on.
    }
  }
}

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
  auto loops = std::make_unique<Loops>();
  try {
    for (int i = 0; i < threads; ++i) {
      loops->loops.push_back(std::make_unique<Loop>());
      loops->loops.back()->index = i;
    }
  } catch (const std::exception&) {
    return absl::ResourceExhaustedError("the system gives no more file descriptors");
  }
  std::unique_ptr<IoThreads> result(new IoThreads(std::move(loops)));
  AllSignalsBlocked blocked;
  try {
    for (auto& loop : result->loops_->loops) {
      loop->thread = std::thread([&loop = *loop] { RunLoop(loop); });
    }
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError("the system gives no more threads");
  }
  return result;
}

IoThreads::IoThreads(std::unique_ptr<Loops> loops) : loops_(std::move(loops)) {}

IoThreads::~IoThreads() { Stop(); }

int IoThreads::size() const { return static_cast<int>(loops_->loops.size()); }

int IoThreads::current() const {
  for (const auto& loop : loops_->loops) {
    if (loop->context.get_executor().running_in_this_thread()) return loop->index;
  }
  return -1;
}

void IoThreads::Post(int thread, absl::AnyInvocable<void()> work) {
  boost::asio::post(loops_->loops[thread]->context, [work = std::move(work)]() mutable { work(); });
}

void IoThreads::Stop() {
  if (loops_->stopped) return;
  loops_->stopped = true;
  for (auto& loop : loops_->loops) {
    // Posted, not called: what was posted before still runs.
    boost::asio::post(loop->context, [&loop = *loop] { loop.context.stop(); });
  }
  for (auto& loop : loops_->loops) {
    if (loop->thread.joinable()) loop->thread.join();
  }
}

}  // namespace webhook::http
