#include "plugin/runtime/free_list.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace webhook::runtime {
namespace {

struct Item {
  std::atomic<bool> used{false};
};

auto MakeItem() { return std::make_unique<Item>(); }

TEST(FreeListTest, GivesNothingPastItsCapacity) {
  FreeList<Item> list(2);
  auto first = list.Take(MakeItem);
  auto second = list.Take(MakeItem);
  EXPECT_EQ(list.Take(MakeItem).object, nullptr);
  list.GiveBack(first);
  auto again = list.Take(MakeItem);
  EXPECT_EQ(again.object, first.object);
  EXPECT_EQ(list.Take(MakeItem).object, nullptr);
  list.GiveBack(again);
  list.GiveBack(second);
}

TEST(FreeListTest, ObjectThatCouldNotBeMadeCostsNoCapacity) {
  FreeList<Item> list(1);
  const auto fail = []() -> std::unique_ptr<Item> { throw std::bad_alloc(); };
  for (int i = 0; i < 3; ++i) EXPECT_THROW(list.Take(fail), std::bad_alloc);
  EXPECT_NE(list.Take([] { return std::make_unique<Item>(); }).object, nullptr);
}

TEST(FreeListTest, NoObjectIsGivenToTwoThreads) {
  FreeList<Item> list(8);
  std::atomic<int> twice{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20'000; ++round) {
        auto lease = list.Take(MakeItem);
        if (lease.object == nullptr) continue;
        if (lease.object->used.exchange(true)) twice.fetch_add(1);
        lease.object->used.store(false);
        list.GiveBack(lease);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(twice.load(), 0);
}

}  // namespace
}  // namespace webhook::runtime
