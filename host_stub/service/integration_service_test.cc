// LongRunningIntegration but for the stream, over a real connection.
#include <grpcpp/grpcpp.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "host_stub/service/testing/grpc_test_client.h"
#include "long_running_integration/v1/incident.grpc.pb.h"

namespace host_stub {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class TightLimitsTest : public GrpcServerTest {
 protected:
  TightLimitsTest() : GrpcServerTest(Tight()) {}
  static webhook::Limits Tight() {
    webhook::Limits limits;
    limits.answer_timeout_ms = 100;
    limits.body_bytes = 1 << 20;
    return limits;
  }
};

TEST_F(GrpcServerTest, MalformedRequestsAndUnknownInstancesAreRefused) {
  v1::ExecuteResponse response;
  v1::ExecuteRequest request = Request();
  request.set_instance("nobody");
  grpc::Status status = Execute(request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("nobody"));
  request = Request();
  request.add_headers()->set_name("X");
  request.mutable_headers(0)->set_value("a\r\nb");
  status = Execute(request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("headers[0].value"));
  EXPECT_EQ(server_.store().last_id(), 0);
}

TEST_F(GrpcServerTest, WhyAnInstanceDoesNotAnswerIsToldByTheSameCodeEverywhere) {
  const auto stub = v1::LongRunningIntegration::NewStub(Control());
  for (const auto& [name, code] :
       {std::pair("", StatusCode::INVALID_ARGUMENT), std::pair("a b", StatusCode::INVALID_ARGUMENT),
        std::pair("nobody", StatusCode::NOT_FOUND),
        std::pair("third_disabled", StatusCode::FAILED_PRECONDITION),
        std::pair("unserved", StatusCode::UNAVAILABLE)}) {
    v1::ExecuteRequest execute = Request();
    execute.set_instance(name);
    v1::ExecuteResponse response;
    const grpc::Status status = Execute(execute, &response);
    EXPECT_EQ(status.error_code(), code) << name;
    EXPECT_THAT(status.error_message(), HasSubstr("instance")) << name;
    v1::TestModuleRequest test;
    test.set_instance(name);
    v1::TestModuleResponse tested;
    grpc::ClientContext test_context;
    EXPECT_EQ(stub->TestModule(&test_context, test, &tested).error_code(), code) << name;
    v1::MapSamplesRequest map;
    map.set_instance(name);
    v1::MapSamplesResponse mapped;
    grpc::ClientContext map_context;
    EXPECT_EQ(stub->MapSamples(&map_context, map, &mapped).error_code(), code) << name;
  }
}

TEST_F(GrpcServerTest, RequestWithoutAnIdIsAnsweredWithOneOfTheHosts) {
  v1::ExecuteResponse first, second;
  ASSERT_TRUE(Execute(Request(), &first).ok());
  ASSERT_TRUE(Execute(Request(), &second).ok());
  EXPECT_NE(first.request_id(), "");
  EXPECT_NE(first.request_id(), second.request_id());
  v1::ExecuteRequest refused = Request();
  for (int i = 0; i < 300; ++i) refused.add_headers()->set_name("X");
  v1::ExecuteResponse third;
  ASSERT_TRUE(Execute(refused, &third).ok());
  EXPECT_EQ(third.status(), 431);
  EXPECT_THAT(third.request_id(), StartsWith("grpc-"));
}

// The host uses a call's objects again.
TEST_F(GrpcServerTest, NothingOfACallIsLeftInTheNext) {
  v1::ExecuteRequest full = Request("{\"a\":1}");
  full.set_request_id("my-id");
  full.set_method("PUT");
  full.set_path_remainder("/a");
  full.set_query("b=c");
  full.add_headers()->set_name("X");
  v1::ExecuteRequest refused = full;
  refused.set_instance("nobody");
  for (int i = 1; i < 10; i += 2) {
    v1::ExecuteResponse response;
    ASSERT_TRUE(Execute(full, &response).ok());
    EXPECT_EQ(response.request_id(), "my-id");
    EXPECT_EQ(Execute(refused, &response).error_code(), StatusCode::NOT_FOUND);
    ASSERT_TRUE(Execute(Request(), &response).ok());
    EXPECT_THAT(response.request_id(), StartsWith("grpc-"));
    EXPECT_EQ(response.headers_size(), 1);
    EXPECT_EQ(response.body(), absl::StrCat("[{\"id\":\"", i + 1, "\"}]"));
  }
}

TEST_F(GrpcServerTest, ExecuteAnswersAndTheIncidentCanBeReadOverTheControlSocket) {
  v1::ExecuteResponse response;
  v1::ExecuteRequest request = Request("{\"big\":1e400}");
  request.set_request_id("my-id");
  const grpc::Status status = Execute(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.status(), 200);
  EXPECT_EQ(response.body(), "[{\"id\":\"1\"}]");
  EXPECT_EQ(response.headers(0).name(), "Content-Type");
  EXPECT_EQ(response.request_id(), "my-id");

  const auto stub = v1::IncidentService::NewStub(Control());
  v1::GetIncidentRequest get;
  get.set_id("1");
  v1::Incident incident;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->GetIncident(&context, get, &incident).ok());
  EXPECT_EQ(incident.raw_json(), "{\"big\":1e400}");
  EXPECT_EQ(incident.instance(), "first");
  EXPECT_EQ(incident.source_brand(), "Echo");
  EXPECT_EQ(incident.occurred(), "2024-05-01T10:00:00Z");
  get.set_id("2");
  grpc::ClientContext missing;
  EXPECT_EQ(stub->GetIncident(&missing, get, &incident).error_code(), StatusCode::NOT_FOUND);
  get.set_id("1x");
  grpc::ClientContext malformed;
  EXPECT_EQ(stub->GetIncident(&malformed, get, &incident).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(GrpcServerTest, ACallEndsAtItsDeadlineWhateverTheStoreDoes) {
  server_.store().Hold();
  v1::ExecuteResponse response;
  EXPECT_EQ(Execute(Request(), &response, 200).error_code(), StatusCode::DEADLINE_EXCEEDED);
  server_.store().AwaitHeld(1);
}

TEST_F(GrpcServerTest, ACancelledCallLeavesTheServerWhole) {
  server_.store().Hold();
  grpc::ClientContext context;
  std::thread canceller([&] {
    server_.store().AwaitHeld(1);
    context.TryCancel();
  });
  v1::ExecuteResponse response;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  EXPECT_EQ(stub->Execute(&context, Request(), &response).error_code(), StatusCode::CANCELLED);
  canceller.join();
  server_.store().ReleaseAll();
  EXPECT_TRUE(Execute(Request(), &response).ok());
}

TEST_F(TightLimitsTest, WithoutADeadlineTheHostsOwnAnswers504) {
  server_.store().Hold();
  v1::ExecuteResponse response;
  ASSERT_TRUE(Execute(Request(), &response).ok());
  EXPECT_EQ(response.status(), 504);
}

TEST_F(TightLimitsTest, MessagesPastTheLimitAreRefusedAndBodiesWithinItPass) {
  v1::ExecuteResponse response;
  EXPECT_EQ(Execute(Request(std::string(5 << 20, 'x')), &response).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Execute(Request(std::string(1 << 20, 'x')), &response).ok());
}

TEST_F(GrpcServerTest, CommandsGoToThePluginAndUnknownOnesAreUnimplemented) {
  const auto stub = v1::LongRunningIntegration::NewStub(Control());
  grpc::ClientContext samples_context;
  v1::FetchSamplesRequest samples;
  samples.set_instance("first");
  v1::FetchSamplesResponse none;
  EXPECT_EQ(stub->FetchSamples(&samples_context, samples, &none).error_code(),
            StatusCode::UNIMPLEMENTED);
  grpc::ClientContext context;
  v1::TestModuleRequest request;
  request.set_instance("first");
  v1::TestModuleResponse response;
  ASSERT_TRUE(stub->TestModule(&context, request, &response).ok());
  EXPECT_TRUE(response.ok());
  EXPECT_EQ(response.message(), "ok");
  grpc::ClientContext info_context;
  v1::GetPluginInfoResponse info;
  ASSERT_TRUE(stub->GetPluginInfo(&info_context, {}, &info).ok());
  EXPECT_EQ(info.name(), "Echo");
}

}  // namespace
}  // namespace host_stub
