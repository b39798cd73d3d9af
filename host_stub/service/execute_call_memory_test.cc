// Memory runs out in a call over gRPC, as far as the call is ours: from ExecuteCall::Begin to its
// outcome the first allocation fails, then the second, and so on; then all from one on. There is
// one outcome each time, nothing is left behind, and the next call works. Not covered: gRPC's own
// allocations, before and after, which end the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "host_stub/engine/testing/engine_test_util.h"
#include "host_stub/service/execute_call.h"
#include "host_stub/service/grpc_server_context.h"
#include "host_stub/service/testing/test_server.h"
#include "tests/border/failing_allocations.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::ExecuteResponse;
using ::testing::AnyOf;

constexpr int64_t kMany = 2'000;

// Counts its outcomes.
class CountedCall : public ExecuteCall {
 public:
  CountedCall(std::shared_ptr<GrpcServerContext> server, ExecuteRequest made)
      : ExecuteCall(std::move(server)), request(std::move(made)) {}

  ExecuteRequest request;
  ExecuteResponse response;
  int times = 0;
  absl::Status status;

  // What leads to the answer, in the store and the engine, is outside of the barrier.
  void OnAnswer(const Answer& answer) noexcept override {
    const border::Exposed exposed;
    ExecuteCall::OnAnswer(answer);
  }

 protected:
  ExecuteRequest& mutable_request() override { return request; }
  ExecuteResponse& mutable_response() override { return response; }
  void OnOutcome(const absl::Status& told) noexcept override {
    ++times;
    status = told;
  }
};

class ExecuteCallMemoryTest : public testing::Test {
 protected:
  ExecuteCallMemoryTest() {
    border::FailOnlyExposed();
    HostServices services = TestServices().services;
    services.store = store_;
    auto plugin = HostedPlugin::Load("tests/abi/echo_plugin.so", {}, services);
    EXPECT_TRUE(plugin.ok()) << plugin.status();
    auto instance = (*plugin)->CreateInstance(TestSpec("first"));
    EXPECT_TRUE(instance.ok() && (*instance)->Start().ok());
    instance_ = *std::move(instance);
    InstanceEntry entry;
    entry.settings.name = "first";
    entry.instance = instance_;
    auto snapshot = std::make_shared<InstanceSnapshot>();
    EXPECT_TRUE(snapshot->Put(std::move(entry)).ok());
    auto instances = std::make_shared<PublishedInstances>();
    instances->Publish(std::move(snapshot));
    server_->instances = std::move(instances);
  }
  ~ExecuteCallMemoryTest() override {
    EXPECT_TRUE(instance_->Stop(absl::Now() + absl::Seconds(10)).ok());
    EXPECT_EQ(server_->bytes_in_flight, 0);
  }

  static ExecuteRequest MakeRequest() {
    ExecuteRequest request;
    request.set_instance("first");
    request.set_path_remainder("/a/path/that/is/longer/than/a/short/string");
    request.set_body(R"({"text":"longer than a short string is"})");
    auto* header = request.add_headers();
    header->set_name("x-one");
    header->set_value("1");
    return request;
  }

  std::shared_ptr<CountedCall> Make() {
    return std::make_shared<CountedCall>(server_, MakeRequest());
  }

  std::shared_ptr<CountedCall> Start() {
    auto call = Make();
    call->Begin(caller_, absl::InfiniteFuture());
    return call;
  }

  // True: an allocation failed.
  bool CallWith(int64_t n, const decltype(&border::FailNth) fail) {
    const std::shared_ptr<CountedCall> call = Make();
    fail(n);
    bool failed = false;
    {
      const border::Exposed exposed;
      call->Begin(caller_, absl::InfiniteFuture());
      failed = border::StopFailing();
    }
    EXPECT_EQ(call->times, 1);
    EXPECT_EQ(call.use_count(), 1);
    if (!call->status.ok()) {
      EXPECT_TRUE(failed);
      EXPECT_THAT(call->status.code(),
                  AnyOf(absl::StatusCode::kResourceExhausted, absl::StatusCode::kUnavailable));
    } else {
      EXPECT_THAT(call->response.status(), failed ? AnyOf(200, 500, 503) : AnyOf(200, 200, 200));
    }
    return failed;
  }

  const std::shared_ptr<HoldingStore> store_ = std::make_shared<HoldingStore>();
  const std::shared_ptr<GrpcServerContext> server_ = std::make_shared<GrpcServerContext>();
  const Caller caller_{true, "unix"};
  std::shared_ptr<HostedInstance> instance_;
};

TEST_F(ExecuteCallMemoryTest, CallEndsInOneOutcomeAndTheNextWorks) {
  for (const auto fail : {&border::FailNth, &border::FailFrom}) {
    for (int64_t n = 1;; ++n) {
      ASSERT_LT(n, kMany);
      SCOPED_TRACE(testing::Message() << (fail == &border::FailNth ? "the one " : "from ") << n);
      const bool failed = CallWith(n, fail);
      const auto next = Start();
      ASSERT_EQ(next->times, 1);
      ASSERT_EQ(next->response.status(), 200) << next->status;
      if (HasFailure()) return;
      if (failed) continue;
      EXPECT_GT(n, 5);
      break;
    }
  }
}

TEST_F(ExecuteCallMemoryTest, CallThatExpiresWithoutMemoryIsToldSo) {
  store_->Hold();
  const auto call = Start();
  ASSERT_EQ(call->times, 0);
  border::FailFrom(1);
  {
    const border::Exposed exposed;
    call->OnDeadline();
    EXPECT_TRUE(border::StopFailing());
  }
  EXPECT_EQ(call->times, 1);
  EXPECT_EQ(call->status.code(), absl::StatusCode::kDeadlineExceeded);
  store_->ReleaseAll();  // the late answer is nobody's
  EXPECT_EQ(call->times, 1);
  server_->calls.Stop();  // which has not let go, since it did not expire the call itself
  EXPECT_EQ(call.use_count(), 1);
}

TEST_F(ExecuteCallMemoryTest, AnswerThatFindsNoMemoryFailsTheCall) {
  store_->Hold();
  const auto call = Start();
  border::FailFrom(1);
  store_->ReleaseAll();
  EXPECT_TRUE(border::StopFailing());
  EXPECT_EQ(call->times, 1);
  EXPECT_EQ(call.use_count(), 1);
}

// A slow client may take its time to read the answer.
TEST_F(ExecuteCallMemoryTest, CallThatIsOverHoldsItsBodyNoMore) {
  for (const char* instance : {"not a name", "first"}) {
    const auto call = Make();
    call->request.set_instance(instance);
    call->request.set_body(std::string(100'000, 'x'));
    store_->Hold();
    call->Begin(caller_, absl::InfiniteFuture());
    EXPECT_EQ(server_->bytes_in_flight, call->times == 0 ? 100'000 : 0);
    store_->ReleaseAll();
    EXPECT_EQ(call->times, 1);
    EXPECT_EQ(server_->bytes_in_flight, 0);
    EXPECT_LT(call->request.body().capacity(), 5'000u);
  }
}

}  // namespace
}  // namespace host_stub
