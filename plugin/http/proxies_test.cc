#include "plugin/http/proxies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/http/testing/test_server.h"

namespace webhook::http {
namespace {

using Result = ProxyHeader::Result;

Proxies ProxiesOf(ForwardingHeader header) {
  return {.networks = ParseNetworks("10.0.0.0/8, 2001:db8:f::/48").value(), .header = header};
}

std::string SenderOf(ForwardingHeader header, std::vector<absl::string_view> values,
                     size_t most = 8) {
  const auto sender = ProxiesOf(header).SenderOf(values, most);
  return sender.has_value() ? sender->ToString() : "";
}

TEST(ForwardingHeaderTest, OtherNamesAreRefused) {
  EXPECT_FALSE(ParseForwardingHeader("X-Real-IP").ok());
  EXPECT_FALSE(ParseForwardingHeader("Forwarded, X-Forwarded-For").ok());
  EXPECT_EQ(*ParseForwardingHeader(""), ForwardingHeader::kXForwardedFor);
  EXPECT_EQ(*ParseForwardingHeader("x-forwarded-for"), ForwardingHeader::kXForwardedFor);
  EXPECT_EQ(*ParseForwardingHeader("Forwarded"), ForwardingHeader::kForwarded);
  EXPECT_EQ(*ParseForwardingHeader("none"), ForwardingHeader::kNone);
}

TEST(SenderOfTest, WhatIsReachedAndCannotBeReadIsNobody) {
  for (const char* value : {"",
                            ",",
                            "unknown",
                            "_hidden",
                            "192.0.2.1.",
                            "192.0.2.256",
                            "192.0.2.1:",
                            "192.0.2.1:x",
                            "192.0.2.1:65536",
                            "192.0.2.1:080",
                            "[192.0.2.1]",
                            "[2001:db8::1",
                            "[2001:db8::1]x",
                            "[2001:db8::1]:",
                            "2001:db8::1%eth0",
                            "192.0.2.1 192.0.2.2",
                            "localhost",
                            "192.0.2.1, ",
                            "192.0.2.1,\"10.0.0.1\"",
                            "unknown, 10.0.0.1"}) {
    EXPECT_EQ(SenderOf(ForwardingHeader::kXForwardedFor, {value}), "") << value;
  }
  for (const char* value :
       {"", ",", "192.0.2.1", "for", "for=", "for=unknown", "for=_hidden", "for=2001:db8::1",
        "for=\"2001:db8::1", "for=\"\\192.0.2.1\"", "for=192.0.2.1;for=192.0.2.2", "by=192.0.2.1",
        "for=192.0.2.1, ", "for=192.0.2.1;;proto", "for=192.0.2.1 proto=http", "for =192.0.2.1",
        "for=\"192.0.2.1\"x"}) {
    EXPECT_EQ(SenderOf(ForwardingHeader::kForwarded, {value}), "") << value;
  }
}

TEST(SenderOfTest, MoreAddressesThanTheLimitAreNobody) {
  EXPECT_EQ(SenderOf(ForwardingHeader::kXForwardedFor, {"1.1.1.1,10.0.0.1,10.0.0.2"}, 2), "");
  EXPECT_EQ(SenderOf(ForwardingHeader::kXForwardedFor, {"1.1.1.1", "10.0.0.1", "10.0.0.2"}, 2), "");
  EXPECT_EQ(SenderOf(ForwardingHeader::kForwarded, {"for=1.1.1.1,for=10.0.0.1"}, 1), "");
  EXPECT_EQ(SenderOf(ForwardingHeader::kXForwardedFor, {"1.1.1.1,10.0.0.1"}, 2), "1.1.1.1");
}

TEST(SenderOfTest, WhatASenderWroteItselfIsNotBelieved) {
  const auto x = ForwardingHeader::kXForwardedFor;
  EXPECT_EQ(SenderOf(x, {"10.0.0.9, 192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(SenderOf(x, {"198.51.100.7", "192.0.2.1, 10.0.0.3"}), "192.0.2.1");
  EXPECT_EQ(SenderOf(x, {"\"nonsense, 192.0.2.1"}), "192.0.2.1");
  const auto forwarded = ForwardingHeader::kForwarded;
  EXPECT_EQ(SenderOf(forwarded, {"for=10.0.0.9, for=192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(SenderOf(forwarded, {"for=\"nonsense", "for=192.0.2.1"}), "192.0.2.1");
  // An open quote must not swallow what the proxy appended.
  EXPECT_EQ(SenderOf(forwarded, {"for=10.0.0.9, for=\"x, for=192.0.2.1"}), "");
  EXPECT_EQ(SenderOf(forwarded, {"for=198.51.100.7, a=\", for=\"[2001:db8::1]\""}), "");
}

TEST(SenderOfTest, IsTheFirstFromTheRightThatIsNotListed) {
  const auto x = ForwardingHeader::kXForwardedFor;
  EXPECT_EQ(SenderOf(x, {"192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(SenderOf(x, {" 192.0.2.1:4711 ,10.1.2.3:80"}), "192.0.2.1");
  EXPECT_EQ(SenderOf(x, {"[2001:DB8::1]:443", "2001:db8:f::7"}), "2001:db8::1");
  EXPECT_EQ(SenderOf(x, {"2001:db8::1"}), "2001:db8::1");
  EXPECT_EQ(SenderOf(x, {"::ffff:192.0.2.1"}), "192.0.2.1");
  const auto forwarded = ForwardingHeader::kForwarded;
  EXPECT_EQ(SenderOf(forwarded, {"For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1"}),
            "2001:db8::1");
  EXPECT_EQ(SenderOf(forwarded, {"proto=\"a,b;\\\"c\" ; for=192.0.2.1;, for=10.0.0.4"}),
            "192.0.2.1");
  EXPECT_EQ(SenderOf(forwarded, {"proto=\"a,b;\\\"c\" ; for=192.0.2.1, for=\"10.0.0.4:1\""}),
            "192.0.2.1");
}

TEST(SenderOfTest, WhereAllAreListedIsTheLeftmost) {
  EXPECT_EQ(SenderOf(ForwardingHeader::kXForwardedFor, {"10.0.0.1, 10.0.0.2"}), "10.0.0.1");
}

std::string Version2(char command, char family, absl::string_view rest, int length = -1) {
  const int size = length < 0 ? static_cast<int>(rest.size()) : length;
  std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
  header += {command, family, static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
  return absl::StrCat(header, rest);
}

// Takes no more than is needed, as a connection does.
ProxyHeader ReadAll(absl::string_view octets, size_t* taken = nullptr) {
  size_t size = 0;
  ProxyHeader header = ProxyHeader::Read("");
  while (header.result == Result::kMore && size + header.needed <= octets.size()) {
    size += header.needed;
    header = ProxyHeader::Read(octets.substr(0, size));
  }
  if (taken != nullptr) *taken = size;
  return header;
}

const std::string kTcp4("\xC0\0\2\1\x0A\0\0\1\x12\x67\0\x50", 12);
const std::string kTcp6 = std::string("\x20\1\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\1", 16) +
                          std::string(16, '\0') + std::string(4, '\1');

TEST(ProxyHeaderTest, WhatIsNoHeaderIsMalformedAsSoonAsThatIsSeen) {
  for (const std::string& octets :
       {std::string("G"), std::string("POST / HTTP/1.1\r\n"), std::string("PROXY TCP5"),
        std::string("\x16\x03\x01"), std::string("PROXX"), std::string("\r\n\r\nX")}) {
    // Only the first words of version 1 are looked at before a line is whole.
    if (octets == "PROXY TCP5") continue;
    EXPECT_EQ(ProxyHeader::Read(octets).result, Result::kMalformed) << octets;
  }
  const std::string cases[] = {
      "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
      "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
      "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
      "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n",
      "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
      "PROXY TCP4 ::1 ::1 1 2\r\n",
      "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
      "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
      "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
      "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
      "PROXY UNKNOWN\n\r\n",
      "PROXY UNKNOWNX\r\n",
      "PROXY UNKNOWN " + std::string(100, 'x') + "\r\n",
      Version2(0x11, 0x11, kTcp4),
      Version2(0x22, 0x11, kTcp4),
      Version2(0x21, 0x12, kTcp4),  // UDP
      Version2(0x21, 0x11, kTcp4.substr(1)),
      Version2(0x21, 0x21, kTcp6.substr(1)),
      Version2(0x21, 0x31, std::string(215, 'x')),
      Version2(0x21, 0x11, std::string(521, 'x')),
      Version2(0x21, 0x11, "", 65'535),
  };
  for (const std::string& octets : cases) {
    EXPECT_EQ(ReadAll(octets).result, Result::kMalformed) << octets;
  }
}

TEST(ProxyHeaderTest, TakesTheHeaderAndNoOctetOfWhatFollows) {
  const std::string longest = Version2(0x21, 0x21, kTcp6 + std::string(520 - 36, '\0'));
  EXPECT_EQ(longest.size(), ProxyHeader::kMostBytes);
  const struct {
    std::string header;
    Result result;
    std::string address;
  } cases[] = {
      {"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", Result::kAddress, "192.0.2.1"},
      {"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", Result::kAddress, "2001:db8::1"},
      {"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", Result::kAddress, "192.0.2.1"},
      {"PROXY UNKNOWN\r\n", Result::kUnknown, "::"},
      {"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Result::kUnknown, "::"},
      {Version2(0x21, 0x11, kTcp4), Result::kAddress, "192.0.2.1"},
      {Version2(0x21, 0x11, kTcp4 + "a TLV"), Result::kAddress, "192.0.2.1"},
      {longest, Result::kAddress, "2001:db8::1"},
      {Version2(0x20, 0x00, ""), Result::kLocal, "::"},
      {Version2(0x20, 0x11, "ignored"), Result::kLocal, "::"},
      {Version2(0x21, 0x00, ""), Result::kUnknown, "::"},
      {Version2(0x21, 0x31, std::string(216, 'x')), Result::kUnknown, "::"},
  };
  for (const auto& one : cases) {
    for (const char* after : {"", "P", "\n", "\r\n\r\n", "POST / HTTP/1.1\r\n\r\n"}) {
      size_t taken = 0;
      const ProxyHeader header = ReadAll(one.header + after, &taken);
      EXPECT_EQ(header.result, one.result) << one.header;
      EXPECT_EQ(header.address.ToString(), one.address) << one.header;
      EXPECT_EQ(taken, one.header.size()) << one.header;
    }
    for (size_t size = 0; size < one.header.size(); ++size) {
      EXPECT_EQ(ProxyHeader::Read(one.header.substr(0, size)).result, Result::kMore) << size;
    }
  }
}

// A server that answers with its request's peer, "?" behind it where that is doubtful.
struct PeerServer : TestServer {
  PeerServer() {
    options.proxies.networks = ParseNetworks("127.0.0.0/8").value();
    handler.on_request = [](Exchange& exchange) {
      const RequestHead& head = exchange.head();
      Reply(exchange, 200, absl::StrCat(head.peer, head.peer_is_doubtful ? "?" : ""));
    };
    handler.on_answered = [this](const Answered& answered) {
      const std::lock_guard<std::mutex> lock(mutex);
      told.push_back(absl::StrCat(lri_reason_name(answered.reason), " ", answered.peer));
      if (answered.status != 200) refused.Notify();
    };
  }
  ~PeerServer() { server = nullptr; }  // before what its handler uses

  std::vector<std::string> Told() {
    const std::lock_guard<std::mutex> lock(mutex);
    return told;
  }

  std::mutex mutex;
  std::vector<std::string> told;
  Signal refused;
};

std::string PeerOf(TestClient& client, absl::string_view headers) {
  client.Send(Post("/", "x", headers));
  const auto answer = client.ReadAnswer();
  return answer.has_value() ? answer->body : "";
}

TEST(StatedPeerTest, PeerThatIsNotListedIsNotBelieved) {
  PeerServer test;
  test.options.proxies.networks = ParseNetworks("192.0.2.0/24").value();
  TestClient client(test.Listen());
  EXPECT_EQ(PeerOf(client, "X-Forwarded-For: 203.0.113.9\r\n"), "127.0.0.1");
}

TEST(StatedPeerTest, EachRequestOfAConnectionHasThePeerThatIsStatedForIt) {
  PeerServer test;
  const uint16_t port = test.Listen();
  {
    TestClient client(port);
    EXPECT_EQ(PeerOf(client, "X-Forwarded-For: 203.0.113.9\r\n"), "203.0.113.9");
    EXPECT_EQ(PeerOf(client, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 2001:db8::1\r\n"),
              "2001:db8::1");
    EXPECT_EQ(PeerOf(client, ""), "127.0.0.1");
    EXPECT_EQ(PeerOf(client, "Forwarded: for=203.0.113.9\r\n"), "127.0.0.1");
    EXPECT_EQ(PeerOf(client, "X-Forwarded-For: unknown\r\n"), "127.0.0.1?");
    EXPECT_EQ(PeerOf(client, ""), "127.0.0.1");
  }
  test.server->SetProxies(
      {.networks = ParseNetworks("127.0.0.1").value(), .header = ForwardingHeader::kForwarded});
  TestClient client(port);
  EXPECT_EQ(PeerOf(client, "Forwarded: for=203.0.113.9\r\nX-Forwarded-For: 192.0.2.1\r\n"),
            "203.0.113.9");
  test.server->SetProxies(
      {.networks = ParseNetworks("127.0.0.1").value(), .header = ForwardingHeader::kNone});
  TestClient silent(port);
  EXPECT_EQ(PeerOf(silent, "Forwarded: for=203.0.113.9\r\nX-Forwarded-For: 192.0.2.1\r\n"),
            "127.0.0.1");
}

TEST(StatedPeerTest, RequestsOfOneSenderAreBoundedThoughTheProxyMayHaveMoreConnections) {
  PeerServer test;
  test.options.limits.connections_from_one_address = 2;
  const uint16_t port = test.Listen();
  const std::string head =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n"
      "X-Forwarded-For: ";
  std::vector<std::unique_ptr<TestClient>> clients;
  const auto send = [&](absl::string_view sender) -> TestClient& {
    clients.push_back(std::make_unique<TestClient>(port));
    clients.back()->Send(absl::StrCat(head, sender, "\r\n\r\n"));
    return *clients.back();
  };
  // The order matters, so each is answered before the next comes.
  const auto is_read = [](TestClient& client) {
    client.Send("x");
    return client.ReadAnswer()->status;
  };
  test.handler.on_head = [](Exchange&) { return HeadVerdict::ReadBody(); };
  TestClient& first = send("2001:db8::1");
  TestClient& second = send("2001:db8::2");  // the same /64
  while (test.server->connections() < 2) {
  }
  EXPECT_EQ(send("192.0.2.1").connected(), true);
  EXPECT_EQ(is_read(*clients.back()), 200);
  std::optional<Answer> refused;
  // Until both have been read.
  do {
    TestClient& third = send("2001:db8::3");
    third.Send("x");
    refused = third.ReadAnswer();
  } while (refused->status == 200);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(is_read(first), 200);
  EXPECT_EQ(is_read(second), 200);
  do {
    TestClient& third = send("2001:db8::3");
    third.Send("x");
    refused = third.ReadAnswer();
  } while (refused->status == 503);
  EXPECT_EQ(refused->body, "2001:db8::3");
}

TEST(StatedPeerTest, BytesCountForTheSenderAndNotForTheProxy) {
  TestServer test;
  test.options.proxies.networks = ParseNetworks("127.0.0.0/8").value();
  test.options.limits.body_bytes = 100'000;
  test.options.limits.bytes_in_flight = 1'000'000;
  test.options.limits.bytes_in_flight_percent_of_one_address = 10;  // one body
  Signal arrived;
  Exchange* held = nullptr;
  test.handler.on_request = [&](Exchange& exchange) {
    if (held != nullptr) return Reply(exchange, 200, exchange.head().peer);
    held = &exchange;
    arrived.Notify();
  };
  const uint16_t port = test.Listen();
  const std::string body(90'000, 'x');
  const auto post = [&](TestClient& client, absl::string_view sender) {
    client.Send(Post("/", body, absl::StrCat("X-Forwarded-For: ", sender, "\r\n")));
  };
  TestClient first(port), same(port), other(port);
  post(first, "192.0.2.1");
  arrived.WaitForNotification();
  post(same, "192.0.2.1");
  EXPECT_EQ(same.ReadAnswer()->status, 503);
  post(other, "192.0.2.2");
  EXPECT_EQ(other.ReadAnswer()->status, 200);
  Reply(*held, 200, "first");
  EXPECT_EQ(first.ReadAnswer()->body, "first");
  post(first, "192.0.2.1");
  EXPECT_EQ(first.ReadAnswer()->body, "192.0.2.1");
}

TEST(ProxyProtocolTest, OthersThanListedPeersAreClosedAndTold) {
  PeerServer test;
  test.options.proxies = {.networks = ParseNetworks("192.0.2.0/24").value(),
                          .proxy_protocol = true};
  TestClient client(test.Listen());
  client.Send("PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n");
  EXPECT_TRUE(client.ReadUntilClosed());
  EXPECT_EQ(client.rest(), "");
  test.refused.WaitForNotification();
  EXPECT_THAT(test.Told(), testing::ElementsAre("address 127.0.0.1"));
}

TEST(ProxyProtocolTest, HeaderIsNotGuessedAndMustComeInTime) {
  PeerServer test;
  test.options.proxies.proxy_protocol = true;
  test.options.limits.proxy_header_timeout_ms = 100;
  const uint16_t port = test.Listen();
  TestClient plain(port), silent(port), cut(port);
  plain.Send(Post("/", "x"));
  cut.Send("PROXY TCP4 192.0.2.1 10");
  for (TestClient* client : {&plain, &silent, &cut}) {
    EXPECT_TRUE(client->ReadUntilClosed());
    EXPECT_EQ(client->rest(), "");
  }
  while (test.Told().size() < 3) {
  }
  EXPECT_THAT(test.Told(), testing::UnorderedElementsAre("bad_request 127.0.0.1", "slow 127.0.0.1",
                                                         "slow 127.0.0.1"));
}

TEST(ProxyProtocolTest, StatedPeerIsThatOfEveryRequestHoweverTheHeaderIsSplit) {
  PeerServer test;
  test.options.proxies.proxy_protocol = true;
  const uint16_t port = test.Listen();
  const std::string v1 = "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n";
  for (const std::string& header : {v1, Version2(0x21, 0x11, kTcp4)}) {
    TestClient client(port);
    client.Send(header + Post("/", "x") + Post("/", "y", "X-Forwarded-For: 203.0.113.9\r\n"));
    EXPECT_EQ(client.ReadAnswer()->body, "192.0.2.1");
    EXPECT_EQ(client.ReadAnswer()->body, "192.0.2.1");
    TestClient split(port);
    for (const char octet : header) split.Send(absl::string_view(&octet, 1));
    EXPECT_EQ(PeerOf(split, ""), "192.0.2.1");
  }
  TestClient unknown(port), local(port), listed(port);
  unknown.Send("PROXY UNKNOWN\r\n");
  EXPECT_EQ(PeerOf(unknown, "X-Forwarded-For: 203.0.113.9\r\n"), "127.0.0.1?");
  local.Send(Version2(0x20, 0x00, ""));
  EXPECT_EQ(PeerOf(local, "X-Forwarded-For: 203.0.113.9\r\n"), "127.0.0.1");
  // A proxy behind a proxy.
  listed.Send("PROXY TCP4 127.0.0.9 10.0.0.1 4711 80\r\n");
  EXPECT_EQ(PeerOf(listed, "X-Forwarded-For: 203.0.113.9\r\n"), "203.0.113.9");
}

TEST(ProxyProtocolTest, StatedAddressHasTheLimitOfItsConnections) {
  PeerServer test;
  test.options.proxies.proxy_protocol = true;
  test.options.limits.connections_from_one_address = 1;
  const uint16_t port = test.Listen();
  TestClient first(port);
  first.Send(
      "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\nPOST / HTTP/1.1\r\nHost: a\r\n"
      "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  // It is idle until its head is read; then it does not give way any more.
  int status = 0;
  do {
    TestClient second(port);
    second.Send("PROXY TCP4 192.0.2.1 10.0.0.1 4712 80\r\n");
    second.Send(Post("/", "x"));
    const auto answer = second.ReadAnswer();
    status = answer.has_value() ? answer->status : 0;
  } while (status == 200);
  EXPECT_EQ(status, 503);
  TestClient other(port);
  other.Send("PROXY TCP4 192.0.2.2 10.0.0.1 4713 80\r\n");
  EXPECT_EQ(PeerOf(other, ""), "192.0.2.2");
}

}  // namespace
}  // namespace webhook::http
