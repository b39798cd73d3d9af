#include "plugin/runtime/timers.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>

namespace webhook::runtime {
namespace {

TEST(TimersTest, WorkThatStillWaitsAtTheEndIsDroppedUnrun) {
  auto timers = *TimerThread::Start();
  auto alive = std::make_shared<bool>(false);
  timers->RunAfter(absl::InfiniteDuration(), [alive] { *alive = true; });
  timers = nullptr;
  EXPECT_FALSE(*alive);
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(TimersTest, WorkRunsInTheOrderOfItsTimesOnAnotherThread) {
  auto timers = *TimerThread::Start();
  std::string order;
  std::promise<std::thread::id> last;
  // The first one holds the thread until all are waiting.
  std::promise<void> all_wait;
  timers->RunAfter(absl::ZeroDuration(), [&] { all_wait.get_future().wait(); });
  timers->RunAfter(absl::Milliseconds(2), [&] {
    order += "c";
    last.set_value(std::this_thread::get_id());
  });
  timers->RunAfter(absl::Milliseconds(1), [&] { order += "b"; });
  timers->RunAfter(absl::Milliseconds(-1), [&] { order += "a"; });
  all_wait.set_value();
  EXPECT_NE(last.get_future().get(), std::this_thread::get_id());
  EXPECT_EQ(order, "abc");
}

}  // namespace
}  // namespace webhook::runtime
