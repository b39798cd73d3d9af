#include "plugin/base/object_pool.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace base {
namespace {

TEST(ObjectPoolTest, ObjectsInUseAreDistinct) {
  ObjectPool<int> pool;
  std::set<uint32_t> indices;
  std::set<int*> objects;
  for (int i = 0; i < 1000; ++i) {
    const auto lease = pool.Take();
    EXPECT_TRUE(indices.insert(lease.index).second);
    EXPECT_TRUE(objects.insert(lease.object).second);
    EXPECT_EQ(pool.Find(lease.index), lease.object);
  }
  EXPECT_EQ(pool.size(), 1000u);
}

TEST(ObjectPoolTest, WhatWasGivenBackIsUsedAgainAndKeepsItsContents) {
  ObjectPool<int> pool;
  const auto lease = pool.Take();
  *lease.object = 42;
  pool.GiveBack(lease.index);
  const auto again = pool.Take();
  EXPECT_EQ(again.index, lease.index);
  EXPECT_EQ(*again.object, 42);
}

TEST(ObjectPoolTest, NothingIsFoundWhereNoObjectWasMade) {
  ObjectPool<int> pool;
  EXPECT_EQ(pool.Find(0), nullptr);
  const auto lease = pool.Take();
  EXPECT_EQ(pool.Find(lease.index + 1), nullptr);
  EXPECT_EQ(pool.Find(UINT32_MAX), nullptr);
  pool.GiveBack(lease.index);
  EXPECT_EQ(pool.Find(lease.index), lease.object);
}

TEST(ObjectPoolTest, GivesNothingPastItsCapacity) {
  ObjectPool<int> pool(2);
  const auto first = pool.Take();
  const auto second = pool.Take();
  EXPECT_EQ(pool.Take().object, nullptr);
  pool.GiveBack(first.index);
  const auto again = pool.Take();
  EXPECT_EQ(again.object, first.object);
  EXPECT_EQ(pool.Take().object, nullptr);
  pool.GiveBack(again.index);
  pool.GiveBack(second.index);
}

TEST(ObjectPoolTest, EveryIndexUpToTheLargestHasAnObject) {
  ObjectPool<char> pool;
  for (uint32_t i = 0; i < pool.kMostObjects; ++i) {
    const auto lease = pool.Take();
    ASSERT_NE(lease.object, nullptr) << i;
    *lease.object = static_cast<char>(i);
  }
  EXPECT_EQ(pool.Take().object, nullptr);
  for (uint32_t i = 0; i < pool.kMostObjects; ++i) {
    ASSERT_EQ(*pool.Find(i), static_cast<char>(i)) << i;
  }
}

TEST(ObjectPoolTest, ObjectThatCouldNotBeMadeCostsNoCapacity) {
  ObjectPool<int> pool(1);
  const auto fail = []() -> int { throw std::bad_alloc(); };
  for (int i = 0; i < 3; ++i) EXPECT_THROW(pool.Take(fail), std::bad_alloc);
  EXPECT_NE(pool.Take().object, nullptr);
}

TEST(ObjectPoolTest, NoObjectIsGivenToTwoThreads) {
  for (const uint32_t capacity : {ObjectPool<int>::kMostObjects, 5u}) {
    ObjectPool<std::atomic<bool>> pool(capacity);
    std::vector<std::thread> threads;
    std::atomic<int> shared{0};
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) {
          const auto first = pool.Take();
          const auto second = pool.Take();
          for (const auto& lease : {first, second}) {
            if (lease.object != nullptr) shared += lease.object->exchange(true);
          }
          for (const auto& lease : {first, second}) {
            if (lease.object == nullptr) continue;
            *lease.object = false;
            pool.GiveBack(lease.index);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(shared, 0);
    EXPECT_LE(pool.size(), 8u);
  }
}

struct Thing : std::enable_shared_from_this<Thing> {
  explicit Thing(int& ended) : ended(ended) {}
  ~Thing() { ++ended; }
  bool Recycle() noexcept { return worth_keeping; }

  int& ended;
  bool worth_keeping = true;
};

class SharedObjectTest : public testing::Test {
 protected:
  std::shared_ptr<Thing> Get() {
    return Share(pool_, [this] { return Thing(ended_); });
  }

  int ended_ = 0;
  std::shared_ptr<ObjectPool<Thing>> pool_ = std::make_shared<ObjectPool<Thing>>(2);
};

TEST_F(SharedObjectTest, WhatIsNotWorthKeepingEnds) {
  Get()->worth_keeping = false;
  EXPECT_EQ(ended_, 1);
  EXPECT_TRUE(Get()->worth_keeping);
}

TEST_F(SharedObjectTest, NoMoreAreKeptThanThePoolHolds) {
  { const std::vector<std::shared_ptr<Thing>> used = {Get(), Get(), Get()}; }
  EXPECT_EQ(ended_, 1);
}

TEST_F(SharedObjectTest, WhatIsInUseIsNotGivenAgain) {
  const auto first = Get();
  EXPECT_NE(Get(), first);
}

TEST_F(SharedObjectTest, WhatIsNotInUseIsGivenAgain) {
  Thing* const first = Get().get();
  const auto again = Get();
  EXPECT_EQ(again.get(), first);
  EXPECT_EQ(again->shared_from_this(), again);
  EXPECT_EQ(ended_, 0);
}

TEST_F(SharedObjectTest, WhatIsKeptEndsWithThePool) {
  Get();
  pool_ = nullptr;
  EXPECT_EQ(ended_, 1);
}

TEST_F(SharedObjectTest, AnObjectOutlivesTheOwnerOfThePool) {
  auto last = Get();
  pool_ = nullptr;
  EXPECT_EQ(ended_, 0);
  last = nullptr;
  EXPECT_EQ(ended_, 1);
}

}  // namespace
}  // namespace base
