#include "host_stub/socket_address.h"

#include <gtest/gtest.h>

namespace host_stub {
namespace {

TEST(SocketAddressTest, WhatIsNoAddressWithAPortIsRefused) {
  for (const char* text :
       {"", "8080", ":8080", "localhost:8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:http", "::1:8080", "[::1]", "[127.0.0.1]:8080", "127.0.0:80"}) {
    EXPECT_FALSE(ParseSocketAddress(text).ok()) << text;
  }
}

TEST(SocketAddressTest, AddressIsReadAndWrittenAgain) {
  for (const char* text : {"127.0.0.1:0", "0.0.0.0:65535", "[::1]:8080"}) {
    auto address = ParseSocketAddress(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(FormatSocketAddress(*address), text);
  }
}

}  // namespace
}  // namespace host_stub
