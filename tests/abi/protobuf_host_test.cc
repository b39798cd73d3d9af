// A host that links protobuf, gRPC and the platform's messages loads the plugin and creates an
// incident with it. Two copies of generated messages in one process would abort at the load.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/testing/engine_test_util.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

constexpr char kPlugin[] = "plugin/webhook_plugin.so";

// What a caller sent, as it comes out of the wire.
v1::ExecuteRequest ReceivedRequest(absl::string_view password) {
  v1::ExecuteRequest sent;
  sent.set_instance("webhook");
  v1::Header* header = sent.add_headers();
  header->set_name("Authorization");
  header->set_value(std::string(password));
  sent.set_body("{\"name\":\"from protobuf\",\"raw_json\":{\"a\":1}}");
  v1::ExecuteRequest received;
  EXPECT_TRUE(received.ParseFromString(sent.SerializeAsString()));
  return received;
}

class ProtobufHostTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_FALSE(grpc::Version().empty());
    auto plugin = HostedPlugin::Load(kPlugin, PluginOptions(), test_.services);
    ASSERT_TRUE(plugin.ok()) << plugin.status();
    auto instance = (*plugin)->CreateInstance(TestSpec("webhook"));
    ASSERT_TRUE(instance.ok()) << instance.status();
    instance_ = *std::move(instance);
    ASSERT_TRUE(instance_->Start().ok());
  }

  v1::ExecuteResponse Execute(const v1::ExecuteRequest& received) {
    TestRequest request(received.body());
    std::vector<lri_pair> headers;
    for (const v1::Header& header : received.headers()) {
      headers.push_back({ToView(header.name()), ToView(header.value())});
    }
    request.request().head.path = "/xsoar/instance/execute/webhook";
    request.request().head.headers = headers;
    WaitingReceiver receiver;
    CallHandle call;
    const absl::Status status = instance_->Execute(request.request(), &receiver, &call);
    EXPECT_TRUE(status.ok()) << status;
    if (!status.ok()) return {};
    receiver.AwaitRelease();
    v1::ExecuteResponse response;
    response.set_status(receiver.status());
    response.set_body(receiver.body());
    return response;
  }

  TestServices test_;
  std::shared_ptr<HostedInstance> instance_;
};

TEST_F(ProtobufHostTest, WrongPasswordCreatesNothing) {
  EXPECT_EQ(Execute(ReceivedRequest("Basic dXNlcjp3cm9uZw==")).status(), 401);
  EXPECT_EQ(test_.services.store->last_id(), 0);
}

TEST_F(ProtobufHostTest, RequestFromAMessageBecomesAnIncident) {
  const v1::ExecuteResponse response = Execute(ReceivedRequest("Basic dXNlcjpwYXNz"));
  EXPECT_EQ(response.status(), 200) << response.body();
  EXPECT_THAT(response.body(), testing::HasSubstr("\"id\""));
  auto stored = test_.services.store->Get(1);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->name, "from protobuf");
  EXPECT_TRUE(instance_->Stop(absl::Now() + absl::Seconds(5)).ok());
}

}  // namespace
}  // namespace host_stub
