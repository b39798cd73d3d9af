// A listen port that changes while senders keep posting: its address, or the instance that has it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "plugin/http/free_port.h"
#include "plugin/http/test_client.h"
#include "plugin/listen_port_host.h"
#include "plugin/listen_port_test.h"

namespace webhook {
namespace {

using http::Post;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Two senders who post without a pause: one on a new connection each time, one who keeps his own
// until he is told that it closes.
class Senders {
 public:
  explicit Senders(uint16_t port) : port_(port) {
    threads_.emplace_back([this] { PostOnNewConnections(); });
    threads_.emplace_back([this] { PostOnOneConnection(); });
  }
  ~Senders() { End(); }

  // Waits until each has had some more answers.
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

 private:
  void PostOnNewConnections() {
    while (!end_) {
      TestClient client(port_);
      client.Send(Post("/", "{}", kGood));
      Count(0, client.ReadAnswer().value_or(http::Answer{}));
    }
  }
  void PostOnOneConnection() {
    auto client = std::make_unique<TestClient>(port_);
    while (!end_) {
      client->Send(Post("/", "{}", kGood));
      const http::Answer answer = client->ReadAnswer().value_or(http::Answer{});
      Count(1, answer);
      if (answer.status == 200 && answer.Header("connection") != "close") continue;
      client = std::make_unique<TestClient>(port_);
    }
  }
  void Count(int who, const http::Answer& answer) {
    ++answers_[who];
    if (answer.status != 200) ++lost_[who];
  }

  const uint16_t port_;
  std::atomic<bool> end_{false};
  std::atomic<int> answers_[2] = {};
  std::atomic<int> lost_[2] = {};
  std::vector<std::thread> threads_;
};

class ListenPortChangeTest : public ListenPortTest {
 protected:
  // As Prepare and Create, but that the port changes hands within the change.
  Result PrepareHandOver(size_t instance, const std::string& name, uint16_t port,
                         lri_update** update) {
    return WithOptions(
        With({{"longRunningPort", std::to_string(port)}}), name, [&](lri_instance_options options) {
          options.port_changes_hands = 1;
          lri_error error{sizeof(lri_error), {}};
          const int32_t code =
              table_->update_prepare(instances_.at(instance), &options, update, &error);
          return Result{code, error.message};
        });
  }
  Result CreateHandOver(const std::string& name) {
    return WithOptions(With({}), name, [&](lri_instance_options options) {
      options.port_changes_hands = 1;
      lri_error error{sizeof(lri_error), {}};
      lri_instance* instance = nullptr;
      const int32_t code = table_->create(plugin_, &options, &instance, &error);
      if (code == LRI_OK) instances_.push_back(instance);
      return Result{code, error.message};
    });
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

TEST_F(ListenPortChangeTest, PortIsPromisedToOneOtherAtMost) {
  const uint16_t other = FreePorts(1)[0];
  Serve();
  ASSERT_EQ(Create({{"longRunningPort", std::to_string(other)}}, "second").code, LRI_OK);
  lri_update* update = nullptr;
  ASSERT_EQ(PrepareHandOver(1, "second", port_, &update).code, LRI_OK);
  const Result third = CreateHandOver("third");
  EXPECT_EQ(third.code, LRI_INVALID_ARGUMENT);
  EXPECT_THAT(third.message, HasSubstr("instance second"));
  table_->update_abort(update);
  EXPECT_EQ(Owner(port_), "webhook");
}

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

TEST_F(ListenPortChangeTest, AbortedHandOverLeavesThePortToItsOwner) {
  const uint16_t other = FreePorts(1)[0];
  Serve();
  ASSERT_EQ(Create({{"longRunningPort", std::to_string(other)}}, "second").code, LRI_OK);
  ASSERT_EQ(Start(1).code, LRI_OK);
  Senders senders(port_);
  for (int i = 0; i < 10; ++i) {
    lri_update* update = nullptr;
    ASSERT_EQ(PrepareHandOver(1, "second", port_, &update).code, LRI_OK);
    senders.AwaitAnswers();
    table_->update_abort(update);
  }
  senders.AwaitAnswers();
  senders.End();
  EXPECT_EQ(senders.lost_on_new_connections() + senders.lost_on_kept_connections(), 0);
  EXPECT_EQ(Owner(port_), "webhook");
  EXPECT_EQ(Owner(other), "second");
}

TEST_F(ListenPortChangeTest, SwappedPortsLoseNoRequest) {
  uint16_t ports[2] = {port_, FreePorts(1)[0]};
  Serve();
  ASSERT_EQ(Create({{"longRunningPort", std::to_string(ports[1])}}, "second").code, LRI_OK);
  ASSERT_EQ(Start(1).code, LRI_OK);
  Senders first(ports[0]), second(ports[1]);
  for (int i = 1; i <= 5; ++i) {
    lri_update* updates[2] = {};
    ASSERT_EQ(PrepareHandOver(0, "webhook", ports[i % 2], &updates[0]).code, LRI_OK);
    ASSERT_EQ(PrepareHandOver(1, "second", ports[(i + 1) % 2], &updates[1]).code, LRI_OK);
    table_->update_commit(updates[0]);
    table_->update_commit(updates[1]);
    first.AwaitAnswers();
    second.AwaitAnswers();
  }
  for (Senders* senders : {&first, &second}) {
    senders->End();
    EXPECT_EQ(senders->lost_on_new_connections() + senders->lost_on_kept_connections(), 0);
  }
  EXPECT_EQ(Owner(ports[1]), "webhook");
  EXPECT_EQ(Owner(ports[0]), "second");
}

TEST_F(ListenPortChangeTest, PortOfAnInstanceThatStopsIsTakenOverWithoutAGap) {
  Serve();
  Senders senders(port_);
  senders.AwaitAnswers();
  ASSERT_EQ(CreateHandOver("second").code, LRI_OK);
  ASSERT_EQ(Start(1).code, LRI_OK);
  ASSERT_EQ(table_->stop(instances_[0], InAMinute(), nullptr), LRI_OK);
  table_->destroy(instances_[0]);
  instances_.erase(instances_.begin());
  senders.AwaitAnswers();
  senders.End();
  EXPECT_EQ(senders.lost_on_new_connections(), 0);
  EXPECT_EQ(Owner(port_), "second");
  // And it is a port as any other.
  EXPECT_EQ(Create({}, "third").code, LRI_INVALID_ARGUMENT);
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
  // From one address to all, a connection that the kernel just makes for the old socket is lost.
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
