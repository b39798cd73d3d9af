#include "host_stub/service/thread_pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

TEST(ThreadPoolTest, WhatWaitsIsDroppedAtTheStopAndNothingRunsAfterIt) {
  ThreadPool pool(1, 10);
  absl::Notification running, go_on;
  ASSERT_TRUE(pool.Post([&] {
    running.Notify();
    go_on.WaitForNotification();
  }));
  auto waiting = std::make_shared<bool>(false);
  ASSERT_TRUE(pool.Post([waiting] { *waiting = true; }));
  running.WaitForNotification();
  std::thread stopper([&] { pool.Stop(absl::InfiniteFuture()); });
  // The stop lets go of what waits before it waits for what runs.
  while (waiting.use_count() > 1) std::this_thread::yield();
  go_on.Notify();
  stopper.join();
  EXPECT_FALSE(*waiting);
  EXPECT_FALSE(pool.Post([] {}));
}

TEST(ThreadPoolTest, WorkThatDoesNotReturnIsLeftBehindAtTheDeadline) {
  auto go_on = std::make_shared<absl::Notification>();
  auto over = std::make_shared<absl::Notification>();
  {
    ThreadPool pool(1, 10);
    absl::Notification running;
    ASSERT_TRUE(pool.Post([go_on, over, &running] {
      running.Notify();
      go_on->WaitForNotification();
      over->Notify();
    }));
    running.WaitForNotification();
    pool.Stop(absl::Now());
  }
  EXPECT_FALSE(over->HasBeenNotified());
  go_on->Notify();
  over->WaitForNotification();
}

TEST(ThreadPoolTest, WorkMayBeTheLastOwnerOfItsWorker) {
  auto pool = std::make_shared<ThreadPool>(2, 10);
  auto released = std::make_shared<absl::Notification>();
  auto over = std::make_shared<absl::Notification>();
  ASSERT_TRUE(pool->Post([pool, released, over]() mutable {
    released->WaitForNotification();
    pool.reset();
    over->Notify();
  }));
  pool.reset();
  released->Notify();
  over->WaitForNotification();
}

}  // namespace
}  // namespace host_stub
