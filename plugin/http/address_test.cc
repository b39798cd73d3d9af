#include "plugin/http/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace webhook::http {
namespace {

using testing::HasSubstr;

Address A(absl::string_view text) { return Address::Parse(text).value(); }

TEST(AddressTest, TextThatIsNoAddressIsRefused) {
  for (const char* text : {"", "localhost", "10.0.0", "10.0.0.256", "1.2.3.4 ", "::1::", "[::1]",
                           "1.2.3.4:80", "10.0.0.1%lo"}) {
    EXPECT_FALSE(Address::Parse(text).ok()) << text;
  }
}

TEST(AddressTest, OneAddressHasOneValueHoweverItIsWritten) {
  EXPECT_EQ(A("::ffff:192.0.2.1"), A("192.0.2.1"));
  EXPECT_EQ(A("2001:DB8::1"), A("2001:db8:0:0:0:0:0:1"));
  EXPECT_EQ(A("fe80::1%lo"), A("fe80::1"));
  EXPECT_TRUE(A("::ffff:192.0.2.1").is_ipv4());
  EXPECT_FALSE(A("::1").is_ipv4());
}

TEST(AddressTest, AddressesOfOneIPv6NetworkAreOnePeerAndOthersStayApart) {
  EXPECT_EQ(A("2001:db8:1:2:3:4:5:6").Network(), A("2001:db8:1:2:ffff::1").Network());
  EXPECT_EQ(A("fe80::1%lo").Network(), A("fe80::2").Network());
  EXPECT_NE(A("2001:db8:1:2::1").Network(), A("2001:db8:1:3::1").Network());
  EXPECT_NE(A("60.1.2.34").Network(), A("60.1.2.35").Network());
  EXPECT_NE(A("60.1.2.34").Network(), A("302e:312e:322e:3334::1").Network());
  EXPECT_NE(A("0.0.0.0").Network(), A("::").Network());
}

TEST(NetworkTest, ContainsWhatBeginsAlikeAndNothingElse) {
  const auto is_in = [](absl::string_view address, absl::string_view networks) {
    return IsIn(A(address), ParseNetworks(networks).value());
  };
  EXPECT_TRUE(is_in("10.255.0.1", "10.0.0.0/8"));
  EXPECT_FALSE(is_in("11.0.0.1", "10.0.0.0/8"));
  EXPECT_TRUE(is_in("10.0.0.129", "10.0.0.128/25"));
  EXPECT_FALSE(is_in("10.0.0.127", "10.0.0.128/25"));
  EXPECT_TRUE(is_in("::ffff:10.0.0.1", "10.0.0.1"));
  EXPECT_TRUE(is_in("2001:db8:ffff::", "192.0.2.1,  2001:db8::/32"));
  EXPECT_FALSE(is_in("2001:db9::", "192.0.2.1,2001:db8::/32"));
  EXPECT_TRUE(is_in("1.2.3.4", "0.0.0.0/0"));
  EXPECT_FALSE(is_in("::1", "0.0.0.0/0"));
  EXPECT_TRUE(is_in("::1", "::/0"));
  EXPECT_FALSE(is_in("1.2.3.4", ""));
}

TEST(NetworkTest, MistakesAreRefusedWithTheTextAndTheRule) {
  for (const char* text : {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8",
                           "10.0.0.0/8/8", "10.0.0.0/ 8", "::/99999999999"}) {
    const absl::Status status = ParseNetwork(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(status.message(), HasSubstr("follows the slash"));
    EXPECT_THAT(status.message(), HasSubstr(text));
  }
  EXPECT_THAT(ParseNetwork("10.1.2.3/8").status().message(), HasSubstr("first address"));
  EXPECT_THAT(ParseNetwork("proxy.example/8").status().message(), HasSubstr("is no IPv4 or IPv6"));
  EXPECT_THAT(ParseNetwork(std::string(500, 'x')).status().message().size(), testing::Lt(200u));
}

}  // namespace
}  // namespace webhook::http
