// A host at work: configuration, store, plugin, instances, HTTP front and gRPC, put together.
#ifndef HOST_STUB_HOST_H_
#define HOST_STUB_HOST_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/logger.h"
#include "host_stub/service/grpc_server.h"

namespace host_stub {

// From now on an exception that is not caught ends the process with one line on standard error, for
// example when memory runs out outside of a request. Called once, at the start of a program.
void EndWithOneLineOnExceptions();

struct HostOptions {
  std::string plugin_file;
  Configuration configuration;
  std::string data_dir;      // made with mode 0700 where it is missing; its parent must exist
  std::string http_address;  // HOST:PORT, an IPv6 address in brackets; port 0: the system chooses
  std::string grpc_address;  // likewise
  bool keep_in_memory = false;  // no database: incidents are gone when the host ends
  bool grpc_insecure_on_any_address = false;
  std::optional<GrpcTls> grpc_tls;
  std::shared_ptr<Logger> logger;
};

// Any thread, but Drain and the destructor one at a time and after Reload.
class Host {
 public:
  // When it returns OK, the host serves. The error is one line that says what cannot be served and
  // why; nothing is left running then.
  static absl::StatusOr<std::unique_ptr<Host>> Start(HostOptions options);

  // Drains with no time left, if Drain was not called.
  ~Host();

  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // HOST:PORT with the real port.
  const std::string& http_address() const;
  const std::string& grpc_address() const;
  // The control socket's path.
  const std::string& control_path() const;

  // Refuses new requests, answers those that were read, then closes the store. The error is about
  // the first part that did not end in time; everything that was acknowledged is on disk in any
  // case.
  absl::Status Drain(absl::Duration time);

  // Takes over another configuration's platform, serverConfiguration and instances as one change,
  // while requests come in. The error is one line, and everything stays as it was. Where an
  // instance is removed, waits for the requests that it has.
  absl::Status Reload(const Configuration& configuration);

 private:
  class Parts;
  explicit Host(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace host_stub

#endif  // HOST_STUB_HOST_H_
