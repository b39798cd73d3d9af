// What all calls of the gRPC servers share.
#ifndef HOST_STUB_SERVICE_GRPC_SERVER_CONTEXT_H_
#define HOST_STUB_SERVICE_GRPC_SERVER_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/service/open_calls.h"
#include "host_stub/service/thread_pool.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace grpc {
class Service;
}

namespace host_stub {

struct GrpcServerContext {
  webhook::Limits limits;
  PluginInfo plugin;
  std::shared_ptr<const PublishedInstances> instances;
  std::shared_ptr<IncidentStore> store;
  std::shared_ptr<InstanceManager> manager;  // null: instances cannot be changed

  std::atomic<bool> draining{false};
  std::atomic<int64_t> bytes_in_flight{0};  // bodies of Execute's requests
  std::atomic<uint64_t> next_request{0};
  std::atomic<int> followers{0};

  OpenCalls calls;
  ThreadPool threads{2, 1'024};

  // The entry of the instance that serves under that name. INVALID_ARGUMENT: not a valid name;
  // FAILED_PRECONDITION: the instance is disabled; UNAVAILABLE: it should serve and does not;
  // NOT_FOUND: there is none.
  absl::StatusOr<std::shared_ptr<const InstanceEntry>> FindInstance(absl::string_view field,
                                                                    const std::string& name) const;

  // Runs `work`, which owns everything that it uses, on the thread pool. UNAVAILABLE: it will not
  // run.
  absl::Status Post(std::function<void()> work);
};

// INVALID_ARGUMENT, with the field's name, if an instance cannot have that name.
absl::Status CheckName(absl::string_view field, const std::string& name);

// Who makes a call.
struct Caller {
  // The caller uses the unix socket or a certificate. It may see payloads, and its word is taken
  // for a request's peer address.
  bool trusted = false;
  std::string address;  // an IP address without a port, "unix", or empty if it is not known
};

// From gRPC's text for a peer ("ipv4:127.0.0.1:5000", "ipv6:%5B::1%5D:5000", "unix:").
Caller MakeCaller(const std::string& peer, bool authenticated);

// Whether the text is an IPv4 or IPv6 address.
bool IsIpAddress(const std::string& text);

// The one barrier of an RPC: the status that `work` returns, or where memory runs out in it, one of
// that code without a message, which needs no memory.
template <typename Work>
absl::Status GuardMemory(const Work& work,
                         absl::StatusCode without_memory = absl::StatusCode::kResourceExhausted) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::Status(without_memory, "");
  }
}

// The services. A service belongs to one server and ends after it. `by_certificate`: the server
// accepts only clients with a certificate.
std::unique_ptr<grpc::Service> NewIntegrationService(std::shared_ptr<GrpcServerContext> server,
                                                     bool by_certificate);
std::unique_ptr<grpc::Service> NewInstanceService(std::shared_ptr<GrpcServerContext> server);
std::unique_ptr<grpc::Service> NewIncidentService(std::shared_ptr<GrpcServerContext> server);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_GRPC_SERVER_CONTEXT_H_
