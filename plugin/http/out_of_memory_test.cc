// What is left of the server after an allocation failed on one of its threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "plugin/http/connection.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/http/testing/test_server.h"

namespace {

// Allocations of so many bytes and more fail.
std::atomic<size_t> fail_from_bytes{SIZE_MAX};

}  // namespace

// Not inlined: the compiler would take new with free for a mistake.
[[gnu::noinline]] void* operator new(size_t size) {
  void* memory = size >= fail_from_bytes ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return size >= fail_from_bytes ? nullptr : std::malloc(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace webhook::http {
namespace {

constexpr size_t kLarge = 1024 * 1024;

// Hands one exchange to the test.
struct Taken {
  void Take(Exchange& taken) {
    exchange = &taken;
    arrived.Notify();
  }
  Exchange* exchange = nullptr;
  Signal arrived;
};

TEST(OutOfMemoryTest, ConnectionsAreStillAcceptedAfterOneThatHadNoMemory) {
  TestServer test(1);
  const uint16_t port = test.Listen();
  fail_from_bytes = sizeof(Connection);
  TestClient first(port);
  const bool closed = first.ReadUntilClosed();
  fail_from_bytes = SIZE_MAX;
  EXPECT_TRUE(closed);
  EXPECT_EQ(test.server->connections(), 0);
  TestClient second(port);
  second.Send(Post("/", "x"));
  const auto answer = second.ReadAnswer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
}

TEST(OutOfMemoryTest, ExceptionInTheHandlerClosesTheConnectionAndNothingIsOwed) {
  for (const char* thrower : {"head", "request"}) {
    TestServer test(1);
    test.handler.on_head = [thrower](Exchange& exchange) {
      if (exchange.head().path == "/bad" && thrower == std::string("head")) throw std::bad_alloc();
      return HeadVerdict::ReadBody();
    };
    test.handler.on_request = [](Exchange& exchange) {
      if (exchange.head().path == "/bad") throw std::bad_alloc();
      Reply(exchange, 200, "");
    };
    const uint16_t port = test.Listen();
    TestClient bad(port), good(port);
    bad.Send(Post("/bad", "x"));
    EXPECT_TRUE(bad.ReadUntilClosed());
    EXPECT_EQ(bad.rest(), "");
    good.Send(Post("/", "x"));
    EXPECT_EQ(good.ReadAnswer()->status, 200);
    EXPECT_TRUE(test.server->Drain(absl::Minutes(1)));  // nothing is held
  }
}

TEST(OutOfMemoryTest, AnswerThatCouldNotBeFormattedElsewhereEndsIn504) {
  TestServer test(1);
  test.options.limits.answer_timeout_ms = 50;
  Taken taken;
  test.handler.on_request = [&taken](Exchange& exchange) { taken.Take(exchange); };
  TestClient client(test.Listen());
  client.Send(Post("/", "x"));
  taken.arrived.WaitForNotification();
  const std::string large(kLarge, 'x');
  fail_from_bytes = kLarge;
  EXPECT_THROW(Reply(*taken.exchange, 200, large), std::bad_alloc);
  fail_from_bytes = SIZE_MAX;
  const auto answer = client.ReadAnswer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 504);
  Reply(*taken.exchange, 200, "late");
}

TEST(OutOfMemoryTest, AnswerThatCouldNotBeFormattedMayBeReplacedByAShorterOne) {
  TestServer test(1);
  const std::string large(kLarge, 'x');
  bool threw = false;
  test.handler.on_request = [&](Exchange& exchange) {
    fail_from_bytes = kLarge;
    try {
      Reply(exchange, 200, large);
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    fail_from_bytes = SIZE_MAX;
    Reply(exchange, 503, "short");
  };
  TestClient client(test.Listen());
  client.Send(Post("/", "x"));
  const auto answer = client.ReadAnswer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->body, "short");
  EXPECT_TRUE(threw);
}

}  // namespace
}  // namespace webhook::http
