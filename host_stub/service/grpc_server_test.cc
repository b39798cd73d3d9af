#include "host_stub/service/grpc_server.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "host_stub/service/addresses.h"
#include "host_stub/service/service_test_util.h"
#include "long_running_integration/v1/incident.grpc.pb.h"
#include "long_running_integration/v1/instance.grpc.pb.h"
#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using ::grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

class GrpcServerTest : public ::testing::Test {
 protected:
  explicit GrpcServerTest(const webhook::Limits& limits = {}) : server_(limits) {}

  static std::shared_ptr<grpc::Channel> Dial(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  }
  std::shared_ptr<grpc::Channel> Public() { return Dial(server_.server().address()); }
  std::shared_ptr<grpc::Channel> Control() {
    return Dial(UnixTarget(server_.server().control_path()));
  }

  static v1::ExecuteRequest Request(const std::string& body = "{}") {
    v1::ExecuteRequest request;
    request.set_instance("first");
    request.set_body(body);
    return request;
  }

  grpc::Status Execute(const v1::ExecuteRequest& request, v1::ExecuteResponse* response,
                       int timeout_ms = 60'000) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
    return v1::LongRunningIntegration::NewStub(Public())->Execute(&context, request, response);
  }

  // The value of grpc.health.v1.HealthCheckResponse.status: 1 SERVING, 2 NOT_SERVING; or minus the
  // status code. The .proto is not among the system's packages, so the bytes are written here.
  static int Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    std::string message = absl::StrCat("\x0a", std::string(1, char(service.size())), service);
    grpc::Slice slice(message);
    grpc::ByteBuffer request(&slice, 1);
    auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
    call->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) continue;
    if (!status.ok()) return -status.error_code();
    grpc::Slice answer;
    EXPECT_TRUE(response.DumpToSingleSlice(&answer).ok());
    return answer.size() == 2 ? answer.begin()[1] : 0;
  }

  TestServer server_;
};

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

TEST_F(GrpcServerTest, ManagementAndReadingAreNotServedOnThePublicAddress) {
  grpc::ClientContext first;
  v1::ListInstancesResponse instances;
  EXPECT_EQ(
      v1::InstanceService::NewStub(Public())->ListInstances(&first, {}, &instances).error_code(),
      StatusCode::UNIMPLEMENTED);
  grpc::ClientContext second;
  v1::ListIncidentsResponse incidents;
  EXPECT_EQ(
      v1::IncidentService::NewStub(Public())->ListIncidents(&second, {}, &incidents).error_code(),
      StatusCode::UNIMPLEMENTED);
  grpc::ClientContext third;
  v1::FetchSamplesRequest request;
  request.set_instance("first");
  v1::FetchSamplesResponse samples;
  EXPECT_EQ(v1::LongRunningIntegration::NewStub(Public())
                ->FetchSamples(&third, request, &samples)
                .error_code(),
            StatusCode::PERMISSION_DENIED);
}

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

TEST_F(GrpcServerTest, AddressesThatOthersReachAreRefusedUnlessForced) {
  TestServer other;
  GrpcServerOptions options = other.Options();
  other.StopServer();
  options.address = "0.0.0.0:0";
  const auto refused = GrpcServer::Start(options, other.Parts());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--grpc-insecure-on-any-address"));
  options.insecure_on_any_address = true;
  EXPECT_TRUE(GrpcServer::Start(options, other.Parts()).ok());
}

TEST_F(GrpcServerTest, AnAddressInUseIsRefusedByNameAndReason) {
  TestServer other;
  GrpcServerOptions options = other.Options();
  other.StopServer();
  options.address = server_.server().address();
  const auto refused = GrpcServer::Start(options, other.Parts());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(options.address));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("Address already in use"));
}

TEST_F(GrpcServerTest, TheControlSocketIsTheOwnersAndGoesWithTheServer) {
  struct stat folder = {};
  ASSERT_EQ(::stat(server_.folder().c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700u);
  const std::string path = server_.server().control_path();
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  const auto second = GrpcServer::Start(server_.Options(), server_.Parts());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  server_.StopServer();
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
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
  EXPECT_EQ(Execute(Request(std::string(3 << 20, 'x')), &response).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Execute(Request(std::string(1 << 20, 'x')), &response).ok());
}

v1::ExecuteStreamRequest StreamMessage(uint64_t id, const std::string& instance = "first") {
  v1::ExecuteStreamRequest message;
  message.set_correlation_id(id);
  message.mutable_request()->set_instance(instance);
  message.mutable_request()->set_body("{}");
  return message;
}

TEST_F(GrpcServerTest, AStreamAnswersEachRequestAndOutlivesThoseThatFail) {
  grpc::ClientContext context;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  const auto stream = stub->ExecuteStream(&context);
  std::thread writer([&] {
    for (uint64_t id = 0; id < 200; ++id) {
      stream->Write(StreamMessage(id, id % 10 == 0 ? "nobody" : "first"));
    }
    v1::ExecuteStreamRequest empty;
    empty.set_correlation_id(200);
    stream->Write(empty);
    stream->WritesDone();
  });
  std::set<uint64_t> answered;
  v1::ExecuteStreamResponse response;
  while (stream->Read(&response)) {
    const uint64_t id = response.correlation_id();
    EXPECT_TRUE(answered.insert(id).second) << id;
    if (id == 200) {
      EXPECT_EQ(response.failure().code(), StatusCode::INVALID_ARGUMENT);
    } else if (id % 10 == 0) {
      EXPECT_EQ(response.failure().code(), StatusCode::NOT_FOUND);
    } else {
      EXPECT_EQ(response.response().status(), 200);
    }
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answered.size(), 201u);
  EXPECT_EQ(server_.store().last_id(), 180);
}

class ShortStreamTest : public GrpcServerTest {
 protected:
  ShortStreamTest() : GrpcServerTest(Short()) {}
  static webhook::Limits Short() {
    webhook::Limits limits;
    limits.stream_calls_in_flight = 2;
    return limits;
  }
};

TEST_F(ShortStreamTest, AStreamReadsNoFurtherThanItsLimitInFlight) {
  server_.store().Hold();
  grpc::ClientContext context;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  const auto stream = stub->ExecuteStream(&context);
  for (uint64_t id = 0; id < 6; ++id) ASSERT_TRUE(stream->Write(StreamMessage(id)));
  stream->WritesDone();
  v1::ExecuteStreamResponse response;
  for (int answered = 0; answered < 4; ++answered) {
    server_.store().AwaitHeld(2);
    server_.store().ReleaseOne();
    ASSERT_TRUE(stream->Read(&response));
  }
  server_.store().ReleaseAll();
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(server_.store().most_held(), 2);
}

TEST_F(GrpcServerTest, AStreamMessagesOwnTimeoutFailsThatMessageAlone) {
  server_.store().Hold();
  grpc::ClientContext context;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  const auto stream = stub->ExecuteStream(&context);
  v1::ExecuteStreamRequest message = StreamMessage(7);
  message.mutable_timeout()->set_nanos(50'000'000);
  ASSERT_TRUE(stream->Write(message));
  v1::ExecuteStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.failure().code(), StatusCode::DEADLINE_EXCEEDED);
  server_.store().ReleaseAll();
  ASSERT_TRUE(stream->Write(StreamMessage(8)));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.response().status(), 200);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcServerTest, DrainAnswersWhatAStreamHasInFlightAndRefusesWhatIsNew) {
  server_.store().Hold();
  grpc::ClientContext context;
  const auto channel = Public();
  const auto stub = v1::LongRunningIntegration::NewStub(channel);
  const auto stream = stub->ExecuteStream(&context);
  ASSERT_TRUE(stream->Write(StreamMessage(1)));
  server_.store().AwaitHeld(1);
  std::thread drainer(
      [&] { EXPECT_TRUE(server_.server().Drain(absl::Now() + absl::Seconds(60)).ok()); });
  while (Health(channel, "") == 1) continue;
  server_.store().ReleaseAll();
  v1::ExecuteStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.response().status(), 200);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
  drainer.join();
}

TEST_F(GrpcServerTest, DrainCutsOffAtItsDeadline) {
  server_.store().Hold();
  grpc::ClientContext context;
  std::thread drainer([&] {
    server_.store().AwaitHeld(1);
    EXPECT_EQ(server_.server().Drain(absl::Now() + absl::Milliseconds(50)).code(),
              absl::StatusCode::kDeadlineExceeded);
  });
  v1::ExecuteResponse response;
  EXPECT_FALSE(Execute(Request(), &response).ok());
  drainer.join();
}

TEST_F(GrpcServerTest, ReadsOfCallersThatAreGoneAreNotMadeAndTheServerMayEndMeanwhile) {
  server_.store().HoldReads(true);
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::GetIncidentRequest request;
  request.set_id("1");
  // Two for the worker's threads; the others wait for a thread, longer than their callers do.
  std::vector<std::thread> callers;
  const auto get = [&](int milliseconds) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(milliseconds));
    v1::Incident incident;
    EXPECT_FALSE(stub->GetIncident(&context, request, &incident).ok());
  };
  callers.emplace_back(get, 60'000);
  callers.emplace_back(get, 60'000);
  server_.store().AwaitReads(2);
  for (int i = 0; i < 4; ++i) get(20);
  std::thread stopper([&] { server_.StopServer(); });
  for (std::thread& caller : callers) caller.join();
  server_.store().HoldReads(false);
  stopper.join();
  EXPECT_EQ(server_.store().reads(), 2);
}

TEST_F(GrpcServerTest, AReadThatDoesNotReturnDoesNotHoldUpTheEnd) {
  server_.store().HoldReads(true);
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::GetIncidentRequest request;
  request.set_id("1");
  grpc::ClientContext context;
  std::thread caller([&] {
    v1::Incident incident;
    EXPECT_FALSE(stub->GetIncident(&context, request, &incident).ok());
  });
  server_.store().AwaitReads(1);
  server_.StopServer();
  caller.join();
  server_.store().HoldReads(false);
}

TEST_F(GrpcServerTest, BeginDrainRefusesWhatIsNewWithoutWaitingForWhatIsInFlight) {
  server_.store().Hold();
  std::thread caller([&] {
    v1::ExecuteResponse response;
    EXPECT_TRUE(Execute(Request(), &response).ok());
    EXPECT_EQ(response.status(), 200);
  });
  server_.store().AwaitHeld(1);
  server_.server().BeginDrain();
  EXPECT_EQ(Health(Public(), ""), 2);
  v1::ExecuteResponse response;
  EXPECT_EQ(Execute(Request(), &response).error_code(), StatusCode::UNAVAILABLE);
  server_.store().ReleaseAll();
  caller.join();
  EXPECT_TRUE(server_.server().Drain(absl::Now() + absl::Seconds(60)).ok());
}

TEST_F(GrpcServerTest, FollowLeavesOutNothingAndEndsWithTheDrain) {
  v1::ExecuteResponse response;
  ASSERT_TRUE(Execute(Request("{\"n\":1}"), &response).ok());
  ASSERT_TRUE(Execute(Request("{\"n\":2}"), &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::FollowIncidentsRequest request;
  request.set_after_id("1");
  grpc::ClientContext context;
  const auto from_second = stub->FollowIncidents(&context, request);
  grpc::ClientContext live_context;
  const auto live = stub->FollowIncidents(&live_context, {});
  live->WaitForInitialMetadata();
  v1::ExecuteRequest other = Request("{\"n\":3}");
  other.set_instance("second");
  ASSERT_TRUE(Execute(other, &response).ok());

  v1::FollowIncidentsResponse followed;
  ASSERT_TRUE(from_second->Read(&followed));
  EXPECT_EQ(followed.incident().raw_json(), "{\"n\":2}");
  ASSERT_TRUE(from_second->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "3");
  ASSERT_TRUE(live->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "3");
  EXPECT_TRUE(server_.server().Drain(absl::Now() + absl::Seconds(60)).ok());
  EXPECT_FALSE(live->Read(&followed));
  EXPECT_EQ(live->Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(GrpcServerTest, FollowOfOneInstanceSkipsTheOthers) {
  v1::ExecuteResponse response;
  v1::ExecuteRequest other = Request();
  other.set_instance("second");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Execute(Request(), &response).ok());
  ASSERT_TRUE(Execute(other, &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::FollowIncidentsRequest request;
  request.set_after_id("0");
  request.set_instance("second");
  grpc::ClientContext context;
  const auto reader = stub->FollowIncidents(&context, request);
  v1::FollowIncidentsResponse followed;
  ASSERT_TRUE(reader->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "6");
  ASSERT_TRUE(Execute(other, &response).ok());
  ASSERT_TRUE(reader->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "7");
}

TEST_F(GrpcServerTest, ListShowsTheNewestFirstPageByPageWithoutDetails) {
  v1::ExecuteResponse response;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Execute(Request(), &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::ListIncidentsRequest request;
  request.set_page_size(2);
  std::string ids;
  do {
    grpc::ClientContext context;
    v1::ListIncidentsResponse page;
    ASSERT_TRUE(stub->ListIncidents(&context, request, &page).ok());
    for (const v1::Incident& incident : page.incidents()) {
      absl::StrAppend(&ids, incident.id(), " ");
      EXPECT_EQ(incident.raw_json(), "");
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(ids, "3 2 1 ");
  for (const auto& [token, size, instance, code] :
       {std::tuple("x", 0, "", StatusCode::INVALID_ARGUMENT),
        std::tuple("", -1, "", StatusCode::INVALID_ARGUMENT),
        std::tuple("", 0, "nobody", StatusCode::NOT_FOUND)}) {
    request.set_page_token(token);
    request.set_page_size(size);
    request.set_instance(instance);
    grpc::ClientContext context;
    v1::ListIncidentsResponse page;
    EXPECT_EQ(stub->ListIncidents(&context, request, &page).error_code(), code);
  }
}

TEST_F(GrpcServerTest, InstancesAreShownWithoutTheirSecrets) {
  const auto stub = v1::InstanceService::NewStub(Control());
  v1::ListInstancesRequest request;
  request.set_page_size(1);
  grpc::ClientContext context;
  v1::ListInstancesResponse page;
  ASSERT_TRUE(stub->ListInstances(&context, request, &page).ok());
  ASSERT_EQ(page.instances_size(), 1);
  EXPECT_EQ(page.next_page_token(), "first");
  const v1::Instance& instance = page.instances(0);
  EXPECT_EQ(instance.parameters().at("username"), "user");
  EXPECT_EQ(instance.secrets_set_size(), 1);
  EXPECT_EQ(instance.secrets_set(0), "password");
  EXPECT_THAT(page.SerializeAsString(), Not(HasSubstr("secret-word")));
  EXPECT_EQ(instance.health().state(), v1::INSTANCE_STATE_HEALTHY);

  grpc::ClientContext missing_context;
  v1::GetInstanceRequest missing;
  missing.set_name("nobody");
  v1::Instance none;
  EXPECT_EQ(stub->GetInstance(&missing_context, missing, &none).error_code(),
            StatusCode::NOT_FOUND);
  grpc::ClientContext create_context;
  EXPECT_EQ(stub->CreateInstance(&create_context, {}, &none).error_code(),
            StatusCode::UNIMPLEMENTED);
}

TEST_F(GrpcServerTest, HealthIsToldForEveryServiceOfAListener) {
  const std::string package = "long_running_integration.v1.";
  EXPECT_EQ(Health(Public(), ""), 1);
  EXPECT_EQ(Health(Public(), package + "LongRunningIntegration"), 1);
  EXPECT_EQ(Health(Public(), package + "InstanceService"), -StatusCode::NOT_FOUND);
  for (const char* name : {"LongRunningIntegration", "InstanceService", "IncidentService"}) {
    EXPECT_EQ(Health(Control(), package + name), 1) << name;
  }
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
