// A client of a test server. It includes gRPC, so only tests of the services include it.
#ifndef HOST_STUB_SERVICE_TESTING_GRPC_TEST_CLIENT_H_
#define HOST_STUB_SERVICE_TESTING_GRPC_TEST_CLIENT_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "host_stub/service/addresses.h"
#include "host_stub/service/testing/test_server.h"
#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace host_stub {

namespace v1 = ::long_running_integration::v1;

// Two instances, "first" and "second", over the public address and the control socket.
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
    return Dial("unix:" + server_.server().control_path());
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

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_TESTING_GRPC_TEST_CLIENT_H_
