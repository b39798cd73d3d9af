#include "host_stub/service/deadline_timer.h"

#include <gtest/gtest.h>

#include <memory>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

// Refers to who owns the timer, as a call does.
struct Notice : Expiring {
  void Expire() override { expired.Notify(); }
  absl::Notification expired;
  std::shared_ptr<DeadlineTimer> owner;
};

TEST(DeadlineTimerTest, WhatHasNotExpiredIsLetGoOfByTheStop) {
  auto timer = std::make_shared<DeadlineTimer>();
  auto notice = std::make_shared<Notice>();
  notice->owner = timer;
  timer->Add(absl::Now() + absl::Hours(1), notice);
  timer->Stop();
  EXPECT_EQ(notice.use_count(), 1);
  timer->Add(absl::Now(), notice);
  EXPECT_EQ(notice.use_count(), 1);
  EXPECT_FALSE(notice->expired.HasBeenNotified());
}

TEST(DeadlineTimerTest, WhatIsAddedLateExpiresAtOnce) {
  DeadlineTimer timer;
  auto notice = std::make_shared<Notice>();
  timer.Add(absl::Now() + absl::Hours(1), std::make_shared<Notice>());
  timer.Add(absl::Now() - absl::Hours(1), notice);
  notice->expired.WaitForNotification();
}

}  // namespace
}  // namespace host_stub
