#include "plugin/runtime/head_check.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"

namespace webhook::runtime {
namespace {

TEST(WrongCredentialsTest, NoMoreThanTenThousandAddressesAreRememberedAndTheOldestGoes) {
  WrongCredentials wrong;
  const absl::Time now = absl::FromUnixSeconds(1'714'557'600);
  for (int i = 0; i < 101; ++i) wrong.Count(&wrong, "10.0.0.0", now);
  EXPECT_TRUE(wrong.Count(&wrong, "10.0.0.0", now));
  EXPECT_FALSE(wrong.Count(&now, "10.0.0.0", now));  // at another instance
  for (int i = 1; i < 11'000; ++i) {
    EXPECT_FALSE(wrong.Count(&wrong, absl::StrCat("10.0.", i / 256, ".", i % 256), now));
  }
  EXPECT_EQ(wrong.size(), 10'000u);
  EXPECT_FALSE(wrong.Count(&wrong, "10.0.0.0", now));
  EXPECT_FALSE(wrong.Count(&wrong, "192.0.2.1", now - absl::Hours(1)));  // the clock was set back
  EXPECT_EQ(wrong.size(), 1u);
}

TEST(AdmissionTest, CallThatIsRefusedTakesNoPlaceFromOthersMeanwhile) {
  WrongCredentials wrong;
  Admission admission(wrong);
  std::atomic<int64_t> refused{0};
  std::atomic<bool> is_over{false};
  std::thread other([&] {
    while (!is_over) refused += !admission.BeginCall(0);
  });
  int64_t tries = 0, taken = 0;
  while (tries < 200'000 || refused < 200'000) {
    ++tries;
    if (!admission.BeginCall(1)) continue;
    ++taken;
    admission.EndCall();
  }
  is_over = true;
  other.join();
  EXPECT_EQ(taken, tries);
}

}  // namespace
}  // namespace webhook::runtime
