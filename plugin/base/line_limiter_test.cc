#include "plugin/base/line_limiter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace base {
namespace {

TEST(LineLimiterTest, SecondLineOfASecondIsLeftOutAndCounted) {
  LineLimiter limiter;
  const absl::Time begin = absl::FromUnixSeconds(1'714'557'600);
  EXPECT_EQ(limiter.Admit(begin), 0);
  EXPECT_EQ(limiter.Admit(begin), std::nullopt);
  EXPECT_EQ(limiter.Admit(begin + absl::Milliseconds(999)), std::nullopt);
  EXPECT_EQ(limiter.Admit(begin + absl::Seconds(1)), 2);
  EXPECT_EQ(limiter.Admit(begin + absl::Seconds(60)), 0);
}

TEST(LineLimiterTest, ClockThatIsSetBackDoesNotSilenceTheLog) {
  LineLimiter limiter;
  const absl::Time begin = absl::FromUnixSeconds(1'714'557'600);
  EXPECT_EQ(limiter.Admit(begin), 0);
  EXPECT_EQ(limiter.Admit(begin - absl::Hours(24)), 0);
  EXPECT_EQ(limiter.Admit(begin - absl::Hours(24)), std::nullopt);
}

TEST(LineLimiterTest, PauseIsItsOwnAndWhatOthersLeftOutIsAdded) {
  LineLimiter limiter(absl::Minutes(1));
  const absl::Time begin = absl::FromUnixSeconds(1'714'557'600);
  EXPECT_EQ(limiter.Admit(begin), 0);
  EXPECT_EQ(limiter.Admit(begin + absl::Seconds(59)), std::nullopt);
  limiter.LeaveOut(4);
  EXPECT_EQ(limiter.left_out(), 5);
  EXPECT_FALSE(limiter.is_due(begin + absl::Seconds(59)));
  EXPECT_TRUE(limiter.is_due(begin + absl::Minutes(1)));
  EXPECT_EQ(limiter.Admit(begin + absl::Minutes(1)), 5);
}

TEST(LineLimiterTest, OfManyThreadsOneWritesAndAllOthersAreCounted) {
  LineLimiter limiter;
  const absl::Time now = absl::FromUnixSeconds(1'714'557'600);
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) admitted += limiter.Admit(now).has_value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1);
  EXPECT_EQ(limiter.Admit(now + absl::Seconds(2)), 3999);
}

TEST(LineLimiterTest, TextTellsHowManyWereLeftOut) {
  EXPECT_EQ(LeftOut(0), "");
  EXPECT_EQ(LeftOut(1), " (1 more like this was left out)");
  EXPECT_EQ(LeftOut(12), " (12 more like this were left out)");
}

}  // namespace
}  // namespace base
