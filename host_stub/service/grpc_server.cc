#include "host_stub/service/grpc_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/service/addresses.h"
#include "host_stub/service/client_certificates.h"
#include "host_stub/service/grpc_door.h"
#include "host_stub/service/grpc_server_context.h"
#include "host_stub/service/once_reactor.h"
#include "plugin/base/line_limiter.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/report.h"
#include "plugin/http/tls.h"

namespace host_stub {
namespace {

constexpr char kIntegration[] = "long_running_integration.v1.LongRunningIntegration";
constexpr char kInstances[] = "long_running_integration.v1.InstanceService";
constexpr char kIncidents[] = "long_running_integration.v1.IncidentService";
constexpr char kOperations[] = "long_running_integration.v1.OperationsService";

// gRPC ends a call, or a stream with all its requests, for a message of more than so many times
// body_bytes; a shorter one is answered 413. It has read the message by then in any case.
constexpr int64_t kMostBodies = 4;
constexpr int64_t kLeastMessageBytes = 4 << 20;  // headers need room, too
// On the control socket, which only the owner can reach.
constexpr int64_t kStreamsOfTheOwner = 1'024;
// HTTP/2's least. A longer frame is refused before it is read.
constexpr int kFrameBytes = 16 * 1024;
// Early pings that are put up with.
constexpr int kPingStrikes = 2;
// gRPC acts on what one read brings before anything can stop it: see memory_soft_limit.
constexpr int kReadBytes = 64 * 1024;

// Memory for gRPC beside the messages of bytes_in_flight.
constexpr int64_t kQuotaMargin = 64 << 20;
// How long new calls are still answered (UNAVAILABLE) once the last of the old ones has ended. In
// this time clients learn that the host stops, and read the last answers before their connections
// close.
constexpr absl::Duration kRefusalTime = absl::Milliseconds(300);
// How long calls that are cut off at the drain's deadline have for sending their last answer.
constexpr absl::Duration kCutOffTime = absl::Milliseconds(300);
// How long the calls of a stream that is grpc_age_ms old have for their answers.
constexpr absl::Duration kAgeGrace = absl::Minutes(1);
// How long work, a faulty plugin's for example, may go on after the drain's deadline.
constexpr absl::Duration kWorkerGrace = absl::Seconds(1);

// gRPC buffers messages that have not arrived completely and are not yet counted in
// bytes_in_flight. Beyond this quota it resets streams and accepts no new connections.
size_t QuotaBytes(const webhook::Limits& limits) {
  return static_cast<size_t>(2 * std::max(limits.bytes_in_flight, limits.body_bytes) +
                             kQuotaMargin);
}

absl::StatusOr<HostPort> ValidateAddress(const GrpcServerOptions& options) {
  if (options.address == kGrpcOff) return HostPort();
  absl::StatusOr<HostPort> address = ParseHostPort(options.address);
  if (!address.ok()) return address;
  if (IsLoopback(address->host) || (options.tls && !options.tls->client_ca.empty())) return address;
  return absl::InvalidArgumentError(absl::StrCat(
      "gRPC would be open to every stranger who can reach ", options.address,
      "; use 127.0.0.1, or let in clients with a certificate only: --grpc-certificate, --grpc-key "
      "and --grpc-client-ca; or switch it off with --grpc off"));
}

std::function<void(const webhook::http::Answered&)> TellRefusals(std::shared_ptr<Traffic> traffic) {
  if (traffic == nullptr) return nullptr;
  return [traffic = std::move(traffic)](const webhook::http::Answered& answered) {
    webhook::http::Report report(LRI_DOOR_GRPC, nullptr, answered, "grpc");
    traffic->OnAnswered("", nullptr, report.abi());
  };
}

// Logs that connections were closed because of memory_soft_limit, once a minute at most, and gives
// the memory back: the allocator would keep it, and no connection could be served.
std::function<void(int64_t)> CloserLog(const std::shared_ptr<GrpcServerContext>& context) {
  struct Last {
    base::LineLimiter lines{absl::Minutes(1)};
    std::atomic<bool> trimming{false};
  };
  return [weak = std::weak_ptr(context), last = std::make_shared<Last>()](int64_t resident_bytes) {
    const std::shared_ptr<GrpcServerContext> server = weak.lock();
    if (server == nullptr) return;
    if (last->lines.Admit(absl::Now()).has_value()) {
      server->logger->Log(Severity::kError, "",
                          absl::StrCat("the process has ", resident_bytes,
                                       " bytes of memory, and memory_soft_limit is ",
                                       server->limits.memory_soft_limit,
                                       ": gRPC's connections are closed until it has less"));
    }
    if (last->trimming.exchange(true)) return;
    const bool posted = server->threads.Post([last] {
      ::malloc_trim(0);
      last->trimming = false;
    });
    if (!posted) last->trimming = false;
  };
}

// Asked by gRPC at the end of every handshake, also of one that resumes a session.
class JudgeOfClients : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit JudgeOfClients(std::shared_ptr<const ClientCertificates> clients)
      : clients_(std::move(clients)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* status) override {
    const grpc::string_ref certificate = request->peer_cert();
    const grpc::string_ref chain = request->peer_cert_full_chain();
    *status = ToGrpc(
        clients_->Judge({certificate.data(), certificate.size()}, {chain.data(), chain.size()}));
    return true;  // the verdict is there already
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::shared_ptr<const ClientCertificates> clients_;
};

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
  if (tls->client_ca.empty()) {
    grpc::SslServerCredentialsOptions options(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    options.pem_key_cert_pairs.push_back({tls->private_key, tls->certificate_chain});
    return grpc::SslServerCredentials(options);
  }
  auto clients = ClientCertificates::Create(tls->client_ca, tls->client_crl_file);
  if (!clients.ok()) return clients.status();
  namespace tls_api = grpc::experimental;
  tls_api::TlsServerCredentialsOptions options(
      std::make_shared<tls_api::StaticDataCertificateProvider>(
          tls->client_ca,
          std::vector<tls_api::IdentityKeyCertPair>{{tls->private_key, tls->certificate_chain}}));
  options.watch_root_certs();  // their names are sent to clients
  options.watch_identity_key_cert_pairs();
  // Verified by JudgeOfClients, which is asked in every handshake.
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(
      tls_api::ExternalCertificateVerifier::Create<JudgeOfClients>(*std::move(clients)));
  options.set_check_call_host(false);
  return tls_api::TlsServerCredentials(options);
}

}  // namespace

// One listener with its services.
struct GrpcServer::Listener {
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::vector<const char*> names;
  std::unique_ptr<GrpcDoor> door;        // ends after the server, whose connections it knows
  std::unique_ptr<grpc::Server> server;  // ends before its services

  void Add(const char* name, std::unique_ptr<grpc::Service> service) {
    names.push_back(name);
    services.push_back(std::move(service));
  }

  void AddManagement(const std::shared_ptr<GrpcServerContext>& context) {
    Add(kInstances, NewInstanceService(context));
    Add(kIncidents, NewIncidentService(context));
    Add(kOperations, NewOperationsService(context));
  }

  // Each listener has its own quota, so that the owner gets through whatever others do.
  absl::Status Start(GrpcDoorOptions options, webhook::http::IoThreads& threads,
                     const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    const webhook::Limits& limits = options.limits;
    const bool owners = options.is_owners;
    grpc::ServerBuilder builder;
    const auto set = [&builder](const char* name, int64_t value) {
      builder.AddChannelArgument(name, static_cast<int>(value));
    };
    set(GRPC_ARG_MAX_CONCURRENT_STREAMS,
        owners ? kStreamsOfTheOwner : limits.grpc_streams_of_a_connection);
    set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, limits.tls_handshake_timeout_ms);
    set(GRPC_ARG_MAX_METADATA_SIZE, limits.grpc_metadata_bytes);
    set(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameBytes);
    set(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadBytes);
    set(GRPC_ARG_KEEPALIVE_TIME_MS, limits.grpc_keepalive_ms);
    set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, limits.grpc_keepalive_timeout_ms);
    set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, limits.grpc_least_ping_ms);
    set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kPingStrikes);
    set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits.grpc_idle_timeout_ms);
    if (!owners) {
      set(GRPC_ARG_MAX_CONNECTION_AGE_MS, limits.grpc_age_ms);
      // A stream that began at the last moment ends by itself before that: see GrpcServerContext.
      set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
          limits.grpc_age_ms + absl::ToInt64Milliseconds(kAgeGrace));
    }
    builder.SetResourceQuota(grpc::ResourceQuota().Resize(QuotaBytes(limits)));
    builder.SetMaxReceiveMessageSize(
        static_cast<int>(std::max(kLeastMessageBytes, kMostBodies * limits.body_bytes)));
    builder.SetMaxSendMessageSize(-1);
    using Builder = grpc::ServerBuilder::experimental_type;
    std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor =
        builder.experimental().AddExternalConnectionAcceptor(
            Builder::ExternalConnectionType::FROM_FD, credentials);
    for (const auto& service : services) builder.RegisterService(service.get());

    options.hand_over = [acceptor](int socket) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
      parameters.listener_fd = -1;
      parameters.fd = socket;
      acceptor->HandleNewConnection(&parameters);
    };
    auto listening = GrpcDoor::Listen(std::move(options), threads);
    if (!listening.ok()) return listening.status();
    door = *std::move(listening);
    server = builder.BuildAndStart();
    if (server == nullptr) return absl::UnavailableError("gRPC does not start");
    SetServing(true);
    door->Open();
    return absl::OkStatus();
  }

  // Closes the connections, then the server. In the other order, gRPC would end a call that is just
  // arriving as CANCELLED, and its client would not know that another host is to be tried: a
  // connection that closes is UNAVAILABLE. Connections do not wait for a goodbye (GOAWAY) to be
  // acknowledged, since a client that is silent never does that.
  void Close() {
    door->Close();
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

  // From here on its destructor closes what listens.
  std::unique_ptr<GrpcServer> server(new GrpcServer);
  server->context_ = context;
  server->control_path_ = options.control_path;
  if (options.address == kGrpcOff) {
    server->address_ = kGrpcOff;
  } else {
    const bool by_certificate = options.tls && !options.tls->client_ca.empty();
    auto& listener = server->listeners_.emplace_back(std::make_unique<Listener>());
    listener->Add(kIntegration, NewIntegrationService(context, by_certificate));
    if (by_certificate) listener->AddManagement(context);
    absl::Status status =
        listener->Start({.address = address->host == "localhost" ? "127.0.0.1" : address->host,
                         .port = static_cast<uint16_t>(address->port),
                         .limits = options.limits,
                         .on_refused = TellRefusals(context->traffic),
                         .on_memory = CloserLog(context)},
                        *context->io_threads, *credentials);
    if (!status.ok()) {
      server->listeners_.pop_back();
      return absl::Status(status.code(),
                          absl::StrCat("cannot listen on ", options.address, ": ", status.message(),
                                       "; choose another --grpc address"));
    }
    server->address_ = FormatHostPort(address->host, listener->door->port());
  }
  auto& control = server->listeners_.emplace_back(std::make_unique<Listener>());
  control->Add(kIntegration, NewIntegrationService(context, /*by_certificate=*/false));
  control->AddManagement(context);
  absl::Status status = control->Start({.address = absl::StrCat("unix:", options.control_path),
                                        .limits = options.limits,
                                        .is_owners = true},
                                       *context->io_threads, grpc::InsecureServerCredentials());
  if (!status.ok()) {
    server->listeners_.pop_back();
    return absl::Status(status.code(), absl::StrCat("cannot listen on unix:", options.control_path,
                                                    ": ", status.message()));
  }
  return server;
}

GrpcServer::GrpcServer() = default;

GrpcServer::~GrpcServer() { Drain(absl::Now()).IgnoreError(); }

void GrpcServer::BeginDrain() {
  if (std::exchange(draining_, true)) return;
  for (const auto& listener : listeners_) listener->SetServing(false);
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
  std::vector<std::thread> closing;
  for (const auto& listener : listeners_) closing.emplace_back([&] { listener->Close(); });
  for (std::thread& thread : closing) thread.join();
  ::unlink(control_path_.c_str());
  // All calls have ended, so nobody waits for work that is left.
  context_->threads.Stop(std::max(deadline, absl::Now() + kWorkerGrace));
  calls.Stop();
  listeners_.clear();
  if (in_time) return absl::OkStatus();
  return absl::DeadlineExceededError("gRPC calls were cut off at the deadline");
}

}  // namespace host_stub
