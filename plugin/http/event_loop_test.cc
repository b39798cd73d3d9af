#include "plugin/http/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "plugin/base/clock.h"

namespace webhook::http {
namespace {

// A loop that runs on this thread until something stops it.
class EventLoopTest : public ::testing::Test {
 protected:
  EventLoopTest() { EXPECT_TRUE(loop_.Open().ok()); }

  EventLoop loop_;
};

struct TestTimer final : EventLoop::Timer {
  explicit TestTimer(std::function<void()> function) : function(std::move(function)) {}
  void OnTimer() override { function(); }
  std::function<void()> function;
};

struct TestWatcher final : EventLoop::Watcher {
  void OnEvents(uint32_t events) override { function(events); }
  std::function<void(uint32_t)> function;
};

// Two connected sockets.
struct SocketPair {
  SocketPair() {
    int both[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both), 0);
    ours = Descriptor(both[0]);
    theirs = Descriptor(both[1]);
  }
  void Send() { EXPECT_EQ(send(theirs.get(), "x", 1, 0), 1); }
  void Receive() {
    char byte;
    EXPECT_EQ(recv(ours.get(), &byte, 1, 0), 1);
  }
  Descriptor ours, theirs;
};

TEST_F(EventLoopTest, WhatIsPostedRunsInOrderAndLaterThanWhatPostsIt) {
  std::string order;
  loop_.Post([&] {
    loop_.Post([&] {
      order += "c";
      loop_.Stop();
    });
    order += "a";
  });
  loop_.Post([&] { order += "b"; });
  loop_.Run();
  EXPECT_EQ(order, "abc");
}

TEST_F(EventLoopTest, OtherThreadsWakeIt) {
  constexpr int kThreads = 4, kEach = 1000;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < kEach; ++k) {
        loop_.Post([&] {
          if (++ran == kThreads * kEach) loop_.Stop();
        });
      }
    });
  }
  loop_.Run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, kThreads * kEach);
}

TEST_F(EventLoopTest, WhatIsNeverRunIsDropped) {
  auto owned = std::make_shared<int>();
  {
    EventLoop other;
    ASSERT_TRUE(other.Open().ok());
    other.Post([owned] {});
    EXPECT_EQ(owned.use_count(), 2);
  }
  EXPECT_EQ(owned.use_count(), 1);
}

TEST_F(EventLoopTest, TimersRunInTheOrderOfTheirTimes) {
  std::string order;
  TestTimer a([&] { order += "a"; }), b([&] { order += "b"; });
  TestTimer never([&] { order += "never"; });
  TestTimer end([&] { loop_.Stop(); });
  const int64_t now_ms = loop_.now_ms();
  loop_.Arm(end, now_ms + 30);
  loop_.Arm(b, now_ms + 20);
  loop_.Arm(never, now_ms + 1);
  loop_.Arm(a, now_ms + 100);
  loop_.Arm(a, now_ms + 10);
  loop_.Disarm(never);
  loop_.Run();
  EXPECT_EQ(order, "ab");
  EXPECT_FALSE(a.is_armed());
  EXPECT_GE(base::MonotonicNanoseconds() / 1'000'000, now_ms + 30);
}

TEST_F(EventLoopTest, TimerMayArmItselfAgain) {
  int runs = 0;
  TestTimer timer([&] {
    if (++runs == 3) return loop_.Stop();
    loop_.Arm(timer, loop_.now_ms() + 1);
  });
  loop_.Arm(timer, loop_.now_ms());
  loop_.Run();
  EXPECT_EQ(runs, 3);
}

TEST_F(EventLoopTest, EventIsToldUntilItIsTakenOrNotWanted) {
  SocketPair sockets;
  TestWatcher watcher;
  int told = 0;
  TestTimer quiet([&] { loop_.Stop(); });
  watcher.function = [&](uint32_t events) {
    EXPECT_EQ(events, uint32_t{EPOLLIN});
    if (++told == 2) {
      loop_.Rewatch(sockets.ours, watcher, 0);
      loop_.Arm(quiet, loop_.now_ms() + 20);
    }
  };
  ASSERT_TRUE(loop_.Watch(sockets.ours, watcher, EPOLLIN));
  sockets.Send();
  loop_.Run();
  EXPECT_EQ(told, 2);
}

TEST_F(EventLoopTest, WatcherThatIsRemovedIsToldNoMore) {
  SocketPair sockets[2];
  TestWatcher watchers[2];
  int told = 0;
  for (int i = 0; i < 2; ++i) {
    watchers[i].function = [&, i](uint32_t) {
      ++told;
      sockets[i].Receive();
      loop_.Unwatch(sockets[1 - i].ours, watchers[1 - i]);
      loop_.Stop();
    };
    ASSERT_TRUE(loop_.Watch(sockets[i].ours, watchers[i], EPOLLIN));
    sockets[i].Send();
  }
  loop_.Run();
  EXPECT_EQ(told, 1);
}

TEST_F(EventLoopTest, ExceptionEndsOneCallbackAlone) {
  SocketPair sockets;
  TestWatcher watcher;
  watcher.function = [&](uint32_t) {
    sockets.Receive();
    throw std::bad_alloc();
  };
  ASSERT_TRUE(loop_.Watch(sockets.ours, watcher, EPOLLIN));
  sockets.Send();
  TestTimer timer([] { throw std::bad_alloc(); });
  loop_.Arm(timer, loop_.now_ms());
  bool ran = false;
  loop_.Post([] { throw std::bad_alloc(); });
  loop_.Post([&] { ran = true; });
  loop_.Post([&] { loop_.Stop(); });
  loop_.Run();
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace webhook::http
