#include "plugin/core/mirroring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace webhook::core {
namespace {

using ::testing::HasSubstr;

std::string Members(absl::string_view direction, absl::string_view tags = "",
                    absl::string_view instance = "") {
  const auto members = MirrorMembers(direction, tags, instance, "webhook");
  return members.ok() ? *members : std::string(members.status().message());
}

TEST(MirroringTest, UnknownDirectionIsRefusedWithTheKnownOnes) {
  for (const char* direction : {"Both", "incoming", "In", " "}) {
    EXPECT_THAT(Members(direction), HasSubstr("mirror_direction must be None, Incoming"))
        << direction;
  }
}

TEST(MirroringTest, TextThatIsNotUtf8IsRefusedByName) {
  EXPECT_THAT(Members("", "\xff"), HasSubstr("mirror_tags must be"));
  EXPECT_THAT(Members("", "", "\xff"), HasSubstr("mirror_instance must be"));
}

TEST(MirroringTest, NothingIsWrittenWhereNothingIsSet) {
  EXPECT_EQ(Members(""), "");
  EXPECT_EQ(Members("None"), "");
  EXPECT_EQ(Members("", " , "), "");
}

TEST(MirroringTest, DirectionsAreWrittenAsThePlatformReadsThem) {
  EXPECT_EQ(Members("Incoming"), R"(,"mirror_direction":"In","mirror_instance":"webhook")");
  EXPECT_EQ(Members("Outgoing"), R"(,"mirror_direction":"Out","mirror_instance":"webhook")");
  EXPECT_EQ(Members("Incoming And Outgoing"),
            R"(,"mirror_direction":"Both","mirror_instance":"webhook")");
}

TEST(MirroringTest, TagsBecomeAListAndTheInstanceCanBeAnother) {
  EXPECT_EQ(Members("Incoming", " a , b\"c,,", "o\"ther"),
            R"(,"mirror_direction":"In","mirror_tags":["a","b\"c"],"mirror_instance":"o\"ther")");
  EXPECT_EQ(Members("None", "a", "other"), R"(,"mirror_tags":["a"],"mirror_instance":"other")");
}

}  // namespace
}  // namespace webhook::core
