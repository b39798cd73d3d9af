// The promises of the store on a failing disk, in many histories. The seeds are fixed, so a run of
// this test is like any other; tools/store-simulation draws as many more as one likes.
#include "host_stub/store/testing/store_simulation.h"

#include <gtest/gtest.h>

namespace host_stub {
namespace {

constexpr uint32_t kHistories = 150;

TEST(StoreSimulationTest, NoHistoryBreaksAPromise) {
  SimulationReport all;
  for (uint32_t seed = 1; seed <= kHistories; ++seed) {
    const SimulationReport one = RunSimulation(seed);
    ASSERT_EQ(one.violation, "") << "tools/store-simulation --seed " << seed << " plays it again";
    all.Add(one);
  }
  // The histories are of the kind that they are meant to be.
  EXPECT_GT(all.power_cuts, kHistories);
  EXPECT_GT(all.faults, kHistories);
  EXPECT_GT(all.unknown, kHistories / 10);
  EXPECT_GT(all.unknown_there, 0);
  EXPECT_GT(all.acknowledged, 10 * kHistories);
  EXPECT_GT(all.duplicates, kHistories);
  EXPECT_GT(all.replays, kHistories / 10);
  EXPECT_GT(all.expired, kHistories / 10);
  EXPECT_GT(all.deleted, kHistories);
  EXPECT_GT(all.duplicates_of_deleted, kHistories / 10);
  EXPECT_GT(all.refused_after_failed_sync, kHistories / 10);
}

// Once, a sync that failed while a secret was removed from the WAL was not taken for a failed sync.
TEST(StoreSimulationTest, HistoriesThatOnceBrokeAPromiseNoLongerDo) {
  for (const uint32_t seed : {335u, 5'088u, 112'100'096u, 112'100'489u, 112'101'572u}) {
    EXPECT_EQ(RunSimulation(seed).violation, "") << "seed " << seed;
  }
}

TEST(StoreSimulationTest, SeedGivesTheSameHistoryAgain) {
  for (const uint32_t seed : {1u, 2u, 3u, 4u, 7u, 8u}) {
    const uint64_t trace = RunSimulation(seed).trace;
    ASSERT_EQ(RunSimulation(seed).trace, trace) << seed;
    ASSERT_NE(RunSimulation(seed + 1).trace, trace) << seed;
  }
}

}  // namespace
}  // namespace host_stub
