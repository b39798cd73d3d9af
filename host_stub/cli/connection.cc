#include "host_stub/cli/connection.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/pem_file.h"
#include "host_stub/cli/text.h"
#include "host_stub/service/addresses.h"

namespace host_stub {
namespace {

constexpr int kConnectSeconds = 5;

std::chrono::system_clock::time_point In(int seconds) {
  return std::chrono::system_clock::now() + std::chrono::seconds(seconds);
}

// As gRPC calls it.
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
    return absl::InvalidArgumentError("--certificate and --key belong together");
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

// Gives up at the first failure, where gRPC itself would go on trying.
bool Connect(grpc::Channel& channel) {
  const auto deadline = In(kConnectSeconds);
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!channel.WaitForStateChange(state, deadline)) return false;
  }
}

}  // namespace

void AddClientOptions(CLI::App& command, ClientOptions& options) {
  command
      .add_option("--connect", options.connect,
                  "The host: unix:PATH or HOST:PORT (default: the control socket in " +
                      DefaultDataDir() + ")")
      ->type_name("TARGET");
  command.add_option("--ca", options.ca, "Speak TLS with a host that has a certificate of this CA")
      ->type_name("FILE.pem");
  command.add_option("--certificate", options.certificate, "Over TLS: this client's certificate")
      ->type_name("FILE.pem");
  command.add_option("--key", options.key, "Its private key")->type_name("FILE.pem");
  command.add_flag("--json", options.json, "Print JSON, for programs");
  command.add_option("--timeout", options.timeout_seconds, "Give up after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 3'600))
      ->capture_default_str();
}

std::string DefaultDataDir() {
  const char* data_home = ::getenv("XDG_DATA_HOME");
  // The specification asks to ignore a relative path.
  if (data_home != nullptr && data_home[0] == '/')
    return absl::StrCat(data_home, "/generic-webhook");
  const char* home = ::getenv("HOME");
  return absl::StrCat(home == nullptr ? "" : home, "/.local/share/generic-webhook");
}

void SilenceGrpcLog() {
  if (::getenv("GRPC_VERBOSITY") != nullptr) return;
  ::gpr_set_log_function([](gpr_log_func_args*) {});
}

void KeepGrpcUntilExit() { ::grpc_init(); }

absl::StatusOr<Connection> Connection::Open(const ClientOptions& options) {
  SilenceGrpcLog();
  Connection connection;
  connection.target_ = options.connect.empty()
                           ? absl::StrCat("unix:", DefaultDataDir(), "/control.sock")
                           : options.connect;
  connection.timeout_seconds_ = options.timeout_seconds;
  const absl::StatusOr<std::string> target = GrpcTarget(connection.target_);
  if (!target.ok()) return target.status();
  const auto credentials = MakeCredentials(options);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  connection.channel_ = grpc::CreateCustomChannel(*target, *credentials, arguments);
  if (Connect(*connection.channel_)) return connection;
  return absl::UnavailableError(absl::StrCat(
      "no host answers at ", connection.target_,
      "; start one with `host_stub serve --config FILE.json`, or name another with --connect"));
}

void Connection::Prepare(grpc::ClientContext& context) const {
  context.set_deadline(In(timeout_seconds_));
}

int Connection::Report(const grpc::Status& status) const {
  std::string message = status.error_message();
  if (message.empty()) {
    // gRPC's own, of a message that it could not write: text that is no UTF-8.
    message = absl::StrCat("the call failed (code ", static_cast<int>(status.error_code()),
                           "); is all that was given UTF-8 text?");
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
      !absl::StartsWith(target_, "unix:")) {
    message = absl::StrCat(target_, " does not serve this; use the host's control socket: ",
                           "--connect unix:DATA_DIR/control.sock");
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    message = absl::StrCat("no answer within ", timeout_seconds_, " s (--timeout): ", message);
  }
  PrintError(message);
  return kRefused;
}

void PrintError(const std::string& message) {
  std::fprintf(stderr, "host_stub: %s\n", EscapeForTerminal(message, false).c_str());
}

}  // namespace host_stub
