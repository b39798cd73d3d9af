#include "plugin/runtime/listener.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <string>

#include "plugin/http/testing/free_port.h"
#include "plugin/http/testing/test_client.h"

namespace webhook::runtime {
namespace {

using http::FreePort;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Time passes when a test says so.
class FakeTimers : public Timers {
 public:
  void RunAfter(absl::Duration delay, absl::AnyInvocable<void()> work) override {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(delay, std::move(work));
    changed_.notify_all();
  }
  absl::Duration Now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void Pass(absl::Duration time) {
    const std::lock_guard lock(mutex_);
    now_ += time;
  }

  // Waits for work, lets its time pass and runs it. Returns how long it had to wait.
  absl::Duration RunNext() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !waiting_.empty(); });
    auto [delay, work] = std::move(waiting_.front());
    waiting_.pop_front();
    now_ += delay;
    lock.unlock();
    work();
    return delay;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  absl::Duration now_;
  std::deque<std::pair<absl::Duration, absl::AnyInvocable<void()>>> waiting_;
};

class HelloHandler : public http::Handler {
 public:
  http::HeadVerdict OnHead(http::Exchange&) override { return http::HeadVerdict::ReadBody(); }
  void OnRequest(http::Exchange& exchange) override { exchange.Respond({.body = "hello"}); }
};

class TestClient : public http::TestClient {
 public:
  explicit TestClient(uint16_t port) : http::TestClient(port, http::OwnAddress()) {}
};

// Something else that listens on a port.
class OtherProgram {
 public:
  explicit OtherProgram(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    const int yes = 1;
    setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, http::OwnAddress().c_str(), &address.sin_addr);
    if (bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(socket_, 1) != 0) {
      ADD_FAILURE() << "port " << port << " cannot be taken";
    }
  }
  ~OtherProgram() { close(socket_); }

 private:
  const int socket_;
};

// Makes the listening socket of that port useless, as a fault of the system would.
void KillListener(uint16_t port) {
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    int listening = 0;
    socklen_t listening_size = sizeof listening;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (address.sin_family != AF_INET || ntohs(address.sin_port) != port) continue;
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_size);
    if (listening == 0) continue;
    shutdown(fd, SHUT_RDWR);
    return;
  }
  ADD_FAILURE() << "nothing listens on port " << port;
}

class ListenerTest : public ::testing::Test {
 protected:
  static http::ServerOptions On(uint16_t port) {
    http::ServerOptions options;
    options.address = http::OwnAddress();
    options.port = port;
    return options;
  }
  ListenerEnvironment EnvironmentOf(const std::string& instance, HelloHandler* handler) {
    return {.threads = threads_.get(),
            .handler = handler,
            .timers = &timers_,
            .ports = &ports_,
            .instance = instance,
            .report = [this](const absl::Status& status) {
              const std::lock_guard lock(mutex_);
              reports_.push_back(status);
            }};
  }
  void Listen(uint16_t port) {
    auto bound = Listener::Bind(On(port), EnvironmentOf("first", &handler_));
    ASSERT_TRUE(bound.ok()) << bound.status();
    listener_ = *std::move(bound);
    listener_->StartAccepting();
  }

  absl::Status LastReport() {
    const std::lock_guard lock(mutex_);
    return reports_.empty() ? absl::NotFoundError("none") : reports_.back();
  }

  static int Ask(http::TestClient& client) {
    client.Send(http::Post("/", "x"));
    const auto answer = client.ReadAnswer();
    return answer.has_value() ? answer->status : 0;
  }

  HelloHandler handler_;
  HelloHandler other_handler_;
  FakeTimers timers_;
  Ports ports_;
  std::unique_ptr<http::IoThreads> threads_ = *http::IoThreads::Start(2);
  std::mutex mutex_;
  std::vector<absl::Status> reports_;
  std::shared_ptr<Listener> listener_;  // goes first
};

TEST_F(ListenerTest, PortInUseIsNamed) {
  const uint16_t port = FreePort();
  const OtherProgram other(port);
  const auto bound = Listener::Bind(On(port), EnvironmentOf("first", &handler_));
  EXPECT_EQ(bound.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(bound.status().message()), StartsWith("longRunningPort: port "));
  EXPECT_THAT(std::string(bound.status().message()), HasSubstr(std::to_string(port)));
}

TEST_F(ListenerTest, ListenerThatDiesIsPutUpAgainAndKeepsItsConnections) {
  const uint16_t port = FreePort();
  Listen(port);
  TestClient before(port);
  EXPECT_EQ(Ask(before), 200);
  KillListener(port);
  EXPECT_EQ(timers_.RunNext(), absl::ZeroDuration());
  EXPECT_TRUE(LastReport().ok());
  EXPECT_TRUE(listener_->status().ok());
  TestClient after(port);
  EXPECT_EQ(Ask(after), 200);
}

TEST_F(ListenerTest, TriesGetFewerWhileThePortIsTakenByAnotherProgram) {
  const uint16_t port = FreePort();
  Listen(port);
  KillListener(port);
  while (LastReport().code() == absl::StatusCode::kNotFound) std::this_thread::yield();
  {
    const OtherProgram other(port);
    std::vector<int64_t> seconds;
    for (int i = 0; i < 9; ++i) seconds.push_back(absl::ToInt64Seconds(timers_.RunNext()));
    EXPECT_THAT(seconds, ::testing::ElementsAre(0, 1, 2, 4, 8, 16, 32, 60, 60));
    EXPECT_EQ(LastReport().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(LastReport().message()), HasSubstr("is in use"));
    EXPECT_THAT(std::string(LastReport().message()), HasSubstr("trying again in 1m"));
    EXPECT_EQ(listener_->status(), LastReport());
  }
  timers_.RunNext();
  EXPECT_TRUE(LastReport().ok());

  // Dead again at once: the pauses go on. After a minute they begin anew.
  KillListener(port);
  EXPECT_EQ(timers_.RunNext(), absl::Seconds(60));
  timers_.Pass(absl::Seconds(60));
  KillListener(port);
  EXPECT_EQ(timers_.RunNext(), absl::ZeroDuration());
}

TEST_F(ListenerTest, DrainedListenerIsNotPutUpAgain) {
  const uint16_t port = FreePort();
  Listen(port);
  KillListener(port);
  while (LastReport().code() == absl::StatusCode::kNotFound) std::this_thread::yield();
  listener_->Drain(absl::ZeroDuration());
  EXPECT_TRUE(listener_->drained());
  timers_.RunNext();
  EXPECT_FALSE(LastReport().ok());
  EXPECT_FALSE(TestClient(port).connected());
}

TEST_F(ListenerTest, PortOfAnotherInstanceIsRefusedByName) {
  const uint16_t port = FreePort();
  Listen(port);
  const auto bound = Listener::Bind(On(port), EnvironmentOf("second", &other_handler_));
  EXPECT_EQ(bound.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(bound.status().message()), StartsWith("longRunningPort: port "));
  EXPECT_THAT(std::string(bound.status().message()), HasSubstr("instance first"));
}

TEST_F(ListenerTest, NextListenerServesWhenAnotherInstanceGivesThePortUp) {
  const uint16_t port = FreePort();
  Listen(port);
  auto next = Listener::BindNext(On(port), EnvironmentOf("second", &other_handler_), nullptr);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_THAT(std::string((*next)->status().message()), HasSubstr("instance first"));
  (*next)->StartAccepting();
  EXPECT_EQ(LastReport().code(), absl::StatusCode::kNotFound);  // the change may not be over
  listener_->Retire(absl::Minutes(1));
  EXPECT_TRUE((*next)->status().ok());
  TestClient client(port);
  EXPECT_EQ(Ask(client), 200);
  timers_.RunNext();  // it has nothing to do any more
  EXPECT_TRUE((*next)->status().ok());
}

TEST_F(ListenerTest, PortThatIsTakenByAnotherProgramInBetweenIsReportedAndTriedAgain) {
  const uint16_t port = FreePort();
  Listen(port);
  auto next = Listener::BindNext(On(port), EnvironmentOf("second", &other_handler_), nullptr);
  ASSERT_TRUE(next.ok()) << next.status();
  (*next)->StartAccepting();
  EXPECT_EQ(timers_.RunNext(), absl::Seconds(1));
  EXPECT_THAT(std::string(LastReport().message()),
              AllOf(HasSubstr("instance first"), HasSubstr("trying again in 2s")));
  KillListener(port);
  while (listener_->status().ok()) std::this_thread::yield();
  {
    const OtherProgram other(port);
    listener_->Retire(absl::ZeroDuration());
    EXPECT_EQ((*next)->status(), LastReport());
    EXPECT_THAT(std::string(LastReport().message()),
                AllOf(HasSubstr("is in use"), HasSubstr("trying again in")));
  }
  while (!LastReport().ok()) timers_.RunNext();
  TestClient client(port);
  EXPECT_EQ(Ask(client), 200);
}

}  // namespace
}  // namespace webhook::runtime
