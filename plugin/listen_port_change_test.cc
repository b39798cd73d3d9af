// A listen port that changes while senders keep posting: its address, or its instance.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "plugin/http/testing/free_port.h"
#include "plugin/http/testing/test_client.h"
#include "plugin/testing/listen_port_fixture.h"
#include "plugin/testing/listen_port_host.h"

namespace webhook {
namespace {

using http::Post;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Two senders that post without a pause: one on a new connection each time, one that keeps its
// connection until it is told that it closes.
class Senders {
 public:
  explicit Senders(uint16_t port) : port_(port) {
    threads_.emplace_back([this] { PostOnNewConnections(); });
    threads_.emplace_back([this] { PostOnOneConnection(); });
  }
  ~Senders() { End(); }

  // Waits until each has made some more requests.
  void AwaitAnswers(int more = 20) {
    const int before[] = {answers_[0], answers_[1]};
    while (answers_[0] < before[0] + more || answers_[1] < before[1] + more) {
      std::this_thread::yield();
    }
  }
  void End() {
    end_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // Requests that were not answered 200.
  int lost_on_new_connections() const { return lost_[0]; }
  int lost_on_kept_connections() const { return lost_[1]; }
  // Of these, those that got another answer. The others found no open port, or lost a connection.
  int refused() const { return refused_; }

 private:
  void PostOnNewConnections() {
    while (!end_) {
      TestClient client(port_);
      client.Send(Post("/", "{}", kGood));
      Count(0, client.ReadAnswer().value_or(http::Answer{}));
    }
  }
  // The first request on a connection is one on a new connection.
  void PostOnOneConnection() {
    std::unique_ptr<TestClient> client;
    while (!end_) {
      const bool kept = client != nullptr;
      if (!kept) client = std::make_unique<TestClient>(port_);
      client->Send(Post("/", "{}", kGood));
      const http::Answer answer = client->ReadAnswer().value_or(http::Answer{});
      Count(kept ? 1 : 0, answer);
      if (answer.status != 200 || answer.Header("connection") == "close") client = nullptr;
    }
  }
  void Count(int who, const http::Answer& answer) {
    ++answers_[who];
    if (answer.status != 200) ++lost_[who];
    if (answer.status != 200 && answer.status != 0) ++refused_;
  }

  const uint16_t port_;
  std::atomic<bool> end_{false};
  std::atomic<int> answers_[2] = {};
  std::atomic<int> lost_[2] = {};
  std::atomic<int> refused_{0};
  std::vector<std::thread> threads_;
};

class ListenPortChangeTest : public ListenPortTest {
 protected:
  Result PrepareMove(size_t instance, const std::string& name, uint16_t port, lri_update** update) {
    return WithOptions(With({{"longRunningPort", std::to_string(port)}}), name,
                       [&](const lri_instance_options& options) {
                         lri_error error{sizeof(lri_error), {}};
                         const int32_t code = table_->update_prepare(instances_.at(instance),
                                                                     &options, update, &error);
                         return Result{code, error.message};
                       });
  }
  void StartSecond(uint16_t port) {
    ASSERT_EQ(Create({{"longRunningPort", std::to_string(port)}}, "second").code, LRI_OK);
    ASSERT_EQ(Start(1).code, LRI_OK);
  }

  // The instance that answers there.
  static std::string Owner(uint16_t port) {
    const std::string body = AskAt(port, Post("/", "{}", kGood)).body;
    const size_t begin = body.find("\"sourceInstance\":\"");
    if (begin == std::string::npos) return "nobody: " + body;
    const size_t name = begin + 18;
    return body.substr(name, body.find('"', name) - name);
  }
};

TEST_F(ListenPortChangeTest, OneUpdateOfAnInstanceIsPreparedAtATime) {
  const uint16_t other = FreePorts(1)[0];
  Serve();
  lri_update* first = nullptr;
  lri_update* second = nullptr;
  ASSERT_EQ(Prepare({{"longRunningPort", std::to_string(other)}}, &first).code, LRI_OK);
  EXPECT_EQ(Prepare({}, &second).code, LRI_FAILED_PRECONDITION);
  table_->update_abort(first);
  ASSERT_EQ(Prepare({}, &second).code, LRI_OK);
  table_->update_commit(second);
  EXPECT_EQ(Owner(port_), "webhook");
}

TEST_F(ListenPortChangeTest, AbortedMoveLeavesThePortToItsOwner) {
  const uint16_t other = FreePorts(1)[0];
  Serve();
  StartSecond(other);
  Senders senders(port_);
  for (int i = 0; i < 10; ++i) {
    lri_update* update = nullptr;
    ASSERT_EQ(PrepareMove(1, "second", port_, &update).code, LRI_OK);
    senders.AwaitAnswers();
    table_->update_abort(update);
  }
  senders.AwaitAnswers();
  senders.End();
  EXPECT_EQ(senders.lost_on_new_connections() + senders.lost_on_kept_connections(), 0);
  EXPECT_EQ(Owner(port_), "webhook");
  EXPECT_EQ(Owner(other), "second");
}

TEST_F(ListenPortChangeTest, SwappedPortsServeAgainWhenBothAreCommitted) {
  uint16_t ports[2] = {port_, FreePorts(1)[0]};
  Serve();
  StartSecond(ports[1]);
  Senders first(ports[0]), second(ports[1]);
  for (int i = 1; i <= 5; ++i) {
    lri_update* updates[2] = {};
    ASSERT_EQ(PrepareMove(0, "webhook", ports[i % 2], &updates[0]).code, LRI_OK);
    ASSERT_EQ(PrepareMove(1, "second", ports[(i + 1) % 2], &updates[1]).code, LRI_OK);
    table_->update_commit(updates[0]);
    table_->update_commit(updates[1]);
    EXPECT_EQ(Owner(ports[i % 2]), "webhook");
    EXPECT_EQ(Owner(ports[(i + 1) % 2]), "second");
    EXPECT_EQ(host_.health().first, LRI_HEALTHY);
    first.AwaitAnswers();
    second.AwaitAnswers();
  }
  for (Senders* senders : {&first, &second}) {
    senders->End();
    EXPECT_EQ(senders->refused(), 0);
  }
}

TEST_F(ListenPortChangeTest, RequestInFlightIsAnsweredByTheInstanceThatGivesItsPortUp) {
  uint16_t ports[2] = {port_, FreePorts(1)[0]};
  Serve();
  StartSecond(ports[1]);
  host_.Hold();
  TestClient client(ports[0]);
  client.Send(Post("/", "{}", kGood));
  host_.WaitUntilHeld(1);
  lri_update* updates[2] = {};
  ASSERT_EQ(PrepareMove(0, "webhook", ports[1], &updates[0]).code, LRI_OK);
  ASSERT_EQ(PrepareMove(1, "second", ports[0], &updates[1]).code, LRI_OK);
  table_->update_commit(updates[0]);
  table_->update_commit(updates[1]);
  host_.Release();
  const http::Answer answer = client.ReadAnswer().value_or(http::Answer{});
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"sourceInstance\":\"webhook\""));
}

TEST_F(ListenPortChangeTest, PortThatAnotherInstanceKeepsIsNamedByHealthAndTakenLater) {
  const uint16_t other = FreePorts(1)[0];
  Serve();
  StartSecond(other);
  Change({{"longRunningPort", std::to_string(other)}});
  EXPECT_THAT(host_.AwaitHealth(LRI_UNHEALTHY),
              AllOf(StartsWith("longRunningPort: port " + std::to_string(other)),
                    HasSubstr("instance second"), HasSubstr("trying again in")));
  EXPECT_EQ(Owner(other), "second");
  EXPECT_LT(ListeningSocket(port_), 0);
  ASSERT_EQ(table_->stop(instances_[1], InAMinute(), nullptr), LRI_OK);
  host_.AwaitHealth(LRI_HEALTHY);
  EXPECT_EQ(Owner(other), "webhook");
}

TEST_F(ListenPortChangeTest, PortOfAnInstanceThatStopsIsFreeForAnother) {
  Serve();
  ASSERT_EQ(Create({}, "second").code, LRI_OK);
  const Result refused = Start(1);
  EXPECT_EQ(refused.code, LRI_ALREADY_EXISTS);
  EXPECT_THAT(refused.message, HasSubstr("instance webhook"));
  ASSERT_EQ(table_->stop(instances_[0], InAMinute(), nullptr), LRI_OK);
  table_->destroy(instances_[0]);
  instances_.erase(instances_.begin());
  ASSERT_EQ(Start(0).code, LRI_OK);
  EXPECT_EQ(Owner(port_), "second");
}

TEST_F(ListenPortChangeTest, BindAddressChangesWhileItServes) {
  Serve({{"bind_address", http::OwnAddress()}});
  Senders senders(port_);
  constexpr int kChanges = 4;
  for (int i = 0; i < kChanges; ++i) {
    const std::string own = http::OwnAddress();
    for (const std::string& address : {std::string("0.0.0.0"), own, std::string("::"), own}) {
      Change({{"bind_address", address}});
      senders.AwaitAnswers();
    }
  }
  senders.End();
  EXPECT_EQ(senders.lost_on_kept_connections(), 0);
  // From one address to all, a connection that the kernel is making for the old socket is lost.
  EXPECT_LE(senders.lost_on_new_connections(), 2 * kChanges);
  EXPECT_EQ(host_.health().first, LRI_HEALTHY);
}

TEST_F(ListenPortChangeTest, AbortedChangeOfTheBindAddressChangesNothing) {
  Serve({{"bind_address", "0.0.0.0"}});
  Senders senders(port_);
  for (int i = 0; i < 5; ++i) {
    lri_update* update = nullptr;
    ASSERT_EQ(Prepare({{"bind_address", http::OwnAddress()}}, &update).code, LRI_OK);
    senders.AwaitAnswers();
    table_->update_abort(update);
  }
  senders.End();
  EXPECT_EQ(senders.lost_on_new_connections() + senders.lost_on_kept_connections(), 0);
}

TEST_F(ListenPortChangeTest, BindAddressOfAnotherMachineIsRefused) {
  Serve();
  lri_update* update = nullptr;
  const Result refused = Prepare({{"bind_address", "192.0.2.1"}}, &update);
  EXPECT_EQ(refused.code, LRI_INVALID_ARGUMENT);
  EXPECT_THAT(refused.message, StartsWith("bind_address: "));
  EXPECT_EQ(Owner(port_), "webhook");
}

}  // namespace
}  // namespace webhook
