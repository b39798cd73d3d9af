#include "plugin/http/byte_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace webhook::http {
namespace {

constexpr int64_t kMiB = 1024 * 1024;

class ByteBudgetTest : public ::testing::Test {
 protected:
  ByteBudgetTest() {
    for (AddressBytes& address : addresses_) address.share = shares_.of_address;
  }

  ByteBudget Of(int address) { return ByteBudget(all_, addresses_[address], shares_); }
  // Whether a request of that size is taken.
  bool Takes(int address, int64_t bytes, std::atomic<int64_t>* instance = nullptr) {
    return Of(address).Reserve(bytes, bytes, instance) == nullptr;
  }

  const ByteShares shares_{Limits()};  // 64 MiB: an address has 16, an instance 32, large ones 57.6
  BytesInFlight all_;
  AddressBytes addresses_[8];
};

TEST_F(ByteBudgetTest, OneAddressGetsItsShareAndNoMore) {
  EXPECT_TRUE(Takes(0, 8 * kMiB));
  EXPECT_TRUE(Takes(0, 8 * kMiB));
  EXPECT_FALSE(Takes(0, 1));
  EXPECT_TRUE(Takes(1, 8 * kMiB));
  Of(0).Release(8 * kMiB, nullptr);
  EXPECT_TRUE(Takes(0, 8 * kMiB));
}

TEST_F(ByteBudgetTest, OneInstanceGetsItsShareAndSmallRequestsOfItAreTaken) {
  std::atomic<int64_t> one{0}, other{0};
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Takes(i, 8 * kMiB, &one));
  EXPECT_FALSE(Takes(4, 8 * kMiB, &one));
  EXPECT_TRUE(Takes(4, 64 * 1024, &one));
  EXPECT_TRUE(Takes(4, 8 * kMiB, &other));
  EXPECT_EQ(one, 32 * kMiB + 64 * 1024);
}

TEST_F(ByteBudgetTest, LargeRequestsLeaveTheLastPartToSmallOnes) {
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(Takes(i, 8 * kMiB));
  EXPECT_FALSE(Takes(7, 8 * kMiB));
  for (int i = 0; i < 128; ++i) EXPECT_TRUE(Takes(7, 64 * 1024)) << i;
  EXPECT_FALSE(Takes(6, 64 * 1024));
}

TEST_F(ByteBudgetTest, UnreadAnswersOfOneAddressNeverCountForMoreThanItsShare) {
  for (int i = 0; i < 8; ++i) Of(0).Count(17 * kMiB);
  EXPECT_TRUE(Of(0).exhausted());
  EXPECT_FALSE(Of(1).exhausted());
  EXPECT_EQ(all_.bytes, shares_.of_address);
  EXPECT_TRUE(Takes(1, 8 * kMiB));
  EXPECT_FALSE(Takes(0, 1));
  for (int i = 0; i < 8; ++i) Of(0).Count(-17 * kMiB);
  EXPECT_EQ(all_.bytes, 8 * kMiB);
  EXPECT_TRUE(Takes(0, 8 * kMiB));
}

TEST_F(ByteBudgetTest, NothingIsLeftOverHoweverThreadsInterleave) {
  std::atomic<int64_t> instance{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t, &instance] {
      for (int i = 0; i < 20'000; ++i) {
        ByteBudget budget = Of(t % 2);
        const int64_t bytes = (i % 7 + 1) * kMiB;
        const bool taken = budget.Reserve(bytes, bytes, &instance) == nullptr;
        budget.Count(9 * kMiB);
        if (taken) budget.Release(bytes, &instance);
        budget.Count(-9 * kMiB);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(all_.bytes, 0);
  EXPECT_EQ(instance, 0);
  EXPECT_EQ(addresses_[0].bytes, 0);
}

TEST_F(ByteBudgetTest, RequestThatIsRefusedTakesNoRoomFromOthersMeanwhile) {
  std::atomic<int64_t> full{0}, other{0};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Takes(i, 8 * kMiB, &full));
  ASSERT_TRUE(Takes(4, 10 * kMiB, &other));
  // 42 of 57.6 MiB are in use.
  std::atomic<bool> is_over{false};
  std::vector<std::thread> refused;
  for (const int address : {5, 6}) {
    refused.emplace_back([this, address, &full, &is_over] {
      while (!is_over) EXPECT_FALSE(Takes(address, 16 * kMiB, &full));
    });
  }
  int taken = 0;
  for (int i = 0; i < 200'000; ++i) {
    if (!Takes(4, kMiB, &other)) continue;
    ++taken;
    Of(4).Release(kMiB, &other);
  }
  is_over = true;
  for (std::thread& thread : refused) thread.join();
  EXPECT_EQ(taken, 200'000);
}

TEST(ByteSharesTest, SingleBodyAlwaysFits) {
  Limits limits;
  limits.bytes_in_flight = 1;
  const ByteShares shares(limits);
  for (const int64_t share :
       {shares.all, shares.for_large, shares.of_address, shares.of_instance}) {
    EXPECT_EQ(share, limits.body_bytes);
  }
}

TEST(BytesInFlightTest, AddressHasOneCountOnAllServersAndProxiesOneOfTheirOwn) {
  BytesInFlight all;
  const Address address = Address::Parse("192.0.2.1").value();
  AddressBytes* const first = all.Take(address, false, 5);
  EXPECT_EQ(all.Take(address, false, 7), first);
  EXPECT_EQ(first->share, 5);
  AddressBytes* const proxy = all.Take(address, true, 9);
  EXPECT_NE(proxy, first);
  all.Give(first);
  all.Give(first);
  EXPECT_EQ(all.Take(address, false, 7)->share, 7);
}

}  // namespace
}  // namespace webhook::http
