#include "plugin/limits/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace webhook {
namespace {

using ::testing::HasSubstr;

TEST(LimitsTest, UnknownNameIsRefusedByName) {
  Limits limits;
  EXPECT_THAT(std::string(SetLimit("body_megabytes", "1", limits).message()),
              HasSubstr("unknown limit \"body_megabytes\""));
}

TEST(LimitsTest, ValueOutOfRangeIsRefusedWithItsRange) {
  Limits limits;
  for (const char* value : {"0", "-1", "67108865", "9223372036854775808", "", "8M", "1.5", "+5",
                            " 4096", "4096 ", "4096\n", "- 1"}) {
    EXPECT_THAT(std::string(SetLimit("body_bytes", value, limits).message()),
                HasSubstr("body_bytes must be a whole number from 1 to 67108864"))
        << value;
  }
  EXPECT_EQ(limits.body_bytes, Limits().body_bytes);
}

TEST(LimitsTest, EveryLimitHasARange) {
  for (const LimitDescription& limit : DescribeLimits()) {
    const absl::string_view name = limit.name;
    Limits limits;
    for (const char* value : {"-1", "9223372036854775807"}) {
      EXPECT_THAT(std::string(SetLimit(name, value, limits).message()),
                  HasSubstr(absl::StrCat(name, " must be a whole number from ")))
          << name << " = " << value;
    }
  }
}

TEST(LimitsTest, ValueInRangeIsSet) {
  Limits limits;
  ASSERT_TRUE(SetLimit("body_bytes", "67108864", limits).ok());
  EXPECT_EQ(limits.body_bytes, 64 * 1024 * 1024);
}

}  // namespace
}  // namespace webhook
