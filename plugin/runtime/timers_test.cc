#include "plugin/runtime/timers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>

namespace webhook::runtime {
namespace {

TEST(TimersTest, WorkThatStillWaitsAtTheEndIsDroppedUnrun) {
  auto timers = std::make_unique<TimerThread>();
  ASSERT_TRUE(timers->Start().ok());
  auto alive = std::make_shared<bool>(false);
  timers->RunAfter(absl::InfiniteDuration(), [alive] { *alive = true; });
  timers = nullptr;
  EXPECT_FALSE(*alive);
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(TimersTest, WorkRunsInTheOrderOfItsTimesOnAnotherThread) {
  TimerThread timers;
  ASSERT_TRUE(timers.Start().ok());
  std::string order;
  std::promise<std::thread::id> last;
  // The first one holds the thread until all are waiting.
  std::promise<void> all_wait;
  timers.RunAfter(absl::ZeroDuration(), [&] { all_wait.get_future().wait(); });
  timers.RunAfter(absl::Milliseconds(2), [&] {
    order += "c";
    last.set_value(std::this_thread::get_id());
  });
  timers.RunAfter(absl::Milliseconds(1), [&] { order += "b"; });
  timers.RunAfter(absl::Milliseconds(-1), [&] { order += "a"; });
  all_wait.set_value();
  EXPECT_NE(last.get_future().get(), std::this_thread::get_id());
  EXPECT_EQ(order, "abc");
}

class CountingTask : public TimerThread::Task {
 public:
  explicit CountingTask(std::function<void()> also = [] {}) : also_(std::move(also)) {}

  void RunTask() override {
    also_();
    const std::lock_guard lock(mutex_);
    ++runs_;
    changed_.notify_all();
  }

  void WaitForRuns(int runs) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return runs_ >= runs; });
  }

  int runs() {
    const std::lock_guard lock(mutex_);
    return runs_;
  }

 private:
  const std::function<void()> also_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int runs_ = 0;
};

TEST(TimerTaskTest, CancelledTaskDoesNotRun) {
  TimerThread timers;
  CountingTask cancelled, other;
  ASSERT_TRUE(timers.Schedule(cancelled, absl::Milliseconds(5)));
  timers.Cancel(cancelled);
  ASSERT_TRUE(timers.Schedule(other, absl::Milliseconds(10)));
  other.WaitForRuns(1);
  EXPECT_EQ(cancelled.runs(), 0);
}

TEST(TimerTaskTest, TaskOfTheFutureDoesNotHoldTheEndUp) {
  CountingTask task;
  {
    TimerThread timers;
    ASSERT_TRUE(timers.Schedule(task, absl::InfiniteDuration()));
  }
  EXPECT_EQ(task.runs(), 0);
}

// The task ends when the canceller waits, or is as good as waiting: whoever does not wait for it
// returns while it still runs.
TEST(TimerTaskTest, CancelWaitsForATaskThatRuns) {
  TimerThread timers;
  std::promise<void> running, let_go;
  CountingTask task([&] {
    running.set_value();
    let_go.get_future().wait();
  });
  ASSERT_TRUE(timers.Schedule(task, absl::ZeroDuration()));
  running.get_future().wait();
  std::atomic<int> runs_when_cancelled{-1};
  std::promise<void> cancelling;
  std::thread canceller([&] {
    cancelling.set_value();
    timers.Cancel(task);
    runs_when_cancelled = task.runs();
  });
  cancelling.get_future().wait();
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  EXPECT_EQ(runs_when_cancelled, -1);
  let_go.set_value();
  canceller.join();
  EXPECT_EQ(runs_when_cancelled, 1);
}

TEST(TimerTaskTest, TaskRunsOnceForEachSchedule) {
  TimerThread timers;
  CountingTask task, other;
  ASSERT_TRUE(timers.Schedule(task, absl::Hours(1)));
  ASSERT_TRUE(timers.Schedule(task, absl::ZeroDuration()));  // the earlier time counts
  task.WaitForRuns(1);
  ASSERT_TRUE(timers.Schedule(other, absl::ZeroDuration()));
  other.WaitForRuns(1);
  EXPECT_EQ(task.runs(), 1);
  ASSERT_TRUE(timers.Schedule(task, absl::ZeroDuration()));
  task.WaitForRuns(2);
}

TEST(TimerTaskTest, TasksAndWorkShareTheThread) {
  TimerThread timers;
  ASSERT_TRUE(timers.Start().ok());
  std::thread::id of_task;
  CountingTask task([&] { of_task = std::this_thread::get_id(); });
  ASSERT_TRUE(timers.Schedule(task, absl::ZeroDuration()));
  task.WaitForRuns(1);
  std::promise<std::thread::id> of_work;
  timers.RunAfter(absl::ZeroDuration(), [&] { of_work.set_value(std::this_thread::get_id()); });
  EXPECT_EQ(of_work.get_future().get(), of_task);
}

TEST(TimerTaskTest, WorkAndTaskThatThrowRunAgain) {
  TimerThread timers;
  ASSERT_TRUE(timers.Start().ok());
  std::atomic<int> attempts{0};
  CountingTask task([&] {
    if (++attempts == 1) throw std::bad_alloc();
  });
  int attempts_of_work = 0;
  std::promise<int> done;
  timers.RunAfter(absl::ZeroDuration(), [&] {
    if (++attempts_of_work == 1) throw std::bad_alloc();
    done.set_value(attempts_of_work);
  });
  ASSERT_TRUE(timers.Schedule(task, absl::ZeroDuration()));
  EXPECT_EQ(done.get_future().get(), 2);
  task.WaitForRuns(1);
  EXPECT_EQ(attempts, 2);
}

}  // namespace
}  // namespace webhook::runtime
