#include "host_stub/service/grpc_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/service/addresses.h"
#include "host_stub/service/grpc_server_context.h"
#include "plugin/http/tls.h"

namespace host_stub {
namespace {

constexpr char kIntegration[] = "long_running_integration.v1.LongRunningIntegration";
constexpr char kInstances[] = "long_running_integration.v1.InstanceService";
constexpr char kIncidents[] = "long_running_integration.v1.IncidentService";

// Room for what a message holds beside the body.
constexpr int64_t kMessageMargin = 1 << 20;
// On the public address. gRPC holds one unfinished message of each stream in memory.
constexpr int kStreamsOfAConnection = 64;
// On the control socket, which only the owner can reach.
constexpr int kStreamsOfTheOwner = 1'024;

// A peer that has vanished is noticed within a minute. A connection without a call is closed after
// five minutes.
constexpr int kKeepaliveMs = 40'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kConnectionIdleMs = 300'000;

// Memory for gRPC beside the messages of bytes_in_flight.
constexpr int64_t kQuotaMargin = 64 << 20;
// How long new calls are still answered (UNAVAILABLE) once the last of the old ones has ended. In
// this time clients learn that the host stops, and read the last answers before their connections
// close.
constexpr absl::Duration kRefusalTime = absl::Milliseconds(300);
// How long calls that are cut off at the drain's deadline have for sending their last answer.
constexpr absl::Duration kCutOffTime = absl::Milliseconds(300);
// How long work, a faulty plugin's for example, may go on after the drain's deadline.
constexpr absl::Duration kWorkerGrace = absl::Seconds(1);

// gRPC buffers messages that have not arrived completely and are not yet counted in
// bytes_in_flight. Beyond this quota it resets streams and accepts no new connections.
size_t QuotaBytes(const webhook::Limits& limits) {
  return static_cast<size_t>(2 * std::max(limits.bytes_in_flight, limits.body_bytes) +
                             kQuotaMargin);
}

absl::StatusOr<HostPort> ValidateAddress(const GrpcServerOptions& options) {
  absl::StatusOr<HostPort> address = ParseHostPort(options.address);
  if (!address.ok()) return address;
  if (IsLoopback(address->host) || options.insecure_on_any_address || options.tls) return address;
  return absl::InvalidArgumentError(absl::StrCat(
      "gRPC would be open without encryption to everybody who can reach ", options.address,
      "; use 127.0.0.1, give --grpc-certificate and --grpc-key, or allow it with "
      "--grpc-insecure-on-any-address"));
}

// gRPC itself only says that it cannot listen; this says what is wrong with the certificate.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(
    const std::optional<GrpcTls>& tls) {
  if (!tls) return grpc::InsecureServerCredentials();
  const auto checked =
      webhook::http::TlsContext::Create({.certificate_chain_pem = tls->certificate_chain,
                                         .private_key_pem = tls->private_key,
                                         .client_ca_pem = tls->client_ca});
  if (!checked.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--grpc-certificate, --grpc-key: ", checked.status().message()));
  }
  grpc::SslServerCredentialsOptions options(
      tls->client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                             : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = tls->client_ca;
  options.pem_key_cert_pairs.push_back({tls->private_key, tls->certificate_chain});
  return grpc::SslServerCredentials(options);
}

}  // namespace

// One listener with its services.
struct GrpcServer::Listener {
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::vector<const char*> names;
  std::unique_ptr<grpc::Server> server;  // ends before its services
  int port = 0;

  void Add(const char* name, std::unique_ptr<grpc::Service> service) {
    names.push_back(name);
    services.push_back(std::move(service));
  }

  void AddManagement(const std::shared_ptr<GrpcServerContext>& context) {
    Add(kInstances, NewInstanceService(context));
    Add(kIncidents, NewIncidentService(context));
  }

  // Returns whether it listens. Each listener has its own quota, so that the owner gets through
  // whatever others do.
  bool Start(const std::string& address, const webhook::Limits& limits, int streams,
             const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    // Otherwise a second host on the same port would silently take half of the calls.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, streams);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kConnectionIdleMs);
    builder.SetResourceQuota(grpc::ResourceQuota().Resize(QuotaBytes(limits)));
    builder.SetMaxReceiveMessageSize(static_cast<int>(limits.body_bytes + kMessageMargin));
    builder.SetMaxSendMessageSize(-1);
    builder.AddListeningPort(address, credentials, &port);
    for (const auto& service : services) builder.RegisterService(service.get());
    server = builder.BuildAndStart();
    if (server == nullptr || port == 0) return false;
    SetServing(true);
    return true;
  }

  // Closes the connections, then the server. In the other order, gRPC would end a call that is just
  // arriving as CANCELLED, and its client would not know that another host is to be tried: a
  // connection that closes is UNAVAILABLE. Connections do not wait for a goodbye (GOAWAY) to be
  // acknowledged, since a client that is silent never does that.
  void Close() {
    ::grpc_server_cancel_all_calls(server->c_server());
    server->Shutdown(absl::ToChronoTime(absl::Now()));
  }

  void SetServing(bool serving) {
    grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
    health->SetServingStatus(serving);
    for (const char* name : names) health->SetServingStatus(name, serving);
  }
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              GrpcServerParts parts) {
  const absl::StatusOr<HostPort> address = ValidateAddress(options);
  if (!address.ok()) return address.status();
  const auto credentials = MakeCredentials(options.tls);
  if (!credentials.ok()) return credentials.status();
  if (absl::Status status = PrepareControlSocket(options.control_path); !status.ok()) {
    return status;
  }
  // Both are state of gRPC's library for the whole process; a second call does nothing.
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  const auto context = std::make_shared<GrpcServerContext>();
  static_cast<GrpcServerParts&>(*context) = std::move(parts);
  context->limits = options.limits;

  auto front = std::make_unique<Listener>();
  const bool by_certificate = options.tls && !options.tls->client_ca.empty();
  front->Add(kIntegration, NewIntegrationService(context, by_certificate));
  if (by_certificate) front->AddManagement(context);
  if (!front->Start(options.address, options.limits, kStreamsOfAConnection, *credentials)) {
    const std::string reason = WhyNotBound(*address);
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options.address,
                                               reason.empty() ? "" : ": ", reason,
                                               "; choose another --grpc address"));
  }
  auto control = std::make_unique<Listener>();
  control->Add(kIntegration, NewIntegrationService(context, /*by_certificate=*/false));
  control->AddManagement(context);
  if (!control->Start(UnixTarget(options.control_path), options.limits, kStreamsOfTheOwner,
                      grpc::InsecureServerCredentials())) {
    front->server->Shutdown();
    return absl::UnavailableError(absl::StrCat("cannot listen on unix:", options.control_path));
  }
  std::unique_ptr<GrpcServer> server(new GrpcServer);
  server->context_ = context;
  server->address_ = FormatHostPort(address->host, front->port);
  server->control_path_ = options.control_path;
  server->public_listener_ = std::move(front);
  server->control_listener_ = std::move(control);
  return server;
}

GrpcServer::GrpcServer() = default;

GrpcServer::~GrpcServer() { Drain(absl::Now()).IgnoreError(); }

void GrpcServer::BeginDrain() {
  if (std::exchange(draining_, true)) return;
  public_listener_->SetServing(false);
  control_listener_->SetServing(false);
  context_->draining = true;
  context_->calls.DrainAll();
}

absl::Status GrpcServer::Drain(absl::Time deadline) {
  if (std::exchange(drained_, true)) return absl::OkStatus();
  BeginDrain();
  OpenCalls& calls = context_->calls;
  const bool in_time = calls.AwaitNone(deadline);
  if (!in_time) {
    calls.CutOffAll();
    calls.AwaitNone(absl::Now() + kCutOffTime);
  } else if (calls.any()) {
    absl::SleepFor(std::min(deadline - absl::Now(), kRefusalTime));
  }
  std::thread control([this] { control_listener_->Close(); });
  public_listener_->Close();
  control.join();
  ::unlink(control_path_.c_str());
  // All calls have ended, so nobody waits for work that is left.
  context_->threads.Stop(std::max(deadline, absl::Now() + kWorkerGrace));
  calls.Stop();
  if (in_time) return absl::OkStatus();
  return absl::DeadlineExceededError("gRPC calls were cut off at the deadline");
}

}  // namespace host_stub
