#include "plugin/runtime/timers.h"

#include <algorithm>
#include <exception>
#include <system_error>
#include <utility>

#include "plugin/base/thread.h"
#include "plugin/http/event_loop.h"

namespace webhook::runtime {
namespace {

// Between two attempts of work for which there was no memory.
constexpr auto kPauseAfterFailure = std::chrono::seconds(1);

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
  if (!thread_.joinable()) thread_ = base::StartThread("lri-timers", [this] { Run(); });
}

TimerThread::Clock::time_point TimerThread::After(absl::Duration delay) {
  // A year stands for "never"; larger values would overflow the clock.
  return Clock::now() + absl::ToChronoNanoseconds(std::min(delay, absl::Hours(24 * 365)));
}

void TimerThread::RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) {
  const std::lock_guard lock(mutex_);
  waiting_.emplace(After(delay), Work{std::move(work), nullptr});
  changed_.notify_all();
}

absl::Duration TimerThread::Now() const {
  return absl::FromChrono(Clock::now().time_since_epoch());
}

TimerThread::Waiting::iterator TimerThread::Find(const Task* task) {
  return std::find_if(waiting_.begin(), waiting_.end(),
                      [task](const auto& one) { return one.second.task == task; });
}

bool TimerThread::Schedule(Task& task, absl::Duration delay) {
  const std::lock_guard lock(mutex_);
  try {
    StartLocked();
    const Clock::time_point due = After(delay);
    const auto before = Find(&task);
    if (before != waiting_.end() && before->first <= due) return true;
    waiting_.emplace(due, Work{[&task] { task.RunTask(); }, &task});
    if (before != waiting_.end()) waiting_.erase(before);
  } catch (const std::exception&) {
    return false;
  }
  changed_.notify_all();
  return true;
}

void TimerThread::Cancel(Task& task) {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return running_ != &task; });
  if (const auto found = Find(&task); found != waiting_.end()) waiting_.erase(found);
}

void TimerThread::Run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (waiting_.empty()) {
      changed_.wait(lock);
    } else if (const Clock::time_point next = waiting_.begin()->first; next > Clock::now()) {
      changed_.wait_until(lock, next);
    } else {
      RunNext(lock);
    }
  }
}

// Runs the work that is due first, without the lock.
void TimerThread::RunNext(std::unique_lock<std::mutex>& lock) {
  auto next = waiting_.extract(waiting_.begin());
  const Task* const task = running_ = next.mapped().task;
  lock.unlock();
  try {
    next.mapped().run();
    next = {};  // what the work holds ends without the lock
  } catch (const std::exception&) {
    // It runs again, unless it is a task that was scheduled anew.
  }
  lock.lock();
  if (!next.empty() && (task == nullptr || Find(task) == waiting_.end())) {
    next.key() = Clock::now() + kPauseAfterFailure;
    waiting_.insert(std::move(next));
  }
  running_ = nullptr;
  finished_.notify_all();
}

}  // namespace webhook::runtime
