#include "host_stub/cli/client.h"

#include <fcntl.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/text.h"
#include "host_stub/files/trusted_files.h"
#include "host_stub/service/addresses.h"
#include "long_running_integration/v1/incident.grpc.pb.h"

namespace host_stub {

namespace v1 = ::long_running_integration::v1;
using ::google::protobuf::Message;

namespace {

constexpr int kConnectSeconds = 5;

std::chrono::system_clock::time_point In(int seconds) {
  return std::chrono::system_clock::now() + std::chrono::seconds(seconds);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(
    const ClientOptions& options) {
  if (options.certificate.empty() != options.key.empty()) {
    return absl::InvalidArgumentError("--certificate and --key must be given together");
  }
  if (options.ca.empty() && options.certificate.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  absl::Status status = ReadPem(options.ca, /*secret=*/false, ssl.pem_root_certs);
  status.Update(ReadPem(options.certificate, /*secret=*/false, ssl.pem_cert_chain));
  status.Update(ReadPem(options.key, /*secret=*/true, ssl.pem_private_key));
  if (!status.ok()) return status;
  return grpc::SslCredentials(ssl);
}

// A connection to the socket of a host of this user's or of root's: requests hold secrets, and
// whoever can put a socket into that place would get them. FAILED_PRECONDITION: it is another's.
// UNAVAILABLE: nobody answers.
absl::StatusOr<int> ConnectToOwn(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return absl::UnavailableError("");
  path.copy(address.sun_path, path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  absl::Cleanup close_socket = [socket] { ::close(socket); };
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return absl::UnavailableError("");
  }
  const std::vector<uid_t> trusted = TrustedOwners();
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      std::find(trusted.begin(), trusted.end(), peer.uid) == trusted.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("user ", peer.uid, " serves there; run this command as that user"));
  }
  if (absl::Status status = CheckWriters(path, trusted); !status.ok()) {
    return absl::FailedPreconditionError(status.message());
  }
  ::fcntl(socket, F_SETFL, O_NONBLOCK);  // as gRPC wants it
  std::move(close_socket).Cancel();
  return socket;
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

// "/package.Service/Method", of the service in the request's own file.
std::string MethodOf(const Message& request) {
  const google::protobuf::Descriptor* const type = request.GetDescriptor();
  const google::protobuf::ServiceDescriptor* const service = type->file()->service(0);
  int index = 0;
  while (service->method(index)->input_type() != type) ++index;
  return absl::StrCat("/", service->full_name(), "/", service->method(index)->name());
}

}  // namespace

void SilenceLibraries() {
  google::protobuf::SetLogHandler(nullptr);
  if (::getenv("GRPC_VERBOSITY") != nullptr) return;
  ::gpr_set_log_function([](gpr_log_func_args*) {});
}

int Client::Connect() {
  if (channel_ != nullptr) return kDone;
  SilenceLibraries();
  target_ = options_.connect.empty() ? absl::StrCat("unix:", DefaultDataDir(), "/control.sock")
                                     : options_.connect;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  absl::string_view path = target_;
  if (absl::ConsumePrefix(&path, "unix:")) {
    const absl::StatusOr<int> socket = ConnectToOwn(std::string(path));
    if (socket.ok()) {
      channel_ = grpc::CreateCustomInsecureChannelFromFd("localhost", *socket, arguments);
      return kDone;
    }
    if (absl::IsFailedPrecondition(socket.status())) {
      return Fail(absl::StrCat(target_, " is not used: ", socket.status().message()), kNotAsked);
    }
    return NoHost();
  }
  if (!ParseHostPort(target_).ok()) {
    return Fail(absl::StrCat("--connect: \"", target_, "\" is neither unix:PATH nor HOST:PORT"),
                kNotAsked);
  }
  const auto credentials = MakeCredentials(options_);
  if (!credentials.ok()) return Fail(credentials.status().message(), kNotAsked);
  auto channel = grpc::CreateCustomChannel(target_, *credentials, arguments);
  if (!AwaitReady(*channel)) return NoHost();
  channel_ = std::move(channel);
  return kDone;
}

int Client::NoHost() const {
  return Fail(absl::StrCat("no host answers at ", target_,
                           "; start one with `host_stub serve --config FILE.json`, or name another "
                           "with --connect"),
              kNotAsked);
}

int Client::Report(const grpc::Status& status) const {
  if (status.ok()) return kDone;
  std::string message = status.error_message();
  if (message.empty()) {
    // gRPC gives no message where it could not serialize the request: a text is not UTF-8.
    message = absl::StrCat("the call failed (code ", static_cast<int>(status.error_code()),
                           "); check that all arguments are UTF-8 text");
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
      !absl::StartsWith(target_, "unix:")) {
    message = absl::StrCat(target_, " does not serve this; use the host's control socket: ",
                           "--connect unix:DATA_DIR/control.sock");
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    message =
        absl::StrCat("no answer within ", options_.timeout_seconds, " s (--timeout): ", message);
  }
  return Fail(message, kRefused);
}

int Client::Call(const Message& request, Message& response) {
  if (const int code = Connect(); code != kDone) return code;
  grpc::ClientContext context;
  context.set_deadline(In(options_.timeout_seconds));
  grpc::TemplatedGenericStub<Message, Message> stub(channel_);
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, MethodOf(request), {}, &request, &response, [&](grpc::Status result) {
    status = std::move(result);
    done.Notify();
  });
  done.WaitForNotification();
  return Report(status);
}

int Client::Follow(const v1::FollowIncidentsRequest& request,
                   const std::function<bool(const v1::FollowIncidentsResponse&)>& take) {
  if (const int code = Connect(); code != kDone) return code;
  grpc::ClientContext context;
  const auto stub = v1::IncidentService::NewStub(channel_);
  const auto reader = stub->FollowIncidents(&context, request);
  v1::FollowIncidentsResponse response;
  while (reader->Read(&response)) {
    if (take(response)) continue;
    context.TryCancel();
    reader->Finish();
    return kDone;
  }
  return Report(reader->Finish());
}

}  // namespace host_stub
