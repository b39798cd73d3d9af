#include "host_stub/service/recycler.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace host_stub {
namespace {

struct Thing : std::enable_shared_from_this<Thing> {
  explicit Thing(int& ended) : ended(ended) {}
  ~Thing() { ++ended; }
  bool Recycle() noexcept { return worth_keeping; }

  int& ended;
  bool worth_keeping = true;
};

class RecyclerTest : public testing::Test {
 protected:
  std::shared_ptr<Thing> Get() {
    return recycler_->Get([this] { return std::make_unique<Thing>(ended_); });
  }

  int ended_ = 0;
  std::shared_ptr<Recycler<Thing>> recycler_ = std::make_shared<Recycler<Thing>>(2);
};

TEST_F(RecyclerTest, WhatIsNotWorthKeepingEnds) {
  Get()->worth_keeping = false;
  EXPECT_EQ(ended_, 1);
}

TEST_F(RecyclerTest, NoMoreAreKeptThanItWasMadeFor) {
  { const std::vector<std::shared_ptr<Thing>> used = {Get(), Get(), Get()}; }
  EXPECT_EQ(ended_, 1);
}

TEST_F(RecyclerTest, WhatIsInUseIsNotGivenAgain) {
  const auto first = Get();
  EXPECT_NE(Get(), first);
}

TEST_F(RecyclerTest, WhatIsNotInUseIsGivenAgain) {
  Thing* const first = Get().get();
  EXPECT_EQ(Get().get(), first);
  EXPECT_EQ(ended_, 0);
}

TEST_F(RecyclerTest, WhatIsKeptEndsWithTheRecycler) {
  Get();
  recycler_ = nullptr;
  EXPECT_EQ(ended_, 1);
}

TEST_F(RecyclerTest, AnObjectOutlivesWhoeverMadeTheRecycler) {
  auto last = Get();
  recycler_ = nullptr;
  EXPECT_EQ(ended_, 0);
  last = nullptr;
  EXPECT_EQ(ended_, 1);
}

}  // namespace
}  // namespace host_stub
