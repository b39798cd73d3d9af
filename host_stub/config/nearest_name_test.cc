#include "host_stub/config/nearest_name.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace host_stub {
namespace {

const std::vector<absl::string_view> kKnown = {"username", "password", "longRunningPort", "key"};

TEST(NearestName, NothingIsSuggestedForAnUnrelatedName) {
  EXPECT_EQ(NearestName("colour", kKnown), "");
  EXPECT_EQ(NearestName("", kKnown), "");
  EXPECT_EQ(NearestName(std::string(10'000, 'p'), kKnown), "");
  EXPECT_EQ(NearestName("password", {}), "");
}

TEST(NearestName, FindsMissingSwappedAndWrongLetters) {
  EXPECT_EQ(NearestName("passwrd", kKnown), "password");
  EXPECT_EQ(NearestName("pasword", kKnown), "password");
  EXPECT_EQ(NearestName("usrename", kKnown), "username");
  EXPECT_EQ(NearestName("kye", kKnown), "key");
}

TEST(NearestName, CaseDoesNotCount) {
  EXPECT_EQ(NearestName("LONGRUNNINGPORT", kKnown), "longRunningPort");
}

TEST(DidYouMean, ListsWhatIsKnownWhereNothingIsNear) {
  EXPECT_EQ(DidYouMean("passwrd", kKnown), "did you mean \"password\"?");
  EXPECT_EQ(DidYouMean("colour", kKnown), "known are: username, password, longRunningPort, key");
}

}  // namespace
}  // namespace host_stub
