#include "plugin/runtime/task_thread.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>

namespace webhook::runtime {
namespace {

class CountingTask : public TaskThread::Task {
 public:
  explicit CountingTask(std::function<void()> also = [] {}) : also_(std::move(also)) {}

  void RunTask() noexcept override {
    also_();
    std::lock_guard lock(mutex_);
    ++runs_;
    changed_.notify_all();
  }

  void WaitForRuns(int runs) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return runs_ >= runs; });
  }

  int runs() {
    std::lock_guard lock(mutex_);
    return runs_;
  }

 private:
  const std::function<void()> also_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int runs_ = 0;
};

TEST(TaskThreadTest, CancelledTaskDoesNotRun) {
  TaskThread tasks;
  CountingTask cancelled, other;
  ASSERT_TRUE(tasks.Schedule(cancelled, absl::Milliseconds(5)));
  tasks.Cancel(cancelled);
  ASSERT_TRUE(tasks.Schedule(other, absl::Milliseconds(10)));
  other.WaitForRuns(1);
  EXPECT_EQ(cancelled.runs(), 0);
}

TEST(TaskThreadTest, TaskOfTheFutureDoesNotHoldTheEndUp) {
  CountingTask task;
  {
    TaskThread tasks;
    ASSERT_TRUE(tasks.Schedule(task, absl::Hours(1)));
  }
  EXPECT_EQ(task.runs(), 0);
}

TEST(TaskThreadTest, CancelWaitsForATaskThatRuns) {
  TaskThread tasks;
  std::mutex mutex;
  std::condition_variable changed;
  bool running = false;
  bool finished = false;
  CountingTask task([&] {
    {
      std::lock_guard lock(mutex);
      running = true;
      changed.notify_all();
    }
    // Gives Cancel time to be wrong, not to be right.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::lock_guard lock(mutex);
    finished = true;
  });
  tasks.Schedule(task, absl::ZeroDuration());
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return running; });
  }
  tasks.Cancel(task);
  std::lock_guard lock(mutex);
  EXPECT_TRUE(finished);
}

TEST(TaskThreadTest, TaskRunsOnceForEachSchedule) {
  TaskThread tasks;
  CountingTask task, other;
  tasks.Schedule(task, absl::Hours(1));
  tasks.Schedule(task, absl::ZeroDuration());  // the earlier time counts
  task.WaitForRuns(1);
  tasks.Schedule(other, absl::ZeroDuration());
  other.WaitForRuns(1);
  EXPECT_EQ(task.runs(), 1);
  tasks.Schedule(task, absl::ZeroDuration());
  task.WaitForRuns(2);
}

}  // namespace
}  // namespace webhook::runtime
