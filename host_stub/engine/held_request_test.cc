// The memory of a request belongs to the plugin until it lets go of it, even when its instance does
// not stop and the host has answered in its place.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/testing/engine_test_util.h"
#include "host_stub/store/testing/forwarding_store.h"

namespace host_stub {
namespace {

// Takes one batch, and passes it on when the test says so.
class LateStore : public ForwardingStore {
 public:
  absl::Status Create(Submission* submission) override {
    taken_ = submission;
    return absl::OkStatus();
  }
  void PassOn() { EXPECT_TRUE(ForwardingStore::Create(std::exchange(taken_, nullptr)).ok()); }

 private:
  Submission* taken_ = nullptr;
};

class HeldRequestTest : public testing::Test {
 protected:
  HeldRequestTest() {
    test_.services.store = store_;
    auto plugin = HostedPlugin::Load("tests/abi/echo_plugin.so", PluginOptions(), test_.services);
    EXPECT_TRUE(plugin.ok()) << plugin.status();
    auto instance = (*plugin)->CreateInstance(TestSpec("hook"));
    EXPECT_TRUE(instance.ok()) << instance.status();
    instance_ = *std::move(instance);
    EXPECT_TRUE(instance_->Start().ok());
    EXPECT_TRUE(instance_->Execute(request_.request(), &receiver_, &call_).ok());
  }

  const std::shared_ptr<LateStore> store_ = std::make_shared<LateStore>();
  TestServices test_;
  std::shared_ptr<HostedInstance> instance_;
  TestRequest request_{R"({"a":1})"};
  WaitingReceiver receiver_;
  CallHandle call_;
};

TEST_F(HeldRequestTest, AnswerInPlaceOfAnInstanceThatDoesNotStopTellsThatTheRequestIsHeld) {
  EXPECT_FALSE(instance_->Stop(absl::Now()).ok());
  EXPECT_EQ(receiver_.answers(), 1);
  EXPECT_EQ(receiver_.status(), 503);
  EXPECT_TRUE(receiver_.request_is_held());
  EXPECT_FALSE(receiver_.released());
  // The plugin reads the request still: what it creates has the body as it came.
  store_->PassOn();
  receiver_.AwaitRelease();
  EXPECT_EQ(receiver_.answers(), 1);
  auto stored = store_->Get(1);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->details, R"({"a":1})");
}

TEST_F(HeldRequestTest, AbandonedRequestIsHeldUntilThePluginLetsGo) {
  EXPECT_TRUE(instance_->Abandon(call_));
  EXPECT_FALSE(receiver_.released());
  EXPECT_EQ(instance_->counts().calls_in_flight, 1);
  store_->PassOn();
  receiver_.AwaitRelease();
  EXPECT_EQ(receiver_.answers(), 0);
  EXPECT_TRUE(instance_->Stop(absl::Now()).ok());
}

TEST_F(HeldRequestTest, AnswerOfThePluginLetsGoOfTheRequest) {
  store_->PassOn();
  receiver_.AwaitRelease();
  EXPECT_EQ(receiver_.status(), 200);
  EXPECT_FALSE(receiver_.request_is_held());
  EXPECT_TRUE(instance_->Stop(absl::Now()).ok());
}

}  // namespace
}  // namespace host_stub
