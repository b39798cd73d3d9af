// The listeners of the gRPC server: who is served where, and how it ends.
#include "host_stub/service/grpc_server.h"

#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "host_stub/service/testing/grpc_test_client.h"
#include "long_running_integration/v1/incident.grpc.pb.h"
#include "long_running_integration/v1/instance.grpc.pb.h"

namespace host_stub {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;

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

TEST_F(GrpcServerTest, AddressesThatOthersReachAreRefusedWithoutClientCertificates) {
  TestServer other;
  GrpcServerOptions options = other.Options();
  other.StopServer();
  options.address = "0.0.0.0:0";
  const auto plain = GrpcServer::Start(options, other.Parts());
  EXPECT_THAT(std::string(plain.status().message()), HasSubstr("--grpc-client-ca"));
  EXPECT_THAT(std::string(plain.status().message()), HasSubstr("--grpc off"));
  options.tls = GrpcTls{.certificate_chain = "any", .private_key = "any", .client_ca = ""};
  const auto encrypted = GrpcServer::Start(options, other.Parts());
  EXPECT_THAT(std::string(encrypted.status().message()), HasSubstr("--grpc-client-ca"));
}

TEST_F(GrpcServerTest, SwitchedOffOnlyTheControlSocketServes) {
  TestServer other;
  GrpcServerOptions options = other.Options();
  other.StopServer();
  options.address = kGrpcOff;
  const auto server = GrpcServer::Start(options, other.Parts());
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->address(), "off");
  EXPECT_EQ(Health(Dial("unix:" + (*server)->control_path()), ""), 1);
}

TEST_F(GrpcServerTest, AnAddressInUseIsRefusedByNameAndReason) {
  TestServer other;
  GrpcServerOptions options = other.Options();
  other.StopServer();
  options.address = server_.server().address();
  const auto refused = GrpcServer::Start(options, other.Parts());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(options.address));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("is in use"));
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

TEST_F(GrpcServerTest, HealthIsToldForEveryServiceOfAListener) {
  const std::string package = "long_running_integration.v1.";
  EXPECT_EQ(Health(Public(), ""), 1);
  EXPECT_EQ(Health(Public(), package + "LongRunningIntegration"), 1);
  EXPECT_EQ(Health(Public(), package + "InstanceService"), -StatusCode::NOT_FOUND);
  for (const char* name : {"LongRunningIntegration", "InstanceService", "IncidentService"}) {
    EXPECT_EQ(Health(Control(), package + name), 1) << name;
  }
}

TEST_F(GrpcServerTest, DrainCutsOffAtItsDeadline) {
  server_.store().Hold();
  grpc::Status status;
  v1::ExecuteResponse response;
  std::thread caller([&] { status = Execute(Request(), &response); });
  server_.store().AwaitHeld(1);
  EXPECT_EQ(server_.server().Drain(absl::Now()).code(), absl::StatusCode::kDeadlineExceeded);
  caller.join();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("it is not known whether incidents were created"));
}

// A change waits for the plugin or the disk; what it will come to is not known either.
TEST_F(GrpcServerTest, CommandThatDoesNotReturnIsUnavailableAtTheDrainsDeadline) {
  server_.store().HoldReads(true);
  const auto stub = v1::IncidentService::NewStub(Control());
  grpc::Status status;
  std::thread caller([&] {
    grpc::ClientContext context;
    v1::GetIncidentRequest request;
    request.set_id("1");
    v1::Incident incident;
    status = stub->GetIncident(&context, request, &incident);
  });
  server_.store().AwaitReads(1);
  EXPECT_EQ(server_.server().Drain(absl::Now()).code(), absl::StatusCode::kDeadlineExceeded);
  caller.join();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the host is stopping");
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

// A connection that speaks HTTP/2 as far as its first frame, and then neither reads nor answers.
class SilentClient {
 public:
  explicit SilentClient(const std::string& address) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port =
        htons(static_cast<uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<const sockaddr*>(&server), sizeof server), 0);
    const std::string hello =
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9);
    EXPECT_EQ(send(socket_, hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
    // The server's own settings: it has taken the connection.
    char frame[9];
    EXPECT_EQ(recv(socket_, frame, sizeof frame, MSG_WAITALL), 9);
  }
  ~SilentClient() { close(socket_); }

 private:
  const int socket_;
};

TEST_F(GrpcServerTest, SilentClientWithoutACallDoesNotHoldTheDrainUp) {
  const SilentClient silent(server_.server().address());
  const auto idle = Public();
  ASSERT_TRUE(idle->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60)));
  const absl::Time begun = absl::Now();
  EXPECT_TRUE(server_.server().Drain(begun + absl::Minutes(1)).ok());
  EXPECT_LT(absl::Now() - begun, absl::Seconds(5));
}

}  // namespace
}  // namespace host_stub
