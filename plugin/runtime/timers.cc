#include "plugin/runtime/timers.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"

namespace webhook::runtime {
namespace {

// Between two attempts of work for which there was no memory.
constexpr auto kPauseAfterFailure = std::chrono::seconds(1);

template <typename Work>
bool RunOrFail(Work&& work) {
  try {
    work();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

TimerThread::~TimerThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

absl::Status TimerThread::Start() {
  const std::lock_guard lock(mutex_);
  try {
    StartLocked();
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError("the system gives no more threads");
  }
  return absl::OkStatus();
}

void TimerThread::StartLocked() {
  if (thread_.joinable()) return;
  // Signals are for the process's own threads; a new thread inherits the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const absl::Cleanup unmask = [&before] { pthread_sigmask(SIG_SETMASK, &before, nullptr); };
  thread_ = std::thread([this] { Run(); });
}

TimerThread::Clock::time_point TimerThread::After(absl::Duration delay) {
  // A year stands for "never"; larger values would overflow the clock.
  return Clock::now() + absl::ToChronoNanoseconds(std::min(delay, absl::Hours(24 * 365)));
}

void TimerThread::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) {
  const std::lock_guard lock(mutex_);
  waiting_.emplace(After(delay), std::move(work));
  changed_.notify_all();
}

absl::Duration TimerThread::Now() const {
  return absl::FromChrono(Clock::now().time_since_epoch());
}

bool TimerThread::Schedule(Task& task, absl::Duration delay) {
  const std::lock_guard lock(mutex_);
  try {
    StartLocked();
    const Clock::time_point due = After(delay);
    const auto [scheduled, added] = tasks_.try_emplace(&task, due);
    if (!added) scheduled->second = std::min(scheduled->second, due);
  } catch (const std::exception&) {
    return false;
  }
  changed_.notify_all();
  return true;
}

void TimerThread::Cancel(Task& task) {
  std::unique_lock lock(mutex_);
  tasks_.erase(&task);
  finished_.wait(lock, [&] { return running_ != &task; });
  tasks_.erase(&task);  // it may have scheduled itself again
}

void TimerThread::Run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (RunNext(lock)) continue;
    Clock::time_point next = Clock::time_point::max();
    if (!waiting_.empty()) next = waiting_.begin()->first;
    for (const auto& [task, due] : tasks_) next = std::min(next, due);
    if (next == Clock::time_point::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, next);
    }
  }
}

// Runs the work that is due first, without the lock. False: none is due.
bool TimerThread::RunNext(std::unique_lock<std::mutex>& lock) {
  const Clock::time_point now = Clock::now();
  const auto task =
      std::min_element(tasks_.begin(), tasks_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto work = waiting_.begin();
  const bool task_is_due = task != tasks_.end() && task->second <= now;
  const bool work_is_due = work != waiting_.end() && work->first <= now;
  if (work_is_due && !(task_is_due && task->second < work->first)) {
    auto taken = waiting_.extract(work);
    lock.unlock();
    const bool ran = RunOrFail([&] { taken.mapped()(); });
    if (ran) taken = {};  // what the work holds ends without the lock
    lock.lock();
    if (!ran) {
      taken.key() = Clock::now() + kPauseAfterFailure;
      waiting_.insert(std::move(taken));
    }
    return true;
  }
  if (!task_is_due) return false;
  auto taken = tasks_.extract(task);
  running_ = taken.key();
  lock.unlock();
  const bool ran = RunOrFail([this] { running_->RunTask(); });
  lock.lock();
  if (!ran) {
    taken.mapped() = Clock::now() + kPauseAfterFailure;
    tasks_.insert(std::move(taken));
  }
  running_ = nullptr;
  finished_.notify_all();
  return true;
}

}  // namespace webhook::runtime
