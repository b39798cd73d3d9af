// Work that waits for its time, or that must not run on an I/O thread.
#ifndef PLUGIN_RUNTIME_TIMERS_H_
#define PLUGIN_RUNTIME_TIMERS_H_

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace webhook::runtime {

// [any thread] An interface, so that tests need not wait.
class Timers {
 public:
  virtual ~Timers() = default;

  // Runs `work` once, on a thread of its own; never inside this call. It must not throw, and keep
  // the thread busy only for a moment: all share it. What is still waiting at the end is dropped.
  virtual void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) = 0;

  // A clock that never goes back; its zero means nothing.
  virtual absl::Duration Now() const = 0;
};

class TimerThread : public Timers {
 public:
  // RESOURCE_EXHAUSTED when the system gives no more threads.
  static absl::StatusOr<std::unique_ptr<TimerThread>> Start();
  ~TimerThread() override;
  TimerThread(const TimerThread&) = delete;
  TimerThread& operator=(const TimerThread&) = delete;

  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) override;
  absl::Duration Now() const override;

 private:
  using Clock = std::chrono::steady_clock;

  TimerThread() = default;
  void Run();

  std::mutex mutex_;  // guards the three below
  std::condition_variable changed_;
  std::multimap<Clock::time_point, absl::AnyInvocable<void()>> waiting_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_TIMERS_H_
