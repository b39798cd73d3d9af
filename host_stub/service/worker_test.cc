#include "host_stub/service/worker.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

TEST(WorkerTest, WhatWaitsIsDroppedAtTheStopAndNothingRunsAfterIt) {
  Worker worker(1, 10);
  absl::Notification running, go_on;
  ASSERT_TRUE(worker.Post([&] {
    running.Notify();
    go_on.WaitForNotification();
  }));
  auto waiting = std::make_shared<bool>(false);
  ASSERT_TRUE(worker.Post([waiting] { *waiting = true; }));
  running.WaitForNotification();
  std::thread stopper([&] { worker.Stop(absl::InfiniteFuture()); });
  // The stop lets go of what waits before it waits for what runs.
  while (waiting.use_count() > 1) std::this_thread::yield();
  go_on.Notify();
  stopper.join();
  EXPECT_FALSE(*waiting);
  EXPECT_FALSE(worker.Post([] {}));
}

TEST(WorkerTest, WorkThatDoesNotReturnIsLeftBehindAtTheDeadline) {
  auto go_on = std::make_shared<absl::Notification>();
  auto over = std::make_shared<absl::Notification>();
  {
    Worker worker(1, 10);
    absl::Notification running;
    ASSERT_TRUE(worker.Post([go_on, over, &running] {
      running.Notify();
      go_on->WaitForNotification();
      over->Notify();
    }));
    running.WaitForNotification();
    worker.Stop(absl::Now());
  }
  EXPECT_FALSE(over->HasBeenNotified());
  go_on->Notify();
  over->WaitForNotification();
}

TEST(WorkerTest, WorkMayBeTheLastOwnerOfItsWorker) {
  auto worker = std::make_shared<Worker>(2, 10);
  auto released = std::make_shared<absl::Notification>();
  auto over = std::make_shared<absl::Notification>();
  ASSERT_TRUE(worker->Post([worker, released, over]() mutable {
    released->WaitForNotification();
    worker.reset();
    over->Notify();
  }));
  worker.reset();
  released->Notify();
  over->WaitForNotification();
}

}  // namespace
}  // namespace host_stub
