#include "plugin/http/server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/http/testing/test_server.h"

namespace webhook::http {
namespace {

TEST(ListenTest, PortInUseIsNamed) {
  TestServer first;
  const uint16_t port = first.Listen();
  ServerOptions options;
  options.port = port;
  const auto second = Server::Listen(options, *first.threads, first.handler);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(second.status().message(), absl::StrCat("port ", port, " of 127.0.0.1 is in use"));
}

// The descriptors that a program inherits which this process starts.
std::set<int> InheritedDescriptors() {
  std::set<int> inherited;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int descriptor = std::stoi(entry.path().filename());
    const int flags = fcntl(descriptor, F_GETFD);  // -1 for the one that reads this folder
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) inherited.insert(descriptor);
  }
  return inherited;
}

TEST(ListenTest, NoDescriptorIsInheritedByAnotherProgram) {
  const std::set<int> before = InheritedDescriptors();
  TestServer test;
  TestClient client(test.Listen());
  client.Send(Post("/", "a"));
  ASSERT_TRUE(client.ReadAnswer());
  EXPECT_EQ(InheritedDescriptors(), before);
}

TEST(ListenTest, AddressThatIsNoneIsRefused) {
  TestServer base;
  ServerOptions options;
  options.address = "localhost";
  EXPECT_EQ(Server::Listen(options, *base.threads, base.handler).status().message(),
            "\"localhost\" is no IPv4 or IPv6 address");
  options.address = "192.0.2.1";  // RFC 5737: nobody has it
  EXPECT_EQ(Server::Listen(options, *base.threads, base.handler).status().message(),
            "192.0.2.1 is no address of this machine");
}

TEST(ListenTest, PortIsFreeAgainAfterTheServerIsGone) {
  TestServer test;
  const uint16_t port = test.Listen();
  {
    TestClient client(port);
    client.Send(Post("/", "a"));
    ASSERT_TRUE(client.ReadAnswer());
    test.server.reset();
  }
  test.options.port = port;
  EXPECT_EQ(test.Listen(), port);
}

TEST(ListenTest, NothingIsAcceptedBeforeStartAccepting) {
  TestServer test;
  test.options.accept_at_once = false;
  TestClient client(test.Listen());
  ASSERT_TRUE(client.connected());  // by the kernel
  ASSERT_TRUE(client.Send(Post("/", "later")));
  EXPECT_EQ(test.server->connections(), 0);
  test.server->StartAccepting();
  EXPECT_EQ(client.ReadAnswer()->body, "later");
}

TEST(ListenTest, ManyServersShareTheThreads) {
  TestServer base(2);
  std::vector<std::shared_ptr<Server>> servers;
  for (int i = 0; i < 50; ++i) {
    servers.push_back(*Server::Listen(ServerOptions(), *base.threads, base.handler));
  }
  for (const auto& server : servers) {
    TestClient client(server->port());
    client.Send(Post("/", "x"));
    EXPECT_EQ(client.ReadAnswer()->status, 200);
  }
}

TEST(IoThreadsTest, PostRunsInOrderOnTheThreadThatWasAskedFor) {
  auto threads = *IoThreads::Start(3);
  EXPECT_EQ(threads->size(), 3);
  EXPECT_EQ(threads->current(), -1);
  std::vector<int> seen;
  std::promise<void> done;
  for (int i = 0; i < 100; ++i) {
    threads->Post(2, [&seen, &threads, i] { seen.push_back(threads->current() == 2 ? i : -1); });
  }
  threads->Post(2, [&done] { done.set_value(); });
  done.get_future().wait();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i);
}

TEST(IoThreadsTest, StopRunsWhatWasPostedBefore) {
  auto threads = *IoThreads::Start(2);
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) threads->Post(i % 2, [&ran] { ++ran; });
  threads->Stop();
  EXPECT_EQ(ran, 100);
}

TEST(RequestTest, HeadIsSeenAsItWasSent) {
  TestServer test;
  std::string seen;
  test.handler.on_request = [&seen](Exchange& exchange) {
    const RequestHead& head = exchange.head();
    absl::StrAppend(&seen, head.method, " ", head.path, " ", head.query, " ", head.peer, " ",
                    head.minor_version, " ", head.content_length.value_or(99), " ", head.chunked);
    for (const HeaderField& field : head.fields) {
      absl::StrAppend(&seen, "\n", field.name, "=", field.value, ".");
    }
    Reply(exchange, 200, seen);
  };
  TestClient client(test.Listen());
  client.Send(
      "POST http://Example.org:80/a%2Fb?x=%20&y=? HTTP/1.1\r\nhOST: example.org\r\n"
      "X-A: \t 1 2 \t\r\nx-a:\r\nContent-Length: 2\r\n\r\nhi");
  ASSERT_EQ(client.ReadAnswer()->status, 200);
  EXPECT_EQ(seen,
            "POST /a%2Fb x=%20&y=? 127.0.0.1 1 2 0\n"
            "hOST=example.org.\nX-A=1 2.\nx-a=.\nContent-Length=2.");
}

TEST(RequestTest, BodyIsFollowedByZeroBytes) {
  TestServer test;
  std::atomic<int> bad{0};
  test.handler.on_request = [&bad](Exchange& exchange) {
    const absl::string_view body = exchange.body();
    for (size_t i = 0; i < 64; ++i) bad += body.data()[body.size() + i] != '\0';
    Reply(exchange, 200, absl::StrCat(body.size()));
  };
  TestClient client(test.Listen());
  std::string all;
  const std::vector<size_t> sizes = {0, 1, 100, 16'000, 16'384, 100'000, 1'000'000, 5, 16'200, 3};
  for (const size_t size : sizes) all += Post("/", std::string(size, 'x'));
  ASSERT_TRUE(client.Send(all));
  for (const size_t size : sizes) EXPECT_EQ(client.ReadAnswer()->body, absl::StrCat(size));
  EXPECT_EQ(bad, 0);
}

TEST(RequestTest, LargeBodiesArriveUnchangedInAnyFraming) {
  TestServer test;
  TestClient client(test.Listen());
  std::string body;
  for (int i = 0; body.size() < 3'000'000; ++i) absl::StrAppend(&body, i, ",");
  std::string chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (size_t at = 0; at < body.size(); at += 70'001) {
    const std::string chunk = body.substr(at, 70'001);
    absl::StrAppend(&chunked, absl::Hex(chunk.size()), ";x=\"y\"\r\n", chunk, "\r\n");
  }
  chunked += "0\r\nTrailer: 1\r\n\r\n";
  ASSERT_TRUE(client.Send(Post("/", body)));
  EXPECT_TRUE(client.ReadAnswer()->body == body);
  ASSERT_TRUE(client.Send(chunked));
  EXPECT_TRUE(client.ReadAnswer()->body == body);
}

TEST(RequestTest, HeadLargerThanTheReadBufferIsRead) {
  TestServer test;
  TestClient client(test.Listen());
  const std::string large = absl::StrCat("X-Large: ", std::string(60'000, 'v'), "\r\n");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.Send(Post("/", "small", large) + Post("/", "next")));
    EXPECT_EQ(client.ReadAnswer()->body, "small");
    EXPECT_EQ(client.ReadAnswer()->body, "next");
  }
}

TEST(RequestTest, TrailersDoNotBecomeHeaders) {
  TestServer test;
  test.handler.on_request = [](Exchange& exchange) {
    Reply(exchange, exchange.head().Find("x-secret") == nullptr ? 200 : 500, "");
  };
  TestClient client(test.Listen());
  client.Send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "1\r\na\r\n0\r\nX-Secret: 1\r\n\r\n");
  EXPECT_EQ(client.ReadAnswer()->status, 200);
}

TEST(RespondTest, HeaderThatWouldSplitTheAnswerIsLeftOut) {
  TestServer test;
  test.handler.on_request = [](Exchange& exchange) {
    const HeaderField headers[] = {{"X-Good", "1"},
                                   {"X-Bad", "1\r\nSet-Cookie: a"},
                                   {"X Bad", "1"},
                                   {"Content-Length", "999"},
                                   {"", "x"}};
    Response response;
    response.headers = headers;
    response.body = "b";
    exchange.Respond(response);
  };
  TestClient client(test.Listen());
  client.Send(Post("/", ""));
  const auto answer = client.ReadAnswer();
  EXPECT_EQ(answer->Header("x-good"), "1");
  EXPECT_EQ(answer->headers.size(), 3u) << answer->bytes;  // Date, X-Good, Content-Length
  EXPECT_EQ(answer->body, "b");
}

TEST(RespondTest, AnotherThreadMayAnswerLater) {
  TestServer test;
  std::vector<std::thread> helpers;
  test.handler.on_request = [&helpers](Exchange& exchange) {
    helpers.emplace_back(
        [&exchange] { Reply(exchange, 201, absl::StrCat("late ", exchange.body())); });
  };
  TestClient client(test.Listen());
  for (int i = 0; i < 20; ++i) {
    // Pipelined, so that the next request waits for the answer.
    client.Send(Post("/", absl::StrCat(i)) + Post("/", "second"));
    const auto answer = client.ReadAnswer();
    EXPECT_EQ(answer->status, 201);
    EXPECT_EQ(answer->body, absl::StrCat("late ", i));
    EXPECT_EQ(answer->Header("date").size(), 29u);
    EXPECT_EQ(answer->Header("connection"), "");
    EXPECT_EQ(client.ReadAnswer()->body, "late second");
  }
  test.server.reset();
  for (std::thread& helper : helpers) helper.join();
}

TEST(RespondTest, LaterOnTheSameThreadIsWrittenAtOnce) {
  TestServer test;
  test.handler.on_request = [&test](Exchange& exchange) {
    test.threads->Post(exchange.thread(), [&exchange] { Reply(exchange, 200, exchange.body()); });
  };
  TestClient client(test.Listen());
  std::string all;
  for (int i = 0; i < 100; ++i) all += Post("/", absl::StrCat(i));
  ASSERT_TRUE(client.Send(all));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.ReadAnswer()->body, absl::StrCat(i));
}

TEST(RespondTest, ThousandPipelinedRequestsAreAnsweredInOrderWithoutRecursion) {
  TestServer test(1);
  int depth = 0, deepest = 0;
  test.handler.on_request = [&](Exchange& exchange) {
    deepest = std::max(deepest, ++depth);
    Reply(exchange, 200, exchange.body());
    --depth;
  };
  TestClient client(test.Listen());
  std::string all;
  for (int i = 0; i < 1000; ++i) all += Post("/", absl::StrCat(i));
  ASSERT_TRUE(client.Send(all));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(client.ReadAnswer()->body, absl::StrCat(i));
  EXPECT_TRUE(client.ReadUntilClosed());  // requests_of_a_connection
  EXPECT_EQ(deepest, 1);
}

TEST(RespondTest, TicketReachesTheHandlerAgain) {
  TestServer test;
  std::atomic<uint64_t> next{1}, dropped{0};
  test.handler.on_head = [&next](Exchange& exchange) {
    EXPECT_EQ(exchange.ticket(), 0u);
    exchange.set_ticket(next++);
    return HeadVerdict::ReadBody();
  };
  test.handler.on_request = [](Exchange& exchange) {
    Reply(exchange, 200, absl::StrCat(exchange.ticket()));
  };
  Signal told;
  test.handler.on_dropped = [&dropped, &told](Exchange& exchange) {
    dropped = exchange.ticket();
    told.Notify();
  };
  TestClient client(test.Listen());
  client.Send(Post("/", "a"));
  EXPECT_EQ(client.ReadAnswer()->body, "1");
  client.Send(Post("/", "a"));
  EXPECT_EQ(client.ReadAnswer()->body, "2");
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
  client.CloseSending();
  told.WaitForNotification();
  EXPECT_EQ(dropped, 3u);
}

TEST(EarlyAnswerTest, ShortBodyIsThrownAwayAndTheConnectionStays) {
  TestServer test;
  test.handler.on_head = [](Exchange& exchange) {
    if (exchange.head().path == "/") return HeadVerdict::ReadBody();
    Reply(exchange, 404, "no");
    return HeadVerdict::Answered();
  };
  TestClient client(test.Listen());
  client.Send(Post("/no", Post("/", "smuggled")) + Post("/", "good"));
  EXPECT_EQ(client.ReadAnswer()->status, 404);
  EXPECT_EQ(client.ReadAnswer()->body, "good");
}

TEST(EarlyAnswerTest, LongBodyIsNotReadYetTheAnswerArrives) {
  TestServer test;
  test.handler.on_head = [](Exchange& exchange) {
    Reply(exchange, 401, "who?");
    return HeadVerdict::Answered();
  };
  TestClient client(test.Listen());
  client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
  client.Send(std::string(5'000'000, 'x'));  // may or may not all go out
  const auto answer = client.ReadAnswer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 401);
  EXPECT_EQ(answer->Header("connection"), "close");
  EXPECT_FALSE(client.ReadAnswer().has_value());
}

TEST(EarlyAnswerTest, HundredContinueIsSentOnlyIfTheBodyIsWanted) {
  TestServer test;
  test.handler.on_head = [](Exchange& exchange) {
    if (exchange.head().path == "/") return HeadVerdict::ReadBody();
    Reply(exchange, 404, "no");
    return HeadVerdict::Answered();
  };
  const uint16_t port = test.Listen();
  const std::string rest =
      " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  TestClient wanted(port);
  wanted.Send("POST /" + rest);
  wanted.Send("hi");
  EXPECT_EQ(wanted.ReadAnswer()->body, "hi");
  TestClient refused(port);
  refused.Send("POST /no" + rest);
  EXPECT_EQ(refused.ReadAnswer()->Header("connection"), "close");
  EXPECT_EQ(refused.interim_answers(), 0);
  EXPECT_TRUE(refused.ReadUntilClosed());
}

TEST(HalfCloseTest, PeerThatClosedItsSendingSideGetsItsAnswers) {
  TestServer test;
  std::vector<std::thread> helpers;
  test.handler.on_request = [&helpers](Exchange& exchange) {
    helpers.emplace_back([&exchange] { Reply(exchange, 200, exchange.body()); });
  };
  TestClient client(test.Listen());
  client.Send(Post("/", "1") + Post("/", "2"));
  client.CloseSending();
  EXPECT_EQ(client.ReadAnswer()->body, "1");
  EXPECT_EQ(client.ReadAnswer()->body, "2");
  EXPECT_TRUE(client.ReadUntilClosed());
  test.server.reset();
  for (std::thread& helper : helpers) helper.join();
}

// Holds the only thread while the bytes of others pile up.
struct BusyThread {
  explicit BusyThread(TestServer& test) {
    test.handler.on_request = [this, echo = test.handler.on_request](Exchange& exchange) {
      if (exchange.head().path == "/hold") {
        held.Notify();
        let_go.WaitForNotification();
      }
      echo(exchange);
    };
  }

  // Returns when the thread is held.
  void Hold(TestClient& holder) {
    holder.Send(Post("/hold", ""));
    held.WaitForNotification();
  }

  Signal held, let_go;
};

// One whose first request was answered, before a second one holds the thread.
class BehindBusyThreadTest : public testing::Test {
 protected:
  BehindBusyThreadTest() {
    client_.Send(Post("/", "first"));
    EXPECT_TRUE(client_.ReadAnswer());
    busy_.Hold(holder_);
  }

  TestServer test_{1};
  BusyThread busy_{test_};
  const uint16_t port_ = test_.Listen();
  TestClient holder_{port_}, client_{port_};
};

TEST_F(BehindBusyThreadTest, EndThatComesTogetherWithTheRequestIsSeen) {
  client_.Send(Post("/", "last"));
  client_.CloseSending();
  busy_.let_go.Notify();
  EXPECT_EQ(client_.ReadAnswer()->body, "last");
  EXPECT_TRUE(client_.ReadUntilClosed());
  EXPECT_FALSE(holder_.closed());
}

// A read stops early where urgent data stood, though more has come.
TEST_F(BehindBusyThreadTest, WhatComesBehindUrgentDataIsRead) {
  const std::string request = Post("/", "last");
  client_.Send(request.substr(0, 20));
  ASSERT_TRUE(client_.SendUrgent('!'));
  client_.Send(request.substr(20));
  busy_.let_go.Notify();
  const auto answer = client_.ReadAnswer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "last");
}

TEST(FairnessTest, SenderThatIsNeverOutOfBytesLetsOthersHaveTheirTurn) {
  constexpr int kRequests = 4000;
  TestServer test(1);
  test.options.limits.requests_of_a_connection = 2 * kRequests;
  int from_greedy = 0, when_modest_came = 0;  // for the server's only thread, until it is gone
  test.handler.on_request = [&](Exchange& exchange) {
    if (exchange.head().path == "/greedy") ++from_greedy;
    if (exchange.head().path == "/modest") when_modest_came = from_greedy;
    Reply(exchange, 200, "");
  };
  BusyThread busy(test);
  const uint16_t port = test.Listen();
  TestClient holder(port), greedy(port), modest(port);
  busy.Hold(holder);
  const std::string request = Post("/greedy", std::string(1000, 'g'));
  std::string requests;
  for (int i = 0; i < kRequests; ++i) requests += request;
  std::thread sender([&] { greedy.Send(requests); });
  modest.Send(Post("/modest", ""));
  busy.let_go.Notify();
  EXPECT_TRUE(modest.ReadAnswer());
  sender.join();
  for (int i = 0; i < kRequests; ++i) ASSERT_TRUE(greedy.ReadAnswer()) << i;
  test.server.reset();
  EXPECT_EQ(from_greedy, kRequests);
  EXPECT_LT(when_modest_came, kRequests / 2);
}

}  // namespace
}  // namespace webhook::http
