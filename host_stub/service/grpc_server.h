// The host's gRPC listeners: the public address, and the control socket.
//
//   public address:  LongRunningIntegration (without what shows payloads), health, reflection;
//                    where client certificates are asked for (mTLS), everything
//   control socket:  everything: InstanceService and IncidentService too; in a folder of mode 0700
#ifndef HOST_STUB_SERVICE_GRPC_SERVER_H_
#define HOST_STUB_SERVICE_GRPC_SERVER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/instance_registry.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/service/instance_directory.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// PEM texts.
struct GrpcTls {
  std::string certificate_chain;
  std::string private_key;
  std::string client_ca;  // not empty: a client without a certificate of this CA is refused
};

struct GrpcServerOptions {
  std::string address = "127.0.0.1:50051";  // HOST:PORT; port 0: any free one
  // An address that is not loopback is refused without it: everybody who reaches it could send
  // requests, and read them on their way.
  bool insecure_on_any_address = false;
  std::optional<GrpcTls> tls;  // of the public address; none: plain text
  std::string control_path;    // of the unix socket; 107 bytes at most
  webhook::Limits limits;
};

// All are shared with calls that a faulty plugin does not let go of.
struct GrpcServerParts {
  PluginInfo plugin;
  std::shared_ptr<const InstanceRegistry> registry;
  std::shared_ptr<const InstanceDirectory> directory;
  std::shared_ptr<IncidentStore> store;
  // Null: the instances cannot be changed.
  std::shared_ptr<InstanceManager> manager = nullptr;
};

class GrpcServer {
 public:
  // Serves when it returns. Errors, each one line that names the address or the path and the
  // remedy: INVALID_ARGUMENT, FAILED_PRECONDITION (the folder is open to others), ALREADY_EXISTS
  // (another host serves there), UNAVAILABLE (cannot listen).
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           GrpcServerParts parts);

  // Drains without waiting, where that was not done.
  ~GrpcServer();

  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // HOST:PORT with the port that was bound.
  const std::string& address() const;
  const std::string& control_path() const;

  // Health tells NOT_SERVING, new calls are UNAVAILABLE, streams end when what is in flight is
  // answered. Does not wait. A second call does nothing.
  void BeginDrain();

  // BeginDrain, then waits until all calls have ended; at the deadline it cancels them, which is
  // DEADLINE_EXCEEDED. A second call does nothing. The instances must serve until it has returned.
  absl::Status Drain(absl::Time deadline);

 private:
  struct Servers;
  explicit GrpcServer(std::unique_ptr<Servers> servers);

  std::unique_ptr<Servers> servers_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_GRPC_SERVER_H_
