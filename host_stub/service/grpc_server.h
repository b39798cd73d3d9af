// The host's gRPC listeners: the public address, and the control socket.
//
//   public address:  LongRunningIntegration (without what shows payloads), health, reflection;
//                    with client certificates (mTLS) everything
//   control socket:  everything, InstanceService and IncidentService too; in a folder of mode 0700
#ifndef HOST_STUB_SERVICE_GRPC_SERVER_H_
#define HOST_STUB_SERVICE_GRPC_SERVER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/observe/host_state.h"
#include "host_stub/observe/logger.h"
#include "host_stub/observe/traffic.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/store.h"
#include "plugin/limits/limits.h"

namespace webhook::http {
class IoThreads;
}

namespace host_stub {

// The address of a host that serves its control socket alone.
inline constexpr char kGrpcOff[] = "off";

// PEM texts.
struct GrpcTls {
  std::string certificate_chain;
  std::string private_key;
  std::string client_ca;  // if not empty, clients without a certificate of this CA are refused
  std::string client_crl_file;  // the path of a PEM file: certificates that the CA has revoked
};

struct GrpcServerOptions {
  // HOST:PORT, where HOST is an IP address or localhost, and port 0 any free one; or kGrpcOff. An
  // address that is not loopback needs `tls` with a client_ca.
  std::string address = "127.0.0.1:50051";
  std::optional<GrpcTls> tls;  // of the public address; none: plain text
  std::string control_path;    // of the unix socket; at most 107 bytes
  webhook::Limits limits;
};

// Shared with calls that a faulty plugin does not let go of.
struct GrpcServerParts {
  PluginInfo plugin;
  std::shared_ptr<const PublishedInstances> instances;
  std::shared_ptr<IncidentStore> store;
  // Has the audit. Null: there is none.
  std::shared_ptr<StateStore> audit = nullptr;
  // Null if the instances cannot be changed.
  std::shared_ptr<InstanceManager> manager = nullptr;
  std::shared_ptr<Logger> logger;
  // Told of each call of Execute, and of refused connections. Null: nobody is.
  std::shared_ptr<Traffic> traffic = nullptr;
  // How the host is. Null: not known.
  std::function<HostState()> state = nullptr;
  // With it: what a person should do something about. Looks at the disk.
  std::function<std::vector<std::string>()> warnings = nullptr;
  // Connections are accepted on one of these. They outlive the server.
  webhook::http::IoThreads* io_threads = nullptr;
};

struct GrpcServerContext;

class GrpcServer {
 public:
  // Serves when it returns. Errors, each one line that names the address or the path and the
  // remedy: INVALID_ARGUMENT, FAILED_PRECONDITION (the folder is open to others), ALREADY_EXISTS
  // (another host serves there), UNAVAILABLE (cannot listen).
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           GrpcServerParts parts);

  // Drains with no time left if Drain was not called.
  ~GrpcServer();

  // HOST:PORT with the real port, or kGrpcOff.
  const std::string& address() const { return address_; }
  const std::string& control_path() const { return control_path_; }

  // From now on health is NOT_SERVING, new calls are UNAVAILABLE, and streams end when their
  // requests in flight are answered. Does not wait. A second call does nothing.
  void BeginDrain();

  // Calls BeginDrain and waits until all calls have ended. At the deadline it ends them as
  // UNAVAILABLE and returns DEADLINE_EXCEEDED. The instances must serve until it has returned. A
  // second call does nothing.
  absl::Status Drain(absl::Time deadline);

 private:
  struct Listener;
  GrpcServer();

  std::shared_ptr<GrpcServerContext> context_;
  std::vector<std::unique_ptr<Listener>> listeners_;  // of the public address; of the owner
  std::string address_;
  std::string control_path_;
  bool draining_ = false;
  bool drained_ = false;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_GRPC_SERVER_H_
