// Work that is done later, on a thread of its own.
#ifndef PLUGIN_RUNTIME_TASK_THREAD_H_
#define PLUGIN_RUNTIME_TASK_THREAD_H_

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace webhook::runtime {

// Thread-safe. The thread begins with the first task that is scheduled, and takes no signals.
// Tasks must not wait: they share the thread.
class TaskThread {
 public:
  class Task {
   public:
    virtual void RunTask() noexcept = 0;

   protected:
    ~Task() = default;
  };

  TaskThread() = default;
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;
  // Joins. Tasks that are still scheduled do not run.
  ~TaskThread();

  // Runs the task once, `delay` from now, or when it was scheduled for before if that is earlier.
  // False where the system has no memory or no thread for it.
  bool Schedule(Task& task, absl::Duration delay) noexcept;

  // Once it returns, the task neither runs nor will. Not from within a task.
  void Cancel(Task& task);

 private:
  using Clock = std::chrono::steady_clock;

  void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;   // due_ or stopping_
  std::condition_variable finished_;  // running_
  std::map<Task*, Clock::time_point> due_;
  Task* running_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_TASK_THREAD_H_
