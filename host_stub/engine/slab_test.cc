#include "host_stub/engine/slab.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace host_stub {
namespace {

TEST(SlabTest, ObjectsInUseAreDistinct) {
  Slab<int> slab;
  std::set<uint32_t> indices;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(indices.insert(slab.Acquire()).second);
  for (uint32_t index : indices) EXPECT_LT(index, slab.size());
}

TEST(SlabTest, WhatWasGivenBackIsUsedAgainAndKeepsItsContents) {
  Slab<int> slab;
  const uint32_t index = slab.Acquire();
  slab.at(index) = 42;
  slab.Release(index);
  EXPECT_EQ(slab.Acquire(), index);
  EXPECT_EQ(slab.at(index), 42);
}

TEST(SlabTest, ThreadsNeverShareAnObject) {
  Slab<std::atomic<int>> slab;
  std::vector<std::thread> threads;
  std::atomic<int> shared{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        const uint32_t first = slab.Acquire();
        const uint32_t second = slab.Acquire();
        shared += slab.at(first).exchange(1) + slab.at(second).exchange(1);
        slab.at(first) = 0;
        slab.Release(first);
        slab.at(second) = 0;
        slab.Release(second);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared, 0);
  EXPECT_EQ(slab.size(), 256u);
}

}  // namespace
}  // namespace host_stub
