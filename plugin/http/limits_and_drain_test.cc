// Slow, greedy and vanishing peers, and the ways to stop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/http/shard.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/http/testing/test_server.h"

namespace webhook::http {
namespace {

constexpr char kHead[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";

// Holds requests until the test lets them go.
class Held {
 public:
  void Add(Exchange& exchange) {
    exchange_ = &exchange;
    arrived_.Notify();
  }
  Exchange& Wait() {
    arrived_.WaitForNotification();
    return *exchange_;
  }

 private:
  Signal arrived_;
  Exchange* exchange_ = nullptr;
};

TEST(SlowPeerTest, HeadThatDoesNotEndIsAnswered408) {
  TestServer test;
  test.options.limits.head_timeout_ms = 50;
  TestClient client(test.Listen());
  client.Send("POST / HTTP/1.1\r\nHost: a\r\n");
  EXPECT_EQ(client.ReadAnswer()->status, 408);
  EXPECT_TRUE(client.ReadUntilClosed());
}

TEST(SlowPeerTest, BodyThatDoesNotEndIsAnswered408AndDropped) {
  TestServer test;
  test.options.limits.body_timeout_ms = 50;
  Signal dropped;
  test.handler.on_dropped = [&dropped](Exchange&) { dropped.Notify(); };
  TestClient client(test.Listen());
  client.Send(kHead);
  client.Send("some");
  EXPECT_EQ(client.ReadAnswer()->status, 408);
  EXPECT_TRUE(client.ReadUntilClosed());
  dropped.WaitForNotification();
}

TEST(SlowPeerTest, BodySlowerThanTheLeastRateIsAnswered408) {
  TestServer test;
  test.options.least_rate_grace = absl::Milliseconds(50);
  TestClient client(test.Listen());
  client.Send(kHead);
  EXPECT_EQ(client.ReadAnswer()->status, 408);
}

TEST(SlowPeerTest, IdleConnectionIsClosedWithoutAWord) {
  TestServer test;
  test.options.limits.idle_timeout_ms = test.options.limits.first_byte_timeout_ms = 50;
  const uint16_t port = test.Listen();
  TestClient fresh(port), used(port);
  used.Send(Post("/", "x"));
  EXPECT_EQ(used.ReadAnswer()->body, "x");
  EXPECT_TRUE(used.ReadUntilClosed());
  EXPECT_TRUE(fresh.ReadUntilClosed());
  EXPECT_EQ(used.rest() + fresh.rest(), "");
}

TEST(SlowPeerTest, ReaderThatDoesNotReadIsClosed) {
  TestServer test;
  test.options.limits.write_timeout_ms = 50;
  test.handler.on_request = [](Exchange& exchange) {
    Reply(exchange, 200, std::string(20'000'000, 'x'));
  };
  TestClient client(test.Listen());
  client.SetReceiveBuffer(128 * 1024);
  client.Send(Post("/", "x"));
  while (test.server->connections() == 0) std::this_thread::yield();
  while (test.server->connections() > 0) std::this_thread::yield();
  EXPECT_TRUE(client.ReadUntilClosed());
  EXPECT_LT(client.rest().size(), 20'000'000u);
}

TEST(SlowPeerTest, SlowReaderGetsAllOfALargeAnswer) {
  TestServer test;
  test.handler.on_request = [](Exchange& exchange) {
    Reply(exchange, 200, std::string(6'000'000, 'x'));
  };
  TestClient client(test.Listen());
  client.SetReceiveBuffer(128 * 1024);
  client.Send(Post("/", "x") + Post("/", "y"));
  EXPECT_EQ(client.ReadAnswer()->body.size(), 6'000'000u);
  EXPECT_EQ(client.ReadAnswer()->body.size(), 6'000'000u);
}

// A limit of 64 KiB, which a head of 60 KiB takes most of.
void SetSmallBudget(ServerOptions& options) {
  options.limits.body_bytes = 64 * 1024;
  options.limits.bytes_in_flight = 64 * 1024;
}

std::string LongHead() {
  return "POST / HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(60'000, 'x') +
         "\r\nContent-Length: 1\r\n\r\nb";
}

// Until the server has seen that the others are gone.
int StatusOfPost(uint16_t port, const std::string& body) {
  TestClient client(port);
  client.Send(Post("/", body));
  const std::optional<Answer> answer = client.ReadAnswer();
  return answer.has_value() ? answer->status : 0;
}

TEST(BytesInFlightTest, LongHeadsAreRefusedPastTheLimitAndTakenWhenThereIsRoomAgain) {
  TestServer test;
  SetSmallBudget(test.options);
  Held held;
  test.handler.on_request = [&held](Exchange& exchange) {
    if (exchange.head().fields.size() > 2) return held.Add(exchange);
    Reply(exchange, 200, exchange.body());
  };
  const uint16_t port = test.Listen();
  {
    TestClient first(port), second(port);
    first.Send(LongHead());
    held.Wait();
    second.Send(LongHead());
    const std::optional<Answer> refused = second.ReadAnswer();
    ASSERT_TRUE(refused.has_value());
    EXPECT_EQ(refused->status, 503);
    EXPECT_EQ(refused->Header("retry-after"), "1");
    Reply(held.Wait(), 200, "");
    EXPECT_EQ(first.ReadAnswer()->status, 200);
  }
  while (StatusOfPost(port, std::string(60'000, 'x')) == 503) std::this_thread::yield();
}

TEST(BytesInFlightTest, AnswersThatAreNotReadCountUntilTheyAre) {
  TestServer test;
  SetSmallBudget(test.options);
  test.handler.on_request = [](Exchange& exchange) {
    Reply(exchange, 200, std::string(exchange.body() == "much" ? 20'000'000 : 1, 'x'));
  };
  const uint16_t port = test.Listen();
  TestClient slow(port);
  slow.SetReceiveBuffer(128 * 1024);
  slow.Send(Post("/", "much"));
  while (StatusOfPost(port, "x") != 503) std::this_thread::yield();
  EXPECT_EQ(slow.ReadAnswer()->body.size(), 20'000'000u);
  while (StatusOfPost(port, "x") != 200) std::this_thread::yield();
}

TEST(BytesInFlightTest, ServersMayShareOneLimit) {
  TestServer test;
  SetSmallBudget(test.options);
  test.options.bytes_in_flight = std::make_shared<BytesInFlight>();
  Held held;
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  TestClient first(test.Listen());
  auto other = Server::Listen(test.options, *test.threads, test.handler);
  ASSERT_TRUE(other.ok()) << other.status();
  first.Send(Post("/", std::string(60'000, 'x')));
  held.Wait();
  EXPECT_EQ(StatusOfPost((*other)->port(), std::string(60'000, 'x')), 503);
  Reply(held.Wait(), 200, "");
  EXPECT_EQ(first.ReadAnswer()->status, 200);
  EXPECT_EQ(test.options.bytes_in_flight->bytes.load(), 0);
}

TEST(AnswerTimeoutTest, ServerAnswers504AndDiscardsTheLateAnswer) {
  TestServer test;
  test.options.limits.answer_timeout_ms = 50;
  Held held;
  Signal abandoned;
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  test.handler.on_abandoned = [&abandoned](Exchange&) { abandoned.Notify(); };
  TestClient client(test.Listen());
  client.Send(Post("/", "body"));
  EXPECT_EQ(client.ReadAnswer()->status, 504);
  EXPECT_TRUE(client.ReadUntilClosed());
  abandoned.WaitForNotification();
  EXPECT_EQ(held.Wait().body(), "body");  // still there
  Reply(held.Wait(), 200, "late");
}

TEST(AbandonedTest, ResetByThePeerIsToldAndTheAnswerIsDiscarded) {
  TestServer test;
  Held held;
  Signal abandoned;
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  test.handler.on_abandoned = [&abandoned](Exchange&) { abandoned.Notify(); };
  TestClient client(test.Listen());
  client.Send(Post("/", "body"));
  held.Wait();
  client.Reset();
  abandoned.WaitForNotification();
  EXPECT_EQ(held.Wait().head().path, "/");
  Reply(held.Wait(), 200, "to nobody");
}

TEST(AbandonedTest, AnswerMayBeGivenInsideOnAbandoned) {
  TestServer test;
  Held held;
  Signal abandoned;
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  test.handler.on_abandoned = [&abandoned](Exchange& exchange) {
    Reply(exchange, 200, "");
    abandoned.Notify();
  };
  TestClient client(test.Listen());
  client.Send(Post("/", "body"));
  held.Wait();
  client.Reset();
  abandoned.WaitForNotification();
}

TEST(AbandonedTest, AnswerAfterTheServerIsGoneIsSafe) {
  TestServer test;
  Held held;
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  TestClient client(test.Listen());
  client.Send(Post("/", "body"));
  Exchange& exchange = held.Wait();
  test.server.reset();
  EXPECT_TRUE(client.ReadUntilClosed());
  EXPECT_EQ(exchange.body(), "body");
  Reply(exchange, 200, "late");
}

TEST(LimitTest, BodyPastTheLimitIsRefusedBeforeItIsRead) {
  TestServer test;
  test.options.limits.body_bytes = 10;
  const uint16_t port = test.Listen();
  TestClient announced(port);
  announced.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
  EXPECT_EQ(announced.ReadAnswer()->status, 413);
  TestClient chunked(port);
  chunked.Send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n6\r\n");
  EXPECT_EQ(chunked.ReadAnswer()->status, 413);
  TestClient fits(port);
  fits.Send(Post("/", "0123456789"));
  EXPECT_EQ(fits.ReadAnswer()->status, 200);
}

TEST(LimitTest, HandlersOwnBodyLimitHolds) {
  TestServer test;
  test.handler.on_head = [](Exchange&) { return HeadVerdict::ReadBody(3); };
  TestClient client(test.Listen());
  client.Send(Post("/", "123") + Post("/", "1234"));
  EXPECT_EQ(client.ReadAnswer()->status, 200);
  EXPECT_EQ(client.ReadAnswer()->status, 413);
}

// Connections that hold a request, so that none of them gives way.
class Busy {
 public:
  explicit Busy(TestServer& test) {
    test.handler.on_request = [this](Exchange& exchange) {
      if (exchange.body() != "hold") return Reply(exchange, 200, exchange.body());
      const std::lock_guard<std::mutex> lock(mutex_);
      held_.push_back(&exchange);
    };
  }
  ~Busy() {
    for (Exchange* exchange : held_) Reply(*exchange, 200, "");
  }
  void Hold(TestClient& client) {
    const size_t before = held();
    client.Send(Post("/", "hold"));
    while (held() == before) std::this_thread::yield();
  }

 private:
  size_t held() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return held_.size();
  }
  std::mutex mutex_;
  std::vector<Exchange*> held_;
};

void ExpectRefused(uint16_t port, const std::string& address = "127.0.0.1") {
  TestClient client(port, address);
  client.Send(Post("/", "x"));
  const std::optional<Answer> answer = client.ReadAnswer();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->Header("retry-after"), "1");
  EXPECT_EQ(answer->Header("connection"), "close");
  EXPECT_TRUE(client.ReadUntilClosed());
  EXPECT_FALSE(client.was_reset());
}

TEST(LimitTest, ConnectionPastALimitIs503WhileNoneIsIdleAndServedAfterwards) {
  for (const bool of_address : {false, true}) {
    TestServer test;
    (of_address ? test.options.limits.connections_from_one_address
                : test.options.limits.connections) = 2;
    Busy busy(test);
    const uint16_t port = test.Listen();
    TestClient first(port);
    {
      TestClient second(port);
      busy.Hold(first);
      busy.Hold(second);
      for (int i = 0; i < 5; ++i) ExpectRefused(port);
      second.Reset();
    }
    while (test.server->connections() > 1) std::this_thread::yield();
    EXPECT_EQ(StatusOfPost(port, "x"), 200);
  }
}

TEST(LimitTest, IdleConnectionsGiveWayThoseThatSentNothingFirst) {
  for (const bool of_address : {false, true}) {
    TestServer test(1);
    (of_address ? test.options.limits.connections_from_one_address
                : test.options.limits.connections) = 3;
    Busy busy(test);
    const uint16_t port = test.Listen();
    TestClient holding(port), used(port);
    used.Send(Post("/", "1"));
    EXPECT_EQ(used.ReadAnswer()->status, 200);
    busy.Hold(holding);
    TestClient silent(port);
    while (test.server->connections() < 3) std::this_thread::yield();
    EXPECT_EQ(StatusOfPost(port, "x"), 200);  // and is idle until its client closes it
    EXPECT_TRUE(silent.ReadUntilClosed());
    EXPECT_FALSE(used.closed());
    used.Send(Post("/", "2"));
    EXPECT_EQ(used.ReadAnswer()->body, "2");
    std::vector<std::unique_ptr<TestClient>> more;
    for (int i = 0; i < 2; ++i) {
      more.push_back(std::make_unique<TestClient>(port));
      more.back()->Send(Post("/", "x"));
      EXPECT_EQ(more.back()->ReadAnswer()->status, 200);
    }
    EXPECT_TRUE(used.ReadUntilClosed());
    EXPECT_FALSE(holding.closed());
    while (test.server->connections() > 3) std::this_thread::yield();
  }
}

// As many as an attacker opens, on several threads, while others come and go.
TEST(LimitTest, SenderIsServedHoweverManyIdleConnectionsThereAre) {
  TestServer test(3);
  test.options.limits.connections = 40;
  test.options.limits.connections_from_one_address = 20;
  const uint16_t port = test.Listen();
  std::vector<std::unique_ptr<TestClient>> idle(60);
  for (int i = 0; i < 260; ++i) {
    TestClient client(port);
    client.Send(Post("/", "x"));
    const std::optional<Answer> answer = client.ReadAnswer();
    ASSERT_TRUE(answer.has_value()) << i;
    EXPECT_EQ(answer->status, 200) << i << answer->bytes;
    idle[i % idle.size()] = std::make_unique<TestClient>(port);
  }
  while (test.server->connections() > 40) std::this_thread::yield();
  idle.clear();
  while (test.server->connections() > 0) std::this_thread::yield();
}

TEST(LimitTest, ConnectionsThatWaitToReadTheirRefusalTakeNobodysPlace) {
  TestServer test;
  test.options.limits.connections = 5;
  test.options.limits.connections_from_one_address = 1;
  Busy busy(test);
  const uint16_t port = test.Listen();
  TestClient first(port);
  busy.Hold(first);
  std::vector<std::unique_ptr<TestClient>> refused;
  for (int i = 0; i < 20; ++i) {
    refused.push_back(std::make_unique<TestClient>(port));
    EXPECT_EQ(refused.back()->ReadAnswer()->status, 503);
  }
  test.server->SetProxies(
      {.networks = ParseNetworks("127.0.0.1").value()});  // stands for another sender
  EXPECT_EQ(StatusOfPost(port, "x"), 200);
}

TEST(LimitTest, TrustedProxiesHaveALimitOfTheirOwnAlsoWhenItChanges) {
  TestServer test;
  test.options.limits.connections_from_one_address = 1;
  test.options.limits.connections_from_one_proxy = 2;
  test.options.proxies.networks = ParseNetworks("127.0.0.0/8").value();
  Busy busy(test);
  const uint16_t port = test.Listen();
  TestClient first(port), second(port);
  busy.Hold(first);
  busy.Hold(second);
  ExpectRefused(port);
  test.server->SetProxies({});
  ExpectRefused(port);
  test.server->SetProxies({.networks = ParseNetworks("192.0.2.0/24, 127.0.0.1").value()});
  ExpectRefused(port);
}

TEST(LimitTest, ConnectionThatSendsNothingIsClosedBeforeAnIdleOneAndTold) {
  TestServer test;
  test.options.limits.first_byte_timeout_ms = 50;
  Signal told;
  lri_reason reason = LRI_REASON_ANSWERED;
  test.handler.on_answered = [&](const Answered& answered) {
    if (answered.status != 0) return;
    reason = answered.reason;
    told.Notify();
  };
  const uint16_t port = test.Listen();
  TestClient used(port);
  used.Send(Post("/", "x"));
  EXPECT_EQ(used.ReadAnswer()->status, 200);
  TestClient silent(port);
  EXPECT_TRUE(silent.ReadUntilClosed());
  told.WaitForNotification();
  EXPECT_EQ(reason, LRI_REASON_SLOW);
  EXPECT_FALSE(used.closed());
  used.Send(Post("/", "y"));
  EXPECT_EQ(used.ReadAnswer()->body, "y");
}

TEST(LimitTest, TooManyBytesInFlightAreAnswered503UntilSomeAreDone) {
  TestServer test;
  test.options.limits.body_bytes = 100'000;
  test.options.limits.bytes_in_flight = 150'000;
  test.options.limits.bytes_in_flight_percent_of_one_address = 100;
  test.options.limits.bytes_in_flight_percent_of_one_instance = 100;
  test.options.limits.bytes_in_flight_percent_for_small_requests = 0;
  Held held;
  std::atomic<int> requests{0};
  test.handler.on_request = [&](Exchange& exchange) {
    if (++requests == 1) return held.Add(exchange);
    Reply(exchange, 200, "");
  };
  const uint16_t port = test.Listen();
  TestClient first(port), second(port), third(port);
  first.Send(Post("/", std::string(100'000, 'x')));
  held.Wait();
  second.Send(Post("/", std::string(50'001, 'x')));
  const auto answer = second.ReadAnswer();
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->Header("retry-after"), "1");
  third.Send(Post("/", std::string(50'000, 'x')));
  EXPECT_EQ(third.ReadAnswer()->status, 200);
  Reply(held.Wait(), 200, "");
  EXPECT_EQ(first.ReadAnswer()->status, 200);
  third.Send(Post("/", std::string(100'000, 'x')));
  EXPECT_EQ(third.ReadAnswer()->status, 200);
}

// Of the whole process, mapped.
size_t MappedBytes() {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(LimitTest, BusyConnectionsGiveTheMemoryOfLargeBodiesBack) {
  constexpr size_t kBytes = 8 * 1024 * 1024;
  TestServer test(1);
  test.handler.on_request = [](Exchange& exchange) { Reply(exchange, 200, ""); };
  const uint16_t port = test.Listen();
  const std::string small = Post("/", "x");
  const std::string large = Post("/", std::string(kBytes, 'x'));
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(std::make_unique<TestClient>(port));
  const auto send_all = [&clients](const std::string& request) {
    for (const auto& client : clients) {
      ASSERT_TRUE(client->Send(request));
      ASSERT_EQ(client->ReadAnswer()->status, 200);
    }
  };
  send_all(small);
  const size_t before = MappedBytes();
  send_all(large);
  send_all(small);
  EXPECT_LT(MappedBytes(), before + 4 * kBytes);
}

TEST(DrainTest, RequestInFlightIsAnsweredWithCloseAndIdleConnectionsAreClosed) {
  TestServer test;
  Held held;
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  const uint16_t port = test.Listen();
  TestClient idle(port), busy(port);
  busy.Send(Post("/", "x"));
  held.Wait();
  Signal drained;
  bool was_clean = false;
  test.server->Drain(absl::Seconds(30), [&](bool clean) {
    was_clean = clean;
    drained.Notify();
  });
  EXPECT_TRUE(idle.ReadUntilClosed());
  EXPECT_FALSE(TestClient(port).connected());
  Reply(held.Wait(), 200, "done");
  const auto answer = busy.ReadAnswer();
  EXPECT_EQ(answer->body, "done");
  EXPECT_EQ(answer->Header("connection"), "close");
  EXPECT_TRUE(busy.ReadUntilClosed());
  drained.WaitForNotification();
  EXPECT_TRUE(was_clean);
}

TEST(DrainTest, DeadlineCutsOffWhatIsLeftAndTellsTheHandler) {
  TestServer test;
  Held held;
  std::atomic<int> abandoned{0};
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  test.handler.on_abandoned = [&abandoned](Exchange&) { ++abandoned; };
  TestClient client(test.Listen());
  client.Send(Post("/", "x"));
  held.Wait();
  EXPECT_FALSE(test.server->Drain(absl::Milliseconds(50)));
  EXPECT_EQ(abandoned, 1);
  EXPECT_TRUE(client.ReadUntilClosed());
  EXPECT_FALSE(test.server->Drain(absl::ZeroDuration()));  // again: at once, the same result
  Reply(held.Wait(), 200, "late");
}

TEST(DrainTest, SecondDrainShortensTheDeadline) {
  TestServer test;
  Held held;
  test.handler.on_request = [&held](Exchange& exchange) { held.Add(exchange); };
  TestClient client(test.Listen());
  client.Send(Post("/", "x"));
  held.Wait();
  Signal drained;
  test.server->Drain(absl::Hours(1), [&](bool) { drained.Notify(); });
  EXPECT_FALSE(test.server->Drain(absl::ZeroDuration()));
  drained.WaitForNotification();
  Reply(held.Wait(), 200, "late");
}

// Whatever the timeouts of a server that does not stop.
TEST(DrainTest, RequestThatIsHalfThereIs503AfterAMomentAndOneThatGoesOnIsAnswered) {
  TestServer test;
  test.options.limits.drain_request_timeout_ms = 300;
  std::atomic<int> dropped{0};
  std::atomic<int> heads{0};
  test.handler.on_head = [&heads](Exchange&) {
    ++heads;
    return HeadVerdict::ReadBody();
  };
  test.handler.on_dropped = [&dropped](Exchange&) { ++dropped; };
  const uint16_t port = test.Listen();
  TestClient head(port), body(port), whole(port);
  head.Send("POST / HTTP/1.1\r\nHost:");
  body.Send(kHead);
  body.Send("half");
  whole.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
  while (heads < 2 || test.server->connections() < 3) std::this_thread::yield();
  Signal drained;
  bool was_clean = false;
  test.server->Drain(absl::Seconds(60), [&](bool clean) {
    was_clean = clean;
    drained.Notify();
  });
  whole.Send("2");
  EXPECT_EQ(whole.ReadAnswer()->body, "12");
  for (TestClient* client : {&head, &body}) {
    const std::optional<Answer> answer = client->ReadAnswer();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->status, 503);
    EXPECT_EQ(answer->Header("retry-after"), "1");
  }
  drained.WaitForNotification();
  EXPECT_TRUE(was_clean);
  EXPECT_EQ(dropped, 1);
}

TEST(DrainTest, NothingToDoIsClean) {
  TestServer test;
  test.Listen();
  EXPECT_TRUE(test.server->Drain(absl::Seconds(10)));
}

TEST(StressTest, ManyClientsOnManyThreadsGetTheirOwnAnswers) {
  TestServer test(3);
  test.handler.on_request = [&test](Exchange& exchange) {
    const absl::string_view body = exchange.body();
    if (body.size() % 3 == 0) return Reply(exchange, 200, body);
    const int thread = (exchange.thread() + static_cast<int>(body.size() % 2)) % 3;
    test.threads->Post(thread, [&exchange] { Reply(exchange, 200, exchange.body()); });
  };
  const uint16_t port = test.Listen();
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([c, port, &good] {
      TestClient client(port);
      for (int i = 0; i < 100; ++i) {
        const std::string body = absl::StrCat(c, ":", i, std::string(i * (c + 1), 'x'));
        if (!client.Send(Post("/", body) + Post("/", "p"))) return;
        const auto first = client.ReadAnswer();
        const auto second = client.ReadAnswer();
        if (first && second && first->body == body && second->body == "p") ++good;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 800);
}

}  // namespace
}  // namespace webhook::http
