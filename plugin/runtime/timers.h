// A thread for work that is due later, or that must not run on an I/O thread.
#ifndef PLUGIN_RUNTIME_TIMERS_H_
#define PLUGIN_RUNTIME_TIMERS_H_

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace webhook::runtime {

// [any thread] An interface, so that tests need not wait.
class Timers {
 public:
  virtual ~Timers() = default;

  // Runs `work` once, on a thread of its own; never inside this call. All work shares the thread,
  // so that none may keep it busy for long. Work that throws, as it does without memory, runs again
  // after a second. Work that still waits at the end is dropped.
  virtual void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) = 0;

  // A clock that never goes back; its zero means nothing.
  virtual absl::Duration Now() const = 0;
};

// The thread is started by Start, or by the first Schedule.
class TimerThread : public Timers {
 public:
  // Work of a long-lived object, which schedules it again and again, and cancels it before it ends.
  // Otherwise as the work of RunAfter.
  class Task {
   public:
    virtual void RunTask() = 0;

   protected:
    ~Task() = default;
  };

  TimerThread() = default;
  // Joins the thread.
  ~TimerThread() override;
  TimerThread(const TimerThread&) = delete;
  TimerThread& operator=(const TimerThread&) = delete;

  // RunAfter may be called once this was OK. RESOURCE_EXHAUSTED when the system gives no more
  // threads. Again: does nothing.
  absl::Status Start();

  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) override;
  absl::Duration Now() const override;

  // Runs the task once, `delay` from now, or when it was scheduled for before if that is earlier.
  // False if the system has no memory or no thread for it.
  bool Schedule(Task& task, absl::Duration delay);

  // Once it returns, the task neither runs nor will. Not from within a task.
  void Cancel(Task& task);

 private:
  using Clock = std::chrono::steady_clock;
  struct Work {
    absl::AnyInvocable<void()> run;
    const Task* task;  // null: the work is not a task's
  };
  using Waiting = std::multimap<Clock::time_point, Work>;

  static Clock::time_point After(absl::Duration delay);
  void StartLocked();
  Waiting::iterator Find(const Task* task);
  void Run();
  void RunNext(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;                  // guards all below
  std::condition_variable changed_;   // what is due, or ending_
  std::condition_variable finished_;  // running_
  Waiting waiting_;                   // a task at most once
  const Task* running_ = nullptr;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_TIMERS_H_
