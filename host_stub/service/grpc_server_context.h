// What all calls of the gRPC servers share.
#ifndef HOST_STUB_SERVICE_GRPC_SERVER_CONTEXT_H_
#define HOST_STUB_SERVICE_GRPC_SERVER_CONTEXT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/service/grpc_server.h"
#include "host_stub/service/open_calls.h"
#include "host_stub/service/thread_pool.h"
#include "plugin/limits/limits.h"

namespace grpc {
class Service;
}

namespace host_stub {

struct GrpcServerContext : GrpcServerParts {
  webhook::Limits limits;
  std::atomic<bool> draining{false};
  std::atomic<int64_t> bytes_in_flight{0};  // bodies of Execute's requests
  std::atomic<uint64_t> next_request{0};
  std::atomic<int> followers{0};

  OpenCalls calls;
  ThreadPool threads{2, 1'024};

  // The entry of the instance of that name, which `field` of a request holds. INVALID_ARGUMENT: not
  // a valid name; NOT_FOUND: there is none.
  absl::StatusOr<std::shared_ptr<const InstanceEntry>> FindEntry(absl::string_view field,
                                                                 const std::string& name) const;

  // Likewise, of the field "instance", if the instance serves. FAILED_PRECONDITION: it is disabled;
  // UNAVAILABLE: it should serve and does not.
  absl::StatusOr<std::shared_ptr<const InstanceEntry>> FindInstance(const std::string& name) const;
};

// INVALID_ARGUMENT "field: reason".
absl::Status FieldFault(absl::string_view field, absl::string_view reason);

// A FieldFault if an instance cannot have that name.
absl::Status CheckName(absl::string_view field, const std::string& name);

// Who makes a call.
struct Caller {
  // The caller uses the unix socket or a certificate. It may see payloads, and its word is taken
  // for a request's peer address.
  bool trusted = false;
  std::string address;  // an IP address without a port, "unix", or empty if it is not known

  // Only the host's own user reaches the control socket.
  bool is_owner() const { return address == "unix"; }
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
std::unique_ptr<grpc::Service> NewOperationsService(std::shared_ptr<GrpcServerContext> server);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_GRPC_SERVER_CONTEXT_H_
