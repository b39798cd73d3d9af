// Handler::OnAnswered: what became of each request and each refused connection is told once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/http/testing/test_server.h"

namespace webhook::http {
namespace {

struct Told {
  int status;
  lri_reason reason;
  std::string peer, method, path, detail;
  bool has_exchange;
  int64_t bytes_in, bytes_out;
};

// What a server told, in order.
class Record {
 public:
  explicit Record(TestServer& test) {
    test.handler.on_answered = [this](const Answered& answered) {
      const std::lock_guard<std::mutex> lock(mutex_);
      told_.push_back({answered.status, answered.reason, std::string(answered.peer),
                       std::string(answered.method), std::string(answered.path),
                       std::string(answered.detail), answered.exchange != nullptr,
                       answered.bytes_in, answered.bytes_out});
      changed_.notify_all();
    };
  }

  // Waits for the next one.
  Told Next() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return told_.size() > taken_; });
    return told_[taken_++];
  }
  size_t left() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return told_.size() - taken_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Told> told_;
  size_t taken_ = 0;
};

TEST(ReasonsTest, NamesAreDifferentAndAnUnknownNumberIsOther) {
  std::set<std::string> names;
  std::set<int> numbers;
  int count = 0;
#define LRI_COUNT(identifier, number, name)        \
  names.insert(name);                              \
  numbers.insert(number);                          \
  EXPECT_STREQ(lri_reason_name(identifier), name); \
  ++count;
  LRI_REASONS(LRI_COUNT)
#undef LRI_COUNT
  EXPECT_EQ(names.size(), static_cast<size_t>(count));
  EXPECT_EQ(numbers.size(), static_cast<size_t>(count));
  EXPECT_STREQ(lri_reason_name(9'999), "other");
  EXPECT_STREQ(lri_reason_name(-1), "other");
}

struct Refused {
  std::string request;
  int status;
  lri_reason reason;
  std::string method, path;
};

TEST(AnsweredTest, WhatTheServerRefusesByItselfIsToldOnceWithItsReason) {
  const std::string post = "POST /a?secret=1 HTTP/1.1\r\n";
  const Refused cases[] = {
      {"\x16\x03\x01 junk\r\n\r\n", 400, LRI_REASON_BAD_REQUEST, "", ""},
      {"GET http://user:pass@host/a HTTP/3.0\r\n\r\n", 505, LRI_REASON_VERSION, "GET", ""},
      {"POST /a?secret=1 HTTP/2.0\r\n\r\n", 505, LRI_REASON_VERSION, "POST", "/a"},
      {post + "\r\n", 400, LRI_REASON_BAD_HOST, "POST", "/a"},
      {post + "Host: a\r\nHost: b\r\n\r\n", 400, LRI_REASON_BAD_HOST, "POST", "/a"},
      {"GET /" + std::string(20'000, 'x'), 414, LRI_REASON_TARGET_TOO_LONG, "GET", ""},
      {post + "Host: a\r\nX: " + std::string(70'000, 'x'), 431, LRI_REASON_HEADER_TOO_LARGE, "POST",
       "/a"},
      {post + "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501,
       LRI_REASON_TRANSFER_CODING, "POST", "/a"},
      {post + "Host: a\r\nExpect: else\r\n\r\n", 417, LRI_REASON_EXPECTATION, "POST", "/a"},
      {post + "Host: a\r\nContent-Length: 99999999\r\n\r\n", 413, LRI_REASON_BODY_TOO_LARGE, "POST",
       "/a"},
      {post + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\nx", 400, LRI_REASON_BAD_REQUEST, "POST",
       "/a"},
  };
  TestServer test;
  Record record(test);
  const uint16_t port = test.Listen();
  for (const Refused& one : cases) {
    SCOPED_TRACE(one.request.substr(0, 100));
    TestClient client(port);
    client.Send(one.request);
    const std::optional<Answer> answer = client.ReadAnswer();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->status, one.status);
    const Told told = record.Next();
    EXPECT_EQ(told.status, one.status);
    EXPECT_EQ(told.reason, one.reason) << lri_reason_name(told.reason);
    EXPECT_EQ(told.method, one.method);
    EXPECT_EQ(told.path, one.path);
    EXPECT_EQ(told.peer, "127.0.0.1");
    EXPECT_EQ(told.bytes_out, static_cast<int64_t>(answer->bytes.size()));
    EXPECT_GT(told.bytes_in, 0);
    EXPECT_FALSE(told.detail.empty());
    EXPECT_TRUE(client.ReadUntilClosed());
  }
  EXPECT_TRUE(test.server->Drain(absl::Seconds(10)));
  EXPECT_EQ(record.left(), 0u);
}

TEST(AnsweredTest, AnswersOfTheHandlerAreToldFromEachThreadWithTheirBytes) {
  for (const bool elsewhere : {false, true}) {
    TestServer test(1);
    Record record(test);
    std::vector<std::thread> threads;
    test.handler.on_request = [&](Exchange& exchange) {
      const auto respond = [&exchange] {
        exchange.Respond({.status = 422,
                          .body = "no",
                          .reason = LRI_REASON_MALFORMED_JSON,
                          .detail = std::string(300, 'x')});
      };
      if (exchange.body() == "fine") return Reply(exchange, 200, "");
      elsewhere ? threads.push_back(std::thread(respond)) : respond();
    };
    TestClient client(test.Listen());
    const std::string refused = Post("/a?b", "body"), fine = Post("/b", "fine");
    client.Send(refused + fine);
    const std::optional<Answer> first = client.ReadAnswer(), second = client.ReadAnswer();
    ASSERT_TRUE(first.has_value() && second.has_value());
    Told told = record.Next();
    EXPECT_EQ(told.status, 422);
    EXPECT_EQ(told.reason, LRI_REASON_MALFORMED_JSON);
    EXPECT_GE(told.detail.size(), 256u);
    EXPECT_EQ(told.path, "/a");
    EXPECT_TRUE(told.has_exchange);
    EXPECT_EQ(told.bytes_in, static_cast<int64_t>(refused.size()));
    EXPECT_EQ(told.bytes_out, static_cast<int64_t>(first->bytes.size()));
    told = record.Next();
    EXPECT_EQ(told.status, 200);
    EXPECT_EQ(told.reason, LRI_REASON_ANSWERED);
    EXPECT_EQ(told.detail, "");
    EXPECT_EQ(told.bytes_in, static_cast<int64_t>(fine.size()));
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(record.left(), 0u);
  }
}

TEST(AnsweredTest, RequestAnsweredByItsHeadCountsNoByteOfItsBody) {
  TestServer test;
  Record record(test);
  test.handler.on_head = [](Exchange& exchange) {
    exchange.Respond({.status = 401, .reason = LRI_REASON_CREDENTIALS});
    return HeadVerdict::Answered();
  };
  TestClient client(test.Listen());
  const std::string request = Post("/", "0123456789");
  client.Send(request);
  EXPECT_EQ(client.ReadAnswer()->status, 401);
  const Told told = record.Next();
  EXPECT_EQ(told.reason, LRI_REASON_CREDENTIALS);
  EXPECT_EQ(told.bytes_in, static_cast<int64_t>(request.size() - 10));
}

TEST(AnsweredTest, SlowRequestsAre408OnceAndALateAnswerIsNotToldAfterThe504) {
  TestServer test;
  Record record(test);
  test.options.limits.head_timeout_ms = test.options.limits.body_timeout_ms = 50;
  test.options.limits.answer_timeout_ms = 50;
  Exchange* held = nullptr;
  test.handler.on_request = [&held](Exchange& exchange) { held = &exchange; };
  const uint16_t port = test.Listen();
  TestClient head(port);
  head.Send("POST /h HTTP/1.1\r\nHost:");
  Told told = record.Next();
  EXPECT_EQ(told.status, 408);
  EXPECT_EQ(told.reason, LRI_REASON_TIMEOUT_HEAD);
  EXPECT_EQ(told.detail, "the head took longer than head_timeout_ms");
  EXPECT_EQ(told.path, "/h");
  TestClient body(port);
  body.Send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
  told = record.Next();
  EXPECT_EQ(told.reason, LRI_REASON_TIMEOUT_BODY);
  EXPECT_EQ(told.detail, "the body took longer than body_timeout_ms");
  EXPECT_EQ(told.path, "/b");
  TestClient late(port);
  late.Send(Post("/l", "x"));
  told = record.Next();
  EXPECT_EQ(told.status, 504);
  EXPECT_EQ(told.reason, LRI_REASON_ANSWER_TIMEOUT);
  EXPECT_TRUE(late.ReadUntilClosed());
  Reply(*held, 200, "late");
  EXPECT_TRUE(test.server->Drain(absl::Seconds(10)));
  EXPECT_EQ(record.left(), 0u);
}

TEST(AnsweredTest, SenderThatGoesAwayIsToldOnceHoweverFarItsRequestWas) {
  TestServer test;
  Record record(test);
  std::atomic<Exchange*> held{nullptr};
  test.handler.on_request = [&held](Exchange& exchange) { held = &exchange; };
  const uint16_t port = test.Listen();
  for (const char* bytes :
       {"POST /x HTTP/1.1\r\n", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n12"}) {
    SCOPED_TRACE(bytes);
    {
      TestClient client(port);
      client.Send(bytes);
      if (absl::EndsWith(bytes, "12")) {
        while (held.load() == nullptr) std::this_thread::yield();
        client.Reset();
      }
    }
    const Told told = record.Next();
    EXPECT_EQ(told.status, 0);
    EXPECT_EQ(told.reason, LRI_REASON_PEER_GONE);
    EXPECT_EQ(told.detail, absl::EndsWith(bytes, "12")
                               ? "its connection ended before it was answered"
                               : "its connection ended before all of it had come");
    EXPECT_EQ(told.path, "/x");
  }
  Reply(*held.load(), 200, "to nobody");
  for (const char* bytes : {"", "\r\n"}) TestClient(port).Send(bytes);  // no requests
  EXPECT_TRUE(test.server->Drain(absl::Seconds(10)));
  EXPECT_EQ(record.left(), 0u);
}

TEST(AnsweredTest, ConnectionsPastALimitAreToldWithTheLimit) {
  TestServer test;
  Record record(test);
  test.options.limits.connections_from_one_address = 1;
  test.options.limits.head_timeout_ms = 50;
  const uint16_t port = test.Listen();
  {
    TestClient first(port);
    TestClient second(port);  // the first gives way
    Told told = record.Next();
    EXPECT_EQ(told.status, 503);
    EXPECT_EQ(told.reason, LRI_REASON_TOO_MANY_CONNECTIONS);
    EXPECT_THAT(told.detail, testing::HasSubstr("connections_from_one_address"));
    const std::optional<Answer> answer = first.ReadAnswer();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->status, 503);
    EXPECT_EQ(answer->Header("retry-after"), "1");
    EXPECT_EQ(told.bytes_out, static_cast<int64_t>(answer->bytes.size()));
    EXPECT_TRUE(first.ReadUntilClosed());
    second.Send("POST /");
    told = record.Next();
    EXPECT_EQ(told.status, 408);
  }
  Exchange* held = nullptr;
  Signal arrived;
  test.handler.on_request = [&](Exchange& exchange) {
    held = &exchange;
    arrived.Notify();
  };
  while (test.server->connections() > 0) std::this_thread::yield();
  TestClient third(port);
  third.Send(Post("/", "x"));
  arrived.WaitForNotification();
  // More than wait for their peers to read the answer.
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<TestClient>(port));
    const Told told = record.Next();
    EXPECT_EQ(told.status, 503);
    EXPECT_EQ(told.reason, LRI_REASON_TOO_MANY_FROM_ADDRESS);
    EXPECT_EQ(told.detail, "the limit connections_from_one_address is reached");
    EXPECT_GT(told.bytes_out, 0);
    EXPECT_EQ(clients.back()->ReadAnswer()->status, 503);
  }
  Reply(*held, 200, "");
  EXPECT_EQ(third.ReadAnswer()->status, 200);
  EXPECT_EQ(record.Next().status, 200);
  EXPECT_EQ(record.left(), 0u);
}

TEST(AnsweredTest, ConnectionThatSendsNothingIsToldWithTheLimit) {
  TestServer test;
  Record record(test);
  test.options.limits.first_byte_timeout_ms = 50;
  TestClient client(test.Listen());
  const Told told = record.Next();
  EXPECT_EQ(told.reason, LRI_REASON_SLOW);
  EXPECT_EQ(told.detail, "it sent nothing within first_byte_timeout_ms");
}

TEST(AnsweredTest, WhatADrainCutsOffIsToldAsStopping) {
  TestServer test;
  Record record(test);
  Exchange* held = nullptr;
  Signal arrived;
  test.handler.on_request = [&](Exchange& exchange) {
    held = &exchange;
    arrived.Notify();
  };
  TestClient client(test.Listen());
  client.Send(Post("/", "x"));
  arrived.WaitForNotification();
  EXPECT_FALSE(test.server->Drain(absl::ZeroDuration()));
  const Told told = record.Next();
  EXPECT_EQ(told.status, 0);
  EXPECT_EQ(told.reason, LRI_REASON_STOPPING);
  Reply(*held, 200, "late");
  EXPECT_EQ(record.left(), 0u);
}

}  // namespace
}  // namespace webhook::http
