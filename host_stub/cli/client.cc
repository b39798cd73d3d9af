#include "host_stub/cli/client.h"

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <chrono>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/text.h"
#include "host_stub/service/addresses.h"
#include "long_running_integration/v1/incident.grpc.pb.h"
#include "long_running_integration/v1/instance.grpc.pb.h"
#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace host_stub {

namespace v1 = ::long_running_integration::v1;

struct Client::Connection {
  std::string target;  // as the user wrote it
  std::shared_ptr<grpc::Channel> channel;
};

namespace {

constexpr int kConnectSeconds = 5;

std::chrono::system_clock::time_point In(int seconds) {
  return std::chrono::system_clock::now() + std::chrono::seconds(seconds);
}

// The target in gRPC's spelling.
absl::StatusOr<std::string> GrpcTarget(absl::string_view target) {
  absl::string_view path = target;
  if (absl::ConsumePrefix(&path, "unix:")) return UnixTarget(path);
  const absl::StatusOr<HostPort> address = ParseHostPort(target);
  if (address.ok()) return std::string(target);
  return absl::InvalidArgumentError(
      absl::StrCat("--connect: \"", target, "\" is neither unix:PATH nor HOST:PORT"));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const ClientOptions& options) {
  if (options.certificate.empty() != options.key.empty()) {
    return absl::InvalidArgumentError("--certificate and --key must be given together");
  }
  if (options.ca.empty() && options.certificate.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  const struct {
    const std::string& path;
    std::string& pem;
    bool secret;
  } files[] = {{options.ca, ssl.pem_root_certs, false},
               {options.certificate, ssl.pem_cert_chain, false},
               {options.key, ssl.pem_private_key, true}};
  for (const auto& file : files) {
    if (file.path.empty()) continue;
    absl::StatusOr<std::string> pem = ReadPem(file.path, file.secret);
    if (!pem.ok()) return pem.status();
    file.pem = *std::move(pem);
  }
  return grpc::SslCredentials(ssl);
}

// Gives up at the first failure; gRPC itself would try again and again.
bool AwaitReady(grpc::Channel& channel) {
  const auto deadline = In(kConnectSeconds);
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!channel.WaitForStateChange(state, deadline)) return false;
  }
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& target,
                                                    const ClientOptions& options) {
  const absl::StatusOr<std::string> grpc_target = GrpcTarget(target);
  if (!grpc_target.ok()) return grpc_target.status();
  const auto credentials = MakeCredentials(options);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  auto channel = grpc::CreateCustomChannel(*grpc_target, *credentials, arguments);
  if (AwaitReady(*channel)) return channel;
  return absl::UnavailableError(absl::StrCat(
      "no host answers at ", target,
      "; start one with `host_stub serve --config FILE.json`, or name another with --connect"));
}

// Prints why a call failed, and returns the exit code.
int Report(const grpc::Status& status, const std::string& target, const ClientOptions& options) {
  std::string message = status.error_message();
  if (message.empty()) {
    // gRPC gives no message where it could not serialize the request: a text is not UTF-8.
    message = absl::StrCat("the call failed (code ", static_cast<int>(status.error_code()),
                           "); check that all arguments are UTF-8 text");
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
      !absl::StartsWith(target, "unix:")) {
    message = absl::StrCat(target, " does not serve this; use the host's control socket: ",
                           "--connect unix:DATA_DIR/control.sock");
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    message =
        absl::StrCat("no answer within ", options.timeout_seconds, " s (--timeout): ", message);
  }
  PrintError(message);
  return kRefused;
}

}  // namespace

void SilenceGrpcLog() {
  if (::getenv("GRPC_VERBOSITY") != nullptr) return;
  ::gpr_set_log_function([](gpr_log_func_args*) {});
}

Client::Client(const ClientOptions& options) : options_(options) {}
Client::~Client() = default;

int Client::Connect() {
  if (connection_ != nullptr) return kDone;
  SilenceGrpcLog();
  const std::string target = options_.connect.empty()
                                 ? absl::StrCat("unix:", DefaultDataDir(), "/control.sock")
                                 : options_.connect;
  auto channel = Dial(target, options_);
  if (!channel.ok()) {
    PrintError(channel.status().message());
    return kNotAsked;
  }
  connection_ = std::make_unique<Connection>(Connection{target, *std::move(channel)});
  return kDone;
}

template <typename Service, typename Request, typename Response, typename Method>
int Client::Unary(Method method, const Request& request, Response& response) {
  if (const int code = Connect(); code != kDone) return code;
  grpc::ClientContext context;
  context.set_deadline(In(options_.timeout_seconds));
  const auto stub = Service::NewStub(connection_->channel);
  const grpc::Status status = (stub.get()->*method)(&context, request, &response);
  return status.ok() ? kDone : Report(status, connection_->target, options_);
}

int Client::Call(const v1::ExecuteRequest& request, v1::ExecuteResponse& response) {
  using Service = v1::LongRunningIntegration;
  return Unary<Service>(&Service::Stub::Execute, request, response);
}

int Client::Call(const v1::TestModuleRequest& request, v1::TestModuleResponse& response) {
  using Service = v1::LongRunningIntegration;
  return Unary<Service>(&Service::Stub::TestModule, request, response);
}

int Client::Call(const v1::FetchSamplesRequest& request, v1::FetchSamplesResponse& response) {
  using Service = v1::LongRunningIntegration;
  return Unary<Service>(&Service::Stub::FetchSamples, request, response);
}

int Client::Call(const v1::ListSampleFieldsRequest& request,
                 v1::ListSampleFieldsResponse& response) {
  using Service = v1::LongRunningIntegration;
  return Unary<Service>(&Service::Stub::ListSampleFields, request, response);
}

int Client::Call(const v1::MapSamplesRequest& request, v1::MapSamplesResponse& response) {
  using Service = v1::LongRunningIntegration;
  return Unary<Service>(&Service::Stub::MapSamples, request, response);
}

int Client::Call(const v1::GetInstanceRequest& request, v1::Instance& response) {
  using Service = v1::InstanceService;
  return Unary<Service>(&Service::Stub::GetInstance, request, response);
}

int Client::Call(const v1::ListInstancesRequest& request, v1::ListInstancesResponse& response) {
  using Service = v1::InstanceService;
  return Unary<Service>(&Service::Stub::ListInstances, request, response);
}

int Client::Call(const v1::CreateInstanceRequest& request, v1::Instance& response) {
  using Service = v1::InstanceService;
  return Unary<Service>(&Service::Stub::CreateInstance, request, response);
}

int Client::Call(const v1::UpdateInstanceRequest& request, v1::Instance& response) {
  using Service = v1::InstanceService;
  return Unary<Service>(&Service::Stub::UpdateInstance, request, response);
}

int Client::Call(const v1::DeleteInstanceRequest& request, google::protobuf::Empty& response) {
  using Service = v1::InstanceService;
  return Unary<Service>(&Service::Stub::DeleteInstance, request, response);
}

int Client::Call(const v1::GetIncidentRequest& request, v1::Incident& response) {
  using Service = v1::IncidentService;
  return Unary<Service>(&Service::Stub::GetIncident, request, response);
}

int Client::Call(const v1::ListIncidentsRequest& request, v1::ListIncidentsResponse& response) {
  using Service = v1::IncidentService;
  return Unary<Service>(&Service::Stub::ListIncidents, request, response);
}

int Client::Follow(const v1::FollowIncidentsRequest& request,
                   const std::function<void(const v1::Incident&)>& take) {
  if (const int code = Connect(); code != kDone) return code;
  grpc::ClientContext context;
  const auto stub = v1::IncidentService::NewStub(connection_->channel);
  const auto reader = stub->FollowIncidents(&context, request);
  v1::FollowIncidentsResponse response;
  while (reader->Read(&response)) take(response.incident());
  return Report(reader->Finish(), connection_->target, options_);
}

}  // namespace host_stub
