#include "plugin/base/gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace base {
namespace {

TEST(GateTest, IsClosedAtFirst) {
  Gate gate;
  EXPECT_FALSE(gate.Enter());
  EXPECT_FALSE(gate.is_open());
  EXPECT_TRUE(gate.WaitUntilEmpty(absl::InfinitePast()));
}

TEST(GateTest, OpeningAndClosingTwiceIsTold) {
  Gate gate;
  EXPECT_TRUE(gate.Open());
  EXPECT_FALSE(gate.Open());
  EXPECT_TRUE(gate.Close());
  EXPECT_FALSE(gate.Close());
}

TEST(GateTest, WaitingEndsAtTheDeadlineWhileOneIsInside) {
  Gate gate;
  gate.Open();
  ASSERT_TRUE(gate.Enter());
  gate.Close();
  EXPECT_FALSE(gate.WaitUntilEmpty(absl::InfinitePast()));
  EXPECT_EQ(gate.entered(), 1);
  gate.Leave();
  EXPECT_TRUE(gate.WaitUntilEmpty(absl::InfinitePast()));
}

TEST(GateTest, CanBeOpenedAgainAfterADrain) {
  Gate gate;
  gate.Open();
  gate.Close();
  gate.Open();
  EXPECT_TRUE(gate.Enter());
  gate.Leave();
}

TEST(GateTest, NobodyIsInsideOnceWaitingReturned) {
  for (int round = 0; round < 50; ++round) {
    Gate gate;
    gate.Open();
    std::atomic<int> inside{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        while (gate.Enter()) {
          inside.fetch_add(1);
          inside.fetch_sub(1);
          gate.Leave();
        }
      });
    }
    gate.Close();
    EXPECT_TRUE(gate.WaitUntilEmpty(absl::InfiniteFuture()));
    EXPECT_EQ(inside.load(), 0);
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace base
