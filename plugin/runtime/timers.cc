#include "plugin/runtime/timers.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/status/status.h"

namespace webhook::runtime {

absl::StatusOr<std::unique_ptr<TimerThread>> TimerThread::Start() {
  std::unique_ptr<TimerThread> timers(new TimerThread);
  // Signals are for the process's own threads; a new thread inherits what is blocked.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    timers->thread_ = std::thread([self = timers.get()] { self->Run(); });
  } catch (const std::system_error&) {
    started = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) return absl::ResourceExhaustedError("the system gives no more threads");
  return timers;
}

TimerThread::~TimerThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void TimerThread::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) {
  // A year stands for "never"; larger values would overflow the clock.
  const Clock::time_point time =
      Clock::now() + absl::ToChronoNanoseconds(std::min(delay, absl::Hours(24 * 365)));
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(time, std::move(work));
  }
  changed_.notify_one();
}

absl::Duration TimerThread::Now() const {
  return absl::FromChrono(Clock::now().time_since_epoch());
}

void TimerThread::Run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (waiting_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = waiting_.begin();
    if (const Clock::time_point time = first->first; time > Clock::now()) {
      changed_.wait_until(lock, time);
      continue;
    }
    absl::AnyInvocable<void()> work = std::move(first->second);
    waiting_.erase(first);
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

}  // namespace webhook::runtime
