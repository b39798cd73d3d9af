// Servers that give way: to one that takes their place, or to nobody; and what they owe then.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "plugin/http/testing/test_client.h"
#include "plugin/http/testing/test_server.h"

namespace webhook::http {
namespace {

int Ask(TestClient& client) {
  client.Send(Post("/", "x"));
  const auto answer = client.ReadAnswer();
  return answer.has_value() ? answer->status : 0;
}

TEST(RetireTest, IdleConnectionMayAskOnceMore) {
  TestServer test;
  TestClient client(test.Listen());
  ASSERT_EQ(Ask(client), 200);
  Signal over;
  test.server->Retire(absl::Minutes(1), [&over](bool clean) {
    EXPECT_TRUE(clean);
    over.Notify();
  });
  // The shards hear of it a moment later; until then answers are as before.
  test.server->AwaitPortFree();
  client.Send(Post("/", "once more"));
  const auto answer = client.ReadAnswer();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->body, "once more");
  EXPECT_EQ(answer->Header("connection"), "close");
  EXPECT_TRUE(client.ReadUntilClosed());
  over.WaitForNotification();
}

// Else a request could be answered as before although the change is over.
TEST(RetireTest, PortIsFreeOnlyOnceAllThreadsKnow) {
  TestServer test;
  TestClient clients[] = {TestClient(test.Listen()), TestClient(test.server->port())};
  for (TestClient& client : clients) ASSERT_EQ(Ask(client), 200);
  Signal go_on;
  test.threads->Post(1, [&go_on] { go_on.WaitForNotification(); });
  test.server->Retire(absl::Minutes(1), [](bool) {});
  const std::future<void> free =
      std::async(std::launch::async, [&] { test.server->AwaitPortFree(); });
  EXPECT_EQ(free.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  go_on.Notify();
  free.wait();
  for (TestClient& client : clients) {
    client.Send(Post("/", "x"));
    EXPECT_EQ(client.ReadAnswer().value_or(Answer{}).Header("connection"), "close");
  }
}

TEST(RetireTest, DrainAfterItClosesIdleConnections) {
  TestServer test;
  TestClient client(test.Listen());
  ASSERT_EQ(Ask(client), 200);
  test.server->Retire(absl::Hours(1), [](bool) {});
  EXPECT_TRUE(test.server->Drain(absl::Minutes(1)));
  EXPECT_TRUE(client.ReadUntilClosed());
}

TEST(RetireTest, DeadlineEndsIt) {
  TestServer test;
  TestClient client(test.Listen());
  ASSERT_EQ(Ask(client), 200);
  test.server->Retire(absl::Milliseconds(20), [](bool) {});
  EXPECT_TRUE(client.ReadUntilClosed());
}

// The request is sent before the drain begins, and the server may not even have accepted.
TEST(DrainTest, ConnectionThatWasMadeIsAnswered) {
  for (int i = 0; i < 5; ++i) {
    TestServer test;
    TestClient client(test.Listen());
    ASSERT_TRUE(client.Send(Post("/", "x")));
    EXPECT_TRUE(test.server->Drain(absl::Minutes(1)));
    const auto answer = client.ReadAnswer();
    ASSERT_TRUE(answer.has_value()) << i;
    EXPECT_EQ(answer->status, 200);
  }
}

class TakeOverTest : public ::testing::Test {
 protected:
  TakeOverTest() {
    handler_.on_request = [](Exchange& exchange) { Reply(exchange, 201, ""); };
  }

  // A server on the port of `test`, told apart by its answers' status.
  absl::StatusOr<std::shared_ptr<Server>> TakeOver(const std::string& address) {
    ServerOptions options;
    options.address = address;
    options.port = test_.server->port();
    options.accept_at_once = false;
    options.takes_over_from = test_.server.get();
    return Server::Listen(options, *test_.threads, handler_);
  }
  int AskAnew() {
    TestClient client(port_);
    return Ask(client);
  }

  TestHandler handler_;
  TestServer test_;
  const uint16_t port_ = test_.Listen();
};

TEST_F(TakeOverTest, PortOfAServerThatDoesNotGiveItUpIsInUse) {
  ServerOptions options;
  options.port = port_;
  EXPECT_EQ(Server::Listen(options, *test_.threads, handler_).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(TakeOverTest, OneThatNeverAcceptsTakesNothing) {
  for (const char* address : {"127.0.0.1", "0.0.0.0"}) {
    auto next = TakeOver(address);
    ASSERT_TRUE(next.ok()) << next.status();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(AskAnew(), 200);
    next->reset();
    EXPECT_EQ(AskAnew(), 200);
  }
}

TEST_F(TakeOverTest, OnlyTheNewOneAnswersOnceTheOldOneHasGone) {
  for (const char* address : {"127.0.0.1", "0.0.0.0"}) {
    auto next = TakeOver(address);
    ASSERT_TRUE(next.ok()) << next.status();
    (*next)->StartAccepting();
    EXPECT_TRUE(test_.server->Drain(absl::Minutes(1)));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(AskAnew(), 201);
    test_.server = *std::move(next);
  }
}

TEST_F(TakeOverTest, ServerThatHasGoneLeavesItsPortToBind) {
  EXPECT_TRUE(test_.server->Drain(absl::Minutes(1)));
  auto next = TakeOver("127.0.0.1");
  ASSERT_TRUE(next.ok()) << next.status();
  (*next)->StartAccepting();
  EXPECT_EQ(AskAnew(), 201);
}

// Answers every request that is held as soon as one of them is abandoned: connections end while the
// server walks over them.
class AnswerAll {
 public:
  AnswerAll(TestServer& test, size_t count) : count_(count) {
    test.handler.on_request = [this](Exchange& exchange) {
      held_.push_back(&exchange);
      if (held_.size() == count_) all_held_.Notify();
    };
    test.handler.on_abandoned = [this](Exchange&) {
      std::vector<Exchange*> held;
      held.swap(held_);
      for (Exchange* one : held) Reply(*one, 200, "");
      answered_ += static_cast<int>(held.size());
    };
  }
  void AwaitHeld() { all_held_.WaitForNotification(); }
  int answered() const { return answered_; }

 private:
  const size_t count_;
  std::vector<Exchange*> held_;  // the one I/O thread's
  std::atomic<int> answered_{0};
  Signal all_held_;
};

TEST(WalkTest, ConnectionsMayEndWhileAllAreCut) {
  TestServer test(1);
  AnswerAll answers(test, 3);
  const uint16_t port = test.Listen();
  TestClient clients[3]{TestClient(port), TestClient(port), TestClient(port)};
  for (TestClient& client : clients) client.Send(Post("/", "x", "Connection: close\r\n"));
  answers.AwaitHeld();
  EXPECT_FALSE(test.server->Drain(absl::ZeroDuration()));
  EXPECT_EQ(answers.answered(), 3);
  for (TestClient& client : clients) EXPECT_TRUE(client.ReadUntilClosed());
}

TEST(WalkTest, ConnectionsMayEndWhileDeadlinesAreLookedAt) {
  TestServer test(1);
  test.options.limits.answer_timeout_ms = 50;
  AnswerAll answers(test, 3);
  const uint16_t port = test.Listen();
  TestClient clients[3]{TestClient(port), TestClient(port), TestClient(port)};
  for (TestClient& client : clients) client.Send(Post("/", "x", "Connection: close\r\n"));
  answers.AwaitHeld();
  int timed_out = 0;
  for (TestClient& client : clients) {
    const auto answer = client.ReadAnswer();
    ASSERT_TRUE(answer.has_value());
    timed_out += answer->status == 504 ? 1 : 0;
    EXPECT_TRUE(client.ReadUntilClosed());
  }
  EXPECT_GE(timed_out, 1);
  EXPECT_EQ(answers.answered(), 3);
}

}  // namespace
}  // namespace webhook::http
