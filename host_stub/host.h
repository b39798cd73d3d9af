// A host at work: configuration, store, plugin, instances, HTTP front and gRPC, put together.
#ifndef HOST_STUB_HOST_H_
#define HOST_STUB_HOST_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/admin/admin.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/observe/logger.h"
#include "host_stub/service/grpc_server.h"

namespace webhook::http {
class IoThreads;
class Server;
}  // namespace webhook::http

namespace host_stub {

class AccessLog;
class Front;
class Store;
class Traffic;

// From now on an exception that is not caught ends the process with one line on standard error, for
// example when memory runs out outside of a request. Called once, at the start of a program.
void EndWithOneLineOnExceptions();

struct HostOptions {
  std::string plugin_file;
  Configuration configuration;
  std::string data_dir;      // made with mode 0700 where it is missing; its parent must exist
  std::string http_address;  // HOST:PORT, an IPv6 address in brackets; port 0: the system chooses
  GrpcServerOptions grpc;    // but for its limits and its control socket, which is in `data_dir`
  AdminOptions admin;
  // No database: incidents are gone when the host ends. Else they are in the one that the
  // configuration names, or in `data_dir`.
  bool keep_in_memory = false;
  std::shared_ptr<Logger> logger;
  std::shared_ptr<AccessLog> access_log = nullptr;  // null: none
};

// Any thread, but Drain and the destructor one at a time and after Reload.
class Host {
 public:
  // When it returns OK, the host serves. The error is one line that says what cannot be served and
  // why; nothing is left running then.
  static absl::StatusOr<std::unique_ptr<Host>> Start(HostOptions options);

  // Drains with no time left, if Drain was not called.
  ~Host();

  // HOST:PORT with the real port.
  const std::string& http_address() const { return http_address_; }
  const std::string& grpc_address() const { return grpc_->address(); }
  // HOST:PORT, unix:PATH, or kAdminOff.
  const std::string& admin_address() const { return admin_address_; }
  // The control socket's path.
  const std::string& control_path() const { return grpc_->control_path(); }

  // From now on /readyz says that the host is stopping, so that balancers send nothing new.
  // Requests are answered as before. Any thread.
  void FailReadiness() { draining_ = true; }

  // Refuses new requests, answers those that were read, then closes the store. The error is about
  // the first part that did not end in time; everything that was acknowledged is on disk in any
  // case.
  absl::Status Drain(absl::Duration time);

  // Looks at the machine: tells the log what a person should do something about, once, and when
  // that is over; and whether the clock was set. Called every few seconds, by one thread.
  void Watch();

  // Takes over another configuration's platform, serverConfiguration, instances, proxies and
  // retention as one change, while requests come in. The error is one line, and everything stays as
  // it was. Where an instance is removed, waits for the requests that it has. One that could not be
  // read is noted for the metrics, and its error returned.
  absl::Status Reload(const absl::StatusOr<Configuration>& configuration);

 private:
  explicit Host(HostOptions options);

  absl::Status StartEngine();
  absl::Status StartInstances();
  absl::Status StartFront();
  absl::Status StartGrpc();
  absl::Status StartAdmin();
  void LogStart();
  HostState State();
  std::vector<std::string> Warnings() const;

  // Members are destroyed from the last to the first: each before those that it calls.
  HostOptions options_;
  std::shared_ptr<Traffic> traffic_;
  std::shared_ptr<Store> store_;
  std::shared_ptr<webhook::http::IoThreads> threads_;
  std::shared_ptr<HostedPlugin> plugin_;
  std::shared_ptr<PublishedInstances> instances_ = std::make_shared<PublishedInstances>();
  std::unique_ptr<Front> front_;
  std::shared_ptr<InstanceManager> manager_;
  std::shared_ptr<webhook::http::Server> server_;
  std::string http_address_;
  std::unique_ptr<GrpcServer> grpc_;
  std::atomic<bool> started_{false};  // all below and above is in its place
  std::atomic<bool> draining_{false};
  std::atomic<bool> last_reload_succeeded_{true};
  std::atomic<int64_t> last_reload_s_{0};  // that succeeded; Unix time
  std::string admin_address_ = kAdminOff;
  std::unique_ptr<Admin> admin_;  // ends first
  bool drained_ = false;
  std::vector<std::string> told_warnings_;
  std::optional<absl::Duration> clock_offset_;  // of the wall clock to the monotonic one
  std::atomic<int64_t> clock_steps_{0};
};

}  // namespace host_stub

#endif  // HOST_STUB_HOST_H_
