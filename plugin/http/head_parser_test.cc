#include "plugin/http/head_parser.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace webhook::http {
namespace {

// The status a head is refused with; 0: it is good; -1: more is wanted. In one piece, and octet by
// octet in memory that moves each time, with the same outcome.
int Judge(const std::string& bytes, const Limits& limits = Limits()) {
  HeadParser whole, octetwise;
  whole.Begin(limits);
  octetwise.Begin(limits);
  const HeadParser::Result result = whole.Feed(bytes.data(), bytes.size());
  HeadParser::Result piece_result = HeadParser::Result::kMore;
  std::vector<std::string> pieces;
  for (size_t size = 1; size <= bytes.size() && piece_result == HeadParser::Result::kMore; ++size) {
    pieces.push_back(bytes.substr(0, size));
    piece_result = octetwise.Feed(pieces.back().data(), size);
  }
  EXPECT_EQ(piece_result, result) << bytes;
  EXPECT_EQ(octetwise.refusal().status, whole.refusal().status) << bytes;
  if (result == HeadParser::Result::kMore) return -1;
  return whole.refusal().status;
}

std::string With(absl::string_view lines) {
  return absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\n", lines, "\r\n");
}

TEST(HeadTest, AmbiguousFramingIsRefused) {
  EXPECT_EQ(Judge(With("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")), 400);
  EXPECT_EQ(Judge(With("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(Judge(With("Content-Length: 1\r\nContent-Length: 1\r\n")), 400);
  EXPECT_EQ(Judge(With("Content-Length: 1, 1\r\n")), 400);
  EXPECT_EQ(Judge(With("Content-Length: 18446744073709551616\r\n")), 400);
  EXPECT_EQ(Judge(With("Transfer-Encoding: gzip, chunked\r\n")), 501);
  EXPECT_EQ(Judge(With("Transfer-Encoding: chunked, gzip\r\n")), 400);
  EXPECT_EQ(Judge("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(HeadTest, LinesThatAnotherReaderMightSplitDifferentlyAreRefused) {
  EXPECT_EQ(Judge(With("X: a\r\n b\r\n")), 400);
  EXPECT_EQ(Judge(With("X: a\rb\r\n")), 400);
  EXPECT_EQ(Judge(With("X: a\nY: b\r\n")), 400);
  EXPECT_EQ(Judge(With("X : a\r\n")), 400);
  EXPECT_EQ(Judge(With(absl::string_view("X: a\0b\r\n", 8))), 400);
  EXPECT_EQ(Judge("\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

TEST(HeadTest, TlsWherePlainHttpIsSpokenIsToldSo) {
  HeadParser parser;
  const Limits limits;
  parser.Begin(limits);
  EXPECT_EQ(parser.Feed("\x16\x03\x01", 3), HeadParser::Result::kRefused);
  EXPECT_STREQ(parser.refusal().text,
               "this port speaks plain HTTP, and TLS came; use http:// in the URL");
}

TEST(HeadTest, HostMustBeThereOnceAndValid) {
  EXPECT_EQ(Judge("POST / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(Judge(With("Host: a\r\n")), 400);
  EXPECT_EQ(Judge("POST / HTTP/1.0\r\n\r\n"), 0);
}

TEST(HeadTest, RequestLineHasThreeWords) {
  EXPECT_EQ(Judge("POST /a b HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Judge("POST /a HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Judge("POST /a b HTTP/2.0\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Judge("POST  /a HTTP/2.0\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Judge("POST HTTP/2.0\r\nHost: a\r\n\r\n"), 400);
}

TEST(HeadTest, OtherVersionsAndExpectationsAreNamed) {
  EXPECT_EQ(Judge("PRI * HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(Judge("POST / HTTP/11.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(Judge(With("Expect: 200-ok\r\n")), 417);
  EXPECT_EQ(Judge(With("Expect: 200-ok, 100-continued\r\n")), 417);
  EXPECT_EQ(Judge("POST / HTTP/1.0\r\nExpect: x\r\n\r\n"), 0);
  for (const char* harmless :
       {"", " , ", "100-continue", "x, 100-Continue", "100-continue;q=1,100-continue"}) {
    EXPECT_EQ(Judge(With(std::string("Expect: ") + harmless + "\r\n")), 0) << harmless;
  }
  EXPECT_EQ(Judge(With("Expect: x\r\nExpect: 100-continue\r\n")), 0);
}

TEST(HeadTest, LimitsHoldToTheByteAndBeforeTheEnd) {
  Limits limits;
  limits.request_line_bytes = 20;
  limits.header_section_bytes = 30;
  limits.header_fields = 3;
  EXPECT_EQ(Judge("POST /234567 HTTP/1.1", limits), 414);
  EXPECT_EQ(Judge("POST /23456 HTTP/1.1\r\nHost: a\r\n\r\n", limits), 0);
  EXPECT_EQ(Judge("POST / HTTP/1.1\r\nHost: a\r\nX: 3456789012345678901", limits), 431);
  EXPECT_EQ(Judge("POST / HTTP/1.1\r\nHost: a\r\nX: 345678901234567890", limits), -1);
  EXPECT_EQ(Judge("POST / HTTP/1.1\r\nHost: a\r\na:\r\nb:\r\nc", limits), 431);
}

TEST(HeadTest, ConnectionIsAListOfTokens) {
  EXPECT_EQ(Judge(With("Connection: close\r\n")), 0);
  EXPECT_EQ(Judge(With("Connection: , keep-alive,\t Upgrade ,\r\nConnection:\r\n")), 0);
  EXPECT_EQ(Judge(With("Connection: a b\r\n")), 400);
  EXPECT_EQ(Judge(With("Connection: \"close\"\r\n")), 400);
  const auto keeps_alive = [](const std::string& head) {
    const Limits limits;
    HeadParser parser;
    parser.Begin(limits);
    EXPECT_EQ(parser.Feed(head.data(), head.size()), HeadParser::Result::kDone) << head;
    return parser.keep_alive();
  };
  EXPECT_TRUE(keeps_alive(With("Connection: upgrade\r\n")));
  EXPECT_FALSE(keeps_alive(With("Connection: keep-alive ,CLOSE\r\n")));
  EXPECT_FALSE(keeps_alive(With("Connection: close\r\nConnection: keep-alive\r\n")));
  EXPECT_FALSE(keeps_alive("POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(HeadTest, ViewsFollowTheBytesWhenTheyMove) {
  const std::string head = "GET /a?b HTTP/1.1\r\nHost: h\r\nX:  y \r\n\r\nbody";
  const Limits limits;
  HeadParser parser;
  parser.Begin(limits);
  std::string first = head.substr(0, 32), second = head;
  EXPECT_EQ(parser.Feed(first.data(), first.size()), HeadParser::Result::kMore);
  first.assign(first.size(), '#');
  ASSERT_EQ(parser.Feed(second.data(), second.size()), HeadParser::Result::kDone);
  EXPECT_EQ(parser.size(), head.size() - 4);
  EXPECT_EQ(parser.head().method, "GET");
  EXPECT_EQ(parser.head().path, "/a");
  EXPECT_EQ(parser.head().query, "b");
  ASSERT_EQ(parser.head().fields.size(), 2u);
  EXPECT_EQ(parser.head().fields[0].name, "Host");
  EXPECT_EQ(parser.head().fields[0].value, "h");
  EXPECT_EQ(parser.head().Find("x")->value, "y");
}

TEST(HeadTest, RefusedHeadOfAHeadRequestIsKnownAsSuch) {
  const Limits limits;
  for (const char* head :
       {"HEAD / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n"}) {
    HeadParser parser;
    parser.Begin(limits);
    EXPECT_EQ(parser.Feed(head, strlen(head)), HeadParser::Result::kRefused);
    EXPECT_TRUE(parser.is_head_method());
  }
}

TEST(HeadTest, EmptyLinesBeforeARequestAreFew) {
  const std::string head = With("");
  EXPECT_EQ(Judge("\r\n\r\n" + head), 0);
  EXPECT_EQ(Judge("\r\n\r\n\r\n\r\n\r\n" + head), 400);
}

TEST(TargetTest, OnlyAPathOrAnHttpUrlIsATarget) {
  absl::string_view path, query;
  for (const char* bad : {"", "a", "host:80", "ftp://a/", "http:///x", "http://u:p@a/", "/a#b",
                          "/%", "/%4", "/%zz", "*"}) {
    EXPECT_FALSE(SplitTarget(bad, "POST", path, query)) << bad;
  }
  EXPECT_TRUE(SplitTarget("*", "OPTIONS", path, query));
  EXPECT_TRUE(SplitTarget("HTTP://[::1]:80?q%", "POST", path, query));
  EXPECT_EQ(path, "/");
  EXPECT_EQ(query, "q%");
  EXPECT_TRUE(SplitTarget("//a/%2F?b?c", "POST", path, query));
  EXPECT_EQ(path, "//a/%2F");
  EXPECT_EQ(query, "b?c");
}

TEST(TargetTest, AuthorityIsAHostAndMaybeAPort) {
  for (const char* bad : {"", ":80", "a,b", "a b", "u@a", "a:b", "a:123456", "[::1", "[]", "[g::]",
                          "[::1]x", "a/b"}) {
    EXPECT_FALSE(IsAuthority(bad)) << bad;
  }
  for (const char* good : {"a", "a:", "a:80", "127.0.0.1:1", "[::1]", "[::1]:80", "x_y.z-1"}) {
    EXPECT_TRUE(IsAuthority(good)) << good;
  }
}

}  // namespace
}  // namespace webhook::http
