#include "host_stub/service/execute_call.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::Header;
using ::testing::StartsWith;

ExecuteRequest Valid() {
  ExecuteRequest request;
  request.set_instance("webhook");
  return request;
}

// The refusal of a request with one header.
std::string HeaderRefusal(const std::string& name, const std::string& value) {
  ExecuteRequest request = Valid();
  Header* header = request.add_headers();
  header->set_name(name);
  header->set_value(value);
  return std::string(CheckFields(request).message());
}

TEST(CheckFields, HeadersThatWouldBreakOutOfTheirLineAreRefused) {
  for (const std::string& value :
       {std::string("a\r\nX-Admin: 1"), std::string("a\nb"), std::string("a\0b", 3),
        std::string("\x7f"), std::string("\x1b")}) {
    EXPECT_THAT(HeaderRefusal("X-Token", value), StartsWith("headers[0].value: "));
  }
}

TEST(CheckFields, HeaderNamesThatAreNoTokensAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("X Token"), std::string("X:"), std::string("X\n"),
        std::string("\xc3\xbc"), std::string("a\0", 2)}) {
    EXPECT_THAT(HeaderRefusal(name, ""), StartsWith("headers[0].name: "));
  }
}

TEST(CheckFields, OtherMalformedFieldsAreRefusedByName) {
  ExecuteRequest request = Valid();
  request.set_instance("a/b");
  EXPECT_THAT(std::string(CheckFields(request).message()), StartsWith("instance: "));
  request = Valid();
  request.set_method("PO ST");
  EXPECT_THAT(std::string(CheckFields(request).message()), StartsWith("method: "));
  for (const char* remainder : {"x", "/a b", "/a?b", "/a#b", "/\n", "/\xc3\xbc"}) {
    request = Valid();
    request.set_path_remainder(remainder);
    EXPECT_THAT(std::string(CheckFields(request).message()), StartsWith("path_remainder: "));
  }
  request = Valid();
  request.set_query("a=b c");
  EXPECT_THAT(std::string(CheckFields(request).message()), StartsWith("query: "));
  request = Valid();
  request.set_request_id(std::string(65, 'a'));
  EXPECT_THAT(std::string(CheckFields(request).message()), StartsWith("request_id: "));
}

TEST(CheckFields, WhatHttpAllowsIsAccepted) {
  EXPECT_EQ(HeaderRefusal("X-Token!#$%&'*+-.^_`|~1", " a\tb \xc3\xbc "), "");
  ExecuteRequest request = Valid();
  request.set_method("PROPFIND");
  request.set_path_remainder("/a%20b/%C3%BC");
  request.set_query("a=b&c=%0A?x/y");
  request.set_request_id("A-z.0_9");
  EXPECT_TRUE(CheckFields(request).ok());
}

TEST(TooLong, LongTargetsAre414AndLongHeadersAre431) {
  webhook::Limits limits;
  limits.request_line_bytes = 10;
  limits.header_fields = 2;
  limits.header_section_bytes = 20;
  ExecuteRequest request = Valid();
  request.set_query(std::string(11, 'q'));
  EXPECT_EQ(TooLong(request, limits)->status(), 414);
  request = Valid();
  for (int i = 0; i < 3; ++i) request.add_headers()->set_name("a");
  EXPECT_EQ(TooLong(request, limits)->status(), 431);
  request.mutable_headers()->RemoveLast();
  EXPECT_FALSE(TooLong(request, limits).has_value());
  request.mutable_headers(0)->set_value(std::string(20, 'v'));
  EXPECT_EQ(TooLong(request, limits)->status(), 431);
}

TEST(EffectivePeer, AStrangersWordIsNotTaken) {
  ExecuteRequest request = Valid();
  request.set_peer_address("203.0.113.9");
  EXPECT_EQ(*EffectivePeer(request, {false, "127.0.0.1"}), "127.0.0.1");
  request.set_peer_address("nonsense");
  EXPECT_EQ(*EffectivePeer(request, {false, "127.0.0.1"}), "127.0.0.1");
}

TEST(EffectivePeer, ATrustedForwardersWordIsTakenIfItIsAnAddress) {
  ExecuteRequest request = Valid();
  EXPECT_EQ(*EffectivePeer(request, {true, "unix"}), "unix");
  for (const char* address : {"203.0.113.9", "2001:db8::1", "unix"}) {
    request.set_peer_address(address);
    EXPECT_EQ(*EffectivePeer(request, {true, "unix"}), address);
  }
  for (const char* address : {"203.0.113.9:80", "localhost", "[::1]", " 1.2.3.4"}) {
    request.set_peer_address(address);
    EXPECT_EQ(EffectivePeer(request, {true, "unix"}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(MakeCaller, OnlyTheSocketAndCertificatesAreTrusted) {
  EXPECT_TRUE(MakeCaller("unix:", false).trusted);
  EXPECT_TRUE(MakeCaller("ipv4:10.0.0.1:5000", true).trusted);
  EXPECT_FALSE(MakeCaller("ipv4:127.0.0.1:5000", false).trusted);
  EXPECT_FALSE(MakeCaller("", false).trusted);
}

TEST(MakeCaller, AddressesLoseTheirPorts) {
  EXPECT_EQ(MakeCaller("unix:", false).address, "unix");
  EXPECT_EQ(MakeCaller("ipv4:127.0.0.1:5000", false).address, "127.0.0.1");
  EXPECT_EQ(MakeCaller("ipv6:[2001:db8::1]:5000", false).address, "2001:db8::1");
  EXPECT_EQ(MakeCaller("ipv6:%5B::1%5D:5000", false).address, "::1");
  EXPECT_EQ(MakeCaller("ipv6:%5Bfe80::1%25eth0%5D:5000", false).address, "fe80::1");
  EXPECT_EQ(MakeCaller("ipv6:[::ffff:10.0.0.1]:5000", false).address, "10.0.0.1");
  EXPECT_EQ(MakeCaller("vsock:3:4", false).address, "");
}

}  // namespace
}  // namespace host_stub
