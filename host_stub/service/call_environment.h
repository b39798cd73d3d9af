// What all calls of a gRPC server share.
#ifndef HOST_STUB_SERVICE_CALL_ENVIRONMENT_H_
#define HOST_STUB_SERVICE_CALL_ENVIRONMENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/instance_registry.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/service/instance_directory.h"
#include "host_stub/service/open_calls.h"
#include "host_stub/service/worker.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct CallEnvironment {
  webhook::Limits limits;
  PluginInfo plugin;
  std::shared_ptr<const InstanceRegistry> registry;
  std::shared_ptr<const InstanceDirectory> directory;
  std::shared_ptr<IncidentStore> store;
  std::shared_ptr<InstanceManager> manager;  // null: instances cannot be changed

  std::atomic<bool> draining{false};
  std::atomic<int64_t> bytes_in_flight{0};  // bodies of Execute's requests
  std::atomic<uint64_t> next_request{0};
  std::atomic<int> followers{0};

  OpenCalls calls;
  Worker worker{2, 1'024};

  // The instance that serves under that name. INVALID_ARGUMENT: no name of an instance;
  // FAILED_PRECONDITION: disabled; UNAVAILABLE: it should serve and does not; NOT_FOUND.
  absl::StatusOr<std::shared_ptr<HostedInstance>> FindInstance(absl::string_view field,
                                                               const std::string& name) const;

  // Runs `work`, which owns all that it uses, on the worker. UNAVAILABLE: it will not run.
  absl::Status Post(std::function<void()> work);
};

// INVALID_ARGUMENT, naming the field: not what an instance can be called.
absl::Status CheckName(absl::string_view field, const std::string& name);

// Who makes a call.
struct Caller {
  // Reached us over the unix socket or with a certificate: may see payloads, and may say on whose
  // behalf it speaks.
  bool trusted = false;
  std::string address;  // an IP address without a port, "unix", or empty: not known
};

// From gRPC's text for a peer ("ipv4:127.0.0.1:5000", "ipv6:%5B::1%5D:5000", "unix:").
Caller MakeCaller(const std::string& peer, bool authenticated);

// Whether the text is an IPv4 or IPv6 address.
bool IsIpAddress(const std::string& text);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_CALL_ENVIRONMENT_H_
