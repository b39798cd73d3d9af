#include "plugin/http/peer_network.h"

#include <gtest/gtest.h>

namespace webhook::http {
namespace {

TEST(PeerNetworkTest, AddressesOfOneIPv6NetworkAreOnePeer) {
  EXPECT_EQ(NetworkOf("2001:db8:1:2:3:4:5:6"), NetworkOf("2001:db8:1:2:ffff::1"));
  EXPECT_EQ(NetworkOf("::1"), NetworkOf("::2"));
}

TEST(PeerNetworkTest, OtherNetworksAndOtherTextsStayApart) {
  EXPECT_NE(NetworkOf("2001:db8:1:2::1"), NetworkOf("2001:db8:1:3::1"));
  EXPECT_NE(NetworkOf("60.1.2.34"), NetworkOf("302e:312e:322e:3334::1"));  // the same octets
  for (const char* text : {"192.0.2.1", "", "unix", "no:address"}) EXPECT_EQ(NetworkOf(text), text);
}

}  // namespace
}  // namespace webhook::http
