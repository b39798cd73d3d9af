#include "host_stub/config/nearest_name.h"

#include <string>
#include <vector>

#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace host_stub {
namespace {

const std::vector<absl::string_view> kKnown = {"username", "password", "longRunningPort", "key"};

// The name that is suggested; "" where none is.
std::string NearestName(absl::string_view name, std::span<const absl::string_view> known) {
  const std::string message = DidYouMean(name, known);
  absl::string_view nearest = message;
  if (!absl::ConsumePrefix(&nearest, "did you mean \"")) return "";
  EXPECT_TRUE(absl::ConsumeSuffix(&nearest, "\"?")) << message;
  return std::string(nearest);
}

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
