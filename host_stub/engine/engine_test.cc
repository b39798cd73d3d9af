// A plugin in the engine, with a memory store: the whole way of a request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/testing/engine_test_util.h"

namespace host_stub {
namespace {

using ::testing::HasSubstr;

constexpr char kEchoPlugin[] = "tests/abi/echo_plugin.so";

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    auto plugin = HostedPlugin::Load(kEchoPlugin, PluginOptions(), test_.services);
    EXPECT_TRUE(plugin.ok()) << plugin.status();
    plugin_ = *std::move(plugin);
  }
  std::shared_ptr<HostedInstance> Make(absl::string_view name) {
    auto instance = plugin_->CreateInstance(TestSpec(name));
    EXPECT_TRUE(instance.ok()) << instance.status();
    EXPECT_TRUE((*instance)->Start().ok());
    return *std::move(instance);
  }

  TestServices test_;
  std::shared_ptr<HostedPlugin> plugin_;
};

TEST_F(EngineTest, NameOutsideItsAlphabetIsRefused) {
  for (const char* name : {"", "a/b", "a b", "\n"}) {
    EXPECT_EQ(plugin_->CreateInstance(TestSpec(name)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(plugin_->CreateInstance(TestSpec(std::string(65, 'a'))).ok());
}

TEST_F(EngineTest, UnknownCommandIsNotFound) {
  bool called = false;
  const absl::Status status =
      Make("hook")->RunCommand("nonsense", "", [&](auto) { called = true; });
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nonsense"));
  EXPECT_FALSE(called);
}

TEST_F(EngineTest, UpdateIsUnimplementedWhereThePluginHasNone) {
  auto instance = Make("hook");
  InstanceSpec spec = TestSpec("hook");
  EXPECT_EQ(instance->PrepareUpdate(spec).status().code(), absl::StatusCode::kInvalidArgument);
  spec.uid = instance->uid();
  EXPECT_EQ(instance->PrepareUpdate(spec).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(EngineTest, RequestBecomesAnIncidentAndIsAnsweredWithItsId) {
  auto instance = Make("hook");
  TestRequest request("{\"a\":1}");
  WaitingReceiver receiver;
  CallHandle call;
  ASSERT_TRUE(instance->Execute(request.request(), &receiver, &call).ok());
  receiver.AwaitRelease();
  EXPECT_EQ(receiver.answers(), 1);
  EXPECT_EQ(receiver.status(), 200);
  EXPECT_EQ(receiver.body(), "[{\"id\":\"1\"}]");
  ASSERT_EQ(receiver.headers().size(), 1u);
  EXPECT_EQ(receiver.headers()[0].second, "application/json");
  auto stored = test_.services.store->Get(1);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->details, "{\"a\":1}");
  EXPECT_EQ(stored->instance_uid, instance->uid());
  EXPECT_EQ(stored->instance_name, "hook");
  EXPECT_EQ(stored->source_brand, "Echo");
  EXPECT_FALSE(instance->Abandon(call));
  EXPECT_EQ(instance->counts().calls, 1);
  EXPECT_EQ(instance->counts().incidents_created, 1);
  EXPECT_TRUE(instance->Stop(absl::Now() + absl::Seconds(5)).ok());
}

TEST_F(EngineTest, HeadIsJudgedAndDescriptionAndCommandAnswer) {
  auto instance = Make("hook");
  RecordingHeadReceiver receiver;
  HeadVerdict verdict;
  ASSERT_TRUE(instance->CheckHead(RequestHead(), &receiver, &verdict).ok());
  EXPECT_FALSE(verdict.refused);
  EXPECT_EQ(verdict.body_limit_bytes, 1u << 20);
  EXPECT_EQ(verdict.ticket, 1u);
  auto description = instance->Describe();
  ASSERT_TRUE(description.ok());
  EXPECT_EQ(description->path_prefix, "/instance/execute/");
  EXPECT_EQ(description->record_noun, "incident");
  std::string result;
  ASSERT_TRUE(instance
                  ->RunCommand("test", "",
                               [&](absl::StatusOr<std::string> given) {
                                 ASSERT_TRUE(given.ok());
                                 result = *given;
                               })
                  .ok());
  EXPECT_EQ(result, "{\"ok\":true}");
  EXPECT_EQ(plugin_->info().name, "Echo");
  EXPECT_EQ(plugin_->info().version, "1.0.0");
}

TEST_F(EngineTest, InstanceStopsAndPluginEndsWithoutAWord) {
  auto instance = Make("hook");
  EXPECT_TRUE(instance->Stop(absl::Now()).ok());
  EXPECT_TRUE(instance->Stop(absl::Now()).ok());
  instance.reset();
  plugin_.reset();
  EXPECT_THAT(test_.logger->lines(), testing::IsEmpty());
}

TEST_F(EngineTest, InstanceKeepsItsPlugin) {
  auto instance = Make("hook");
  plugin_.reset();
  TestRequest request("{}");
  WaitingReceiver receiver;
  CallHandle call;
  ASSERT_TRUE(instance->Execute(request.request(), &receiver, &call).ok());
  receiver.AwaitRelease();
  EXPECT_EQ(receiver.status(), 200);
}

TEST_F(EngineTest, ManyThreadsGetEachTheirOwnAnswers) {
  const std::shared_ptr<HostedInstance> instance = Make("hook");
  constexpr int kThreads = 4;
  constexpr int kCalls = 2'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      TestRequest request("{}");
      for (int i = 0; i < kCalls; ++i) {
        WaitingReceiver receiver;
        CallHandle call;
        ASSERT_TRUE(instance->Execute(request.request(), &receiver, &call).ok());
        receiver.AwaitRelease();
        ASSERT_EQ(receiver.answers(), 1);
        ASSERT_EQ(receiver.status(), 200);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(test_.services.store->last_id(), kThreads * kCalls);
  EXPECT_TRUE(instance->Stop(absl::Now() + absl::Seconds(5)).ok());
}

TEST(NewInstanceUidTest, UidsAre32DigitsAndDiffer) {
  EXPECT_THAT(NewInstanceUid(), testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_NE(NewInstanceUid(), NewInstanceUid());
}

}  // namespace
}  // namespace host_stub
