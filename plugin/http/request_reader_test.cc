#include "plugin/http/request_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "plugin/http/shard.h"

namespace webhook::http {
namespace {

using Event = RequestReader::Event;

constexpr size_t kAll = 1 << 20;  // in one piece

// Gives the reader as much of `bytes` as it takes; returns what happens then.
Event GiveTo(RequestReader& reader, absl::string_view& bytes, size_t piece = kAll) {
  for (;;) {
    const Event event = reader.Next();
    if (event != Event::kMore || bytes.empty() || !reader.WantsBytes()) return event;
    const std::span<char> space = reader.Space();
    const size_t count = std::min({piece, space.size(), bytes.size()});
    std::copy_n(bytes.begin(), count, space.begin());
    bytes.remove_prefix(count);
    reader.Received(count);
  }
}

class RequestReaderTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(reader_.Begin(limits_, budget_)); }

  Event Give(absl::string_view& bytes, size_t piece = kAll) {
    return GiveTo(reader_, bytes, piece);
  }
  Event GiveAll(const std::string& bytes) {
    absl::string_view left = bytes;
    return Give(left);
  }
  // A whole request that is read, or the status it is refused with.
  std::string Read(absl::string_view& bytes, size_t piece = kAll) {
    Event event = Give(bytes, piece);
    if (event == Event::kHead) {
      reader_.ReadBody(INT64_MAX);
      event = Give(bytes, piece);
    }
    if (event == Event::kRefused) return absl::StrCat(reader_.refusal().status);
    if (event != Event::kBody) return "more";
    const std::string body(reader_.body());
    for (size_t i = 0; i < kBodyPadding; ++i) EXPECT_EQ(reader_.body().data()[body.size() + i], 0);
    reader_.Finish();
    return body;
  }

  Limits limits_;
  ByteShares shares_{limits_};
  BytesInFlight all_;
  AddressBytes address_{.share = shares_.all};
  std::atomic<int64_t>& used_ = all_.bytes;
  ByteBudget budget_{all_, address_, shares_};
  RequestReader reader_;
};

std::string Whole(absl::string_view body, absl::string_view more = "") {
  return absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\n", more, "Content-Length: ", body.size(),
                      "\r\n\r\n", body);
}

std::string Chunked(absl::string_view body) {
  return absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                      absl::Hex(body.size()), "\r\n", body, "\r\n0\r\n\r\n");
}

TEST_F(RequestReaderTest, RequestsComeOneAfterTheOtherInAnyPieces) {
  const std::string large(100'000, 'l');
  const std::string all =
      Whole("one") + Whole("") + Chunked("two") + Whole(large) + Chunked(large) +
      Whole("", absl::StrCat("X: ", large.substr(0, 50'000), "\r\n")) + Whole("end");
  for (const size_t piece : {size_t{1}, size_t{1000}, kAll}) {
    absl::string_view bytes = all;
    EXPECT_EQ(Read(bytes, piece), "one");
    EXPECT_EQ(Read(bytes, piece), "");
    EXPECT_EQ(Read(bytes, piece), "two");
    EXPECT_TRUE(Read(bytes, piece) == large);
    EXPECT_TRUE(Read(bytes, piece) == large);
    EXPECT_EQ(Read(bytes, piece), "");
    EXPECT_EQ(Read(bytes, piece), "end");
    EXPECT_TRUE(bytes.empty() && reader_.empty());
  }
  reader_.End();
  EXPECT_EQ(used_, 0);
}

TEST_F(RequestReaderTest, ViewsOfAHeadStayWhileItsBodyIsRead) {
  const std::string large(1'000'000, 'l');
  for (const std::string& request : {Whole(large, "X: y\r\n"), Chunked(large)}) {
    absl::string_view bytes = request;
    ASSERT_EQ(Give(bytes, 1000), Event::kHead);
    const RequestHead head = reader_.head();
    reader_.ReadBody(INT64_MAX);
    ASSERT_EQ(Give(bytes, 1000), Event::kBody);
    EXPECT_EQ(head.method, "POST");
    EXPECT_EQ(head.Find("host")->value, "a");
    EXPECT_TRUE(reader_.body() == large);
    reader_.Finish();
  }
}

TEST_F(RequestReaderTest, BodyIsRefusedAsSoonAsItsLengthIsKnown) {
  limits_.body_bytes = 10;
  EXPECT_EQ(GiveAll("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), Event::kHead);
  reader_.ReadBody(INT64_MAX);
  EXPECT_EQ(reader_.Next(), Event::kRefused);
  EXPECT_EQ(reader_.refusal().status, 413);
  EXPECT_EQ(reader_.Next(), Event::kRefused);
  EXPECT_FALSE(reader_.WantsBytes());

  ASSERT_TRUE(reader_.Begin(limits_, budget_));
  EXPECT_EQ(GiveAll("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"),
            Event::kHead);
  reader_.ReadBody(4);
  EXPECT_EQ(reader_.Next(), Event::kRefused);
  EXPECT_EQ(reader_.refusal().status, 413);
}

TEST_F(RequestReaderTest, MemoryIsReservedAsABodyArrivesAndReleasedWithIt) {
  const std::string request = Whole(std::string(1'000'000, 'x'));
  absl::string_view head = absl::string_view(request).substr(0, request.find("\r\n\r\n") + 4);
  ASSERT_EQ(Give(head), Event::kHead);
  reader_.ReadBody(INT64_MAX);
  EXPECT_EQ(reader_.Next(), Event::kMore);
  EXPECT_GT(used_, 0);
  EXPECT_LT(used_, 100'000);
  absl::string_view body = absl::string_view(request).substr(request.size() - 1'000'000);
  ASSERT_EQ(Give(body, 10'000), Event::kBody);
  EXPECT_EQ(used_, 1'000'000);
  EXPECT_GT(reader_.held_bytes(), 1'000'000u);
  reader_.Finish();
  EXPECT_EQ(used_, 0);
  EXPECT_EQ(reader_.held_bytes(), RequestReader::kReadBytes);
}

TEST_F(RequestReaderTest, WhatTheBudgetDoesNotHoldIsRefused) {
  AddressBytes address{.share = 20'000};
  ByteBudget small(all_, address, shares_);
  for (const std::string& request :
       {Whole(std::string(30'000, 'x')), Chunked(std::string(30'000, 'x')),
        Whole("", absl::StrCat("X: ", std::string(40'000, 'x'), "\r\n"))}) {
    ASSERT_TRUE(reader_.Begin(limits_, small));
    absl::string_view bytes = request;
    EXPECT_EQ(Read(bytes), "503");
    reader_.End();
    EXPECT_EQ(used_, 0);
  }
}

TEST_F(RequestReaderTest, EquivalentPathsAreOneAndOthersStayAsTheyAre) {
  const std::pair<const char*, const char*> cases[] = {
      {"/a/web%68ook", "/a/webhook"},
      {"//a/webhook", "/a/webhook"},
      {"//", "/"},
      {"/%41%7a%30%2D%2e%5F%7E", "/Az0-._~"},
      {"http://h//%61", "/a"},
      {"///a", "//a"},
      {"/a//b", "/a//b"},
      {"/a%2fb%2Fc", "/a%2fb%2Fc"},
      {"/%2577%00%3f%3B%80", "/%2577%00%3f%3B%80"},
      {"/./a/../b", "/./a/../b"},
      {"/%2e%2e/b", "/../b"},
      {"/", "/"},
      {"http://h", "/"},
  };
  for (const auto& [sent, path] : cases) {
    const std::string request = absl::StrCat("GET ", sent, "?%41 HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_EQ(GiveAll(request), Event::kHead) << sent;
    reader_.NormalizePath();
    EXPECT_EQ(reader_.head().path, path) << sent;
    EXPECT_EQ(reader_.head().query, "%41");
    reader_.Finish();
  }
}

TEST_F(RequestReaderTest, SkippedBodyIsNoRequest) {
  absl::string_view bytes;
  const std::string all = Whole(Whole("smuggled")) + Whole("next");
  bytes = all;
  ASSERT_EQ(Give(bytes, 10), Event::kHead);
  const uint64_t length = *reader_.head().content_length;
  reader_.Finish();
  reader_.Skip(length);
  ASSERT_EQ(Give(bytes, 10), Event::kSkipped);
  EXPECT_EQ(Read(bytes, 10), "next");
}

TEST_F(RequestReaderTest, ReadsAheadOfAnUnansweredRequestOnceAndWithinTheLimit) {
  limits_.pipelined_bytes = 100;
  ASSERT_EQ(GiveAll(Whole("first")), Event::kHead);
  reader_.ReadBody(INT64_MAX);
  ASSERT_EQ(reader_.Next(), Event::kBody);
  ASSERT_TRUE(reader_.WantsBytes());
  EXPECT_EQ(reader_.Space().size(), 100u);
  const std::string next = Whole("next");
  std::copy(next.begin(), next.end(), reader_.Space().begin());
  reader_.Received(next.size());
  EXPECT_FALSE(reader_.WantsBytes());
  EXPECT_EQ(reader_.Next(), Event::kMore);
  EXPECT_EQ(reader_.body(), "first");
  reader_.Finish();
  absl::string_view nothing;
  EXPECT_EQ(Read(nothing), "next");
}

TEST_F(RequestReaderTest, SenderThatWaitsForContinueIsKnown) {
  const std::string request = Whole("hi", "Expect: 100-continue\r\n");
  const std::string head = request.substr(0, request.size() - 2);
  ASSERT_EQ(GiveAll(head), Event::kHead);
  reader_.ReadBody(INT64_MAX);
  EXPECT_TRUE(reader_.waits_for_continue());
  ASSERT_EQ(GiveAll("hi"), Event::kBody);
  reader_.Finish();

  ASSERT_EQ(GiveAll(request), Event::kHead);  // does not wait
  reader_.ReadBody(INT64_MAX);
  EXPECT_FALSE(reader_.waits_for_continue());
  ASSERT_EQ(reader_.Next(), Event::kBody);
  reader_.Finish();

  ASSERT_EQ(GiveAll(Whole("", "Expect: 100-continue\r\n")), Event::kHead);  // nothing to wait with
  reader_.ReadBody(INT64_MAX);
  EXPECT_FALSE(reader_.waits_for_continue());
}

// What the reader holds beyond its usual input buffer after a body of that size.
size_t BytesKeptAfterBody(RequestReader& reader, size_t size) {
  const std::string request = Chunked(std::string(size, 'x'));
  absl::string_view bytes = request;
  EXPECT_EQ(GiveTo(reader, bytes), Event::kHead);
  reader.ReadBody(INT64_MAX);
  EXPECT_EQ(GiveTo(reader, bytes), Event::kBody);
  EXPECT_EQ(reader.body().size(), size);
  reader.Finish();
  return reader.held_bytes() - RequestReader::kReadBytes;
}

TEST(WorkspaceTest, LargeBuffersAreGivenBackAndSmallOnesKept) {
  Limits limits;
  const ByteShares shares(limits);
  BytesInFlight all;
  AddressBytes address{.share = shares.all};
  ByteBudget budget(all, address, shares);
  WorkspacePool pool;
  std::unique_ptr<Workspace> workspace = pool.Take(limits, budget);
  Workspace* const first = workspace.get();
  workspace->out.assign(1024 * 1024, 'x');
  Workspace::Empty(workspace->out);
  EXPECT_TRUE(workspace->out.empty());
  EXPECT_LT(workspace->out.capacity(), 1024u);
  workspace->out.assign(4000, 'x');
  EXPECT_EQ(BytesKeptAfterBody(workspace->reader, 1024 * 1024), 0u);
  const size_t kept = BytesKeptAfterBody(workspace->reader, 4096);
  EXPECT_GE(kept, 4096u);
  pool.Give(std::move(workspace));
  workspace = pool.Take(limits, budget);
  EXPECT_EQ(workspace.get(), first);
  EXPECT_TRUE(workspace->out.empty());
  EXPECT_GE(workspace->out.capacity(), 4000u);
  EXPECT_EQ(workspace->reader.held_bytes(), RequestReader::kReadBytes + kept);
}

}  // namespace
}  // namespace webhook::http
