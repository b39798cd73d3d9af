#include "host_stub/service/open_calls.h"

#include <gtest/gtest.h>

#include <memory>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

// Holds a reference to the owner, as a call does.
struct Notice : OpenCall {
  void OnDeadline() override { expired.Notify(); }
  void OnDrain() override { drained.Notify(); }
  void OnCutOff() override { cut_off.Notify(); }
  absl::Notification expired, drained, cut_off;
  std::shared_ptr<OpenCalls> owner;
};

TEST(OpenCallsTest, WhatHasNotExpiredIsLetGoOfByTheStop) {
  auto calls = std::make_shared<OpenCalls>();
  auto notice = std::make_shared<Notice>();
  notice->owner = calls;
  calls->Add(absl::Now() + absl::Hours(1), notice);
  calls->Stop();
  EXPECT_EQ(notice.use_count(), 1);
  calls->Add(absl::Now(), notice);
  EXPECT_EQ(notice.use_count(), 1);
  EXPECT_FALSE(notice->expired.HasBeenNotified());
}

TEST(OpenCallsTest, WhatIsAddedLateExpiresAtOnce) {
  OpenCalls calls;
  auto notice = std::make_shared<Notice>();
  calls.Add(absl::Now() + absl::Hours(1), std::make_shared<Notice>());
  calls.Add(absl::Now() - absl::Hours(1), notice);
  notice->expired.WaitForNotification();
}

TEST(OpenCallsTest, LateCallIsToldToDrainAndThatItIsCutOff) {
  OpenCalls calls;
  auto early = std::make_shared<Notice>();
  calls.Add(absl::InfiniteFuture(), early);
  calls.DrainAll();
  EXPECT_TRUE(early->drained.HasBeenNotified());
  EXPECT_FALSE(early->cut_off.HasBeenNotified());
  calls.CutOffAll();
  EXPECT_TRUE(early->cut_off.HasBeenNotified());
  auto late = std::make_shared<Notice>();
  calls.Add(absl::InfiniteFuture(), late);
  EXPECT_TRUE(late->drained.HasBeenNotified());
  EXPECT_TRUE(late->cut_off.HasBeenNotified());
}

}  // namespace
}  // namespace host_stub
