// What all calls of a gRPC server share.
#ifndef HOST_STUB_SERVICE_CALL_ENVIRONMENT_H_
#define HOST_STUB_SERVICE_CALL_ENVIRONMENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/instance_registry.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/service/deadline_timer.h"
#include "host_stub/service/instance_directory.h"
#include "host_stub/service/worker.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// A call that lasts, and should end when the host drains.
class Drainable {
 public:
  virtual ~Drainable() = default;
  virtual void Drain() = 0;
};

// Any thread.
class DrainList {
 public:
  // Drains it at once where DrainAll came before.
  void Add(const std::shared_ptr<Drainable>& drainable);
  void Remove(Drainable* drainable);
  void DrainAll();

 private:
  absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<Drainable*, std::weak_ptr<Drainable>> list_ ABSL_GUARDED_BY(mutex_);
};

// Counts the calls that gRPC still has. Any thread.
class OpenCalls {
 public:
  void Enter() { open_.fetch_add(1); }
  void Leave();

  // Waits for a moment without a call. False: none came by the deadline.
  bool AwaitNone(absl::Time deadline);

 private:
  std::atomic<int64_t> open_{0};
  std::atomic<bool> awaited_{false};  // before it Leave takes no lock
  absl::Mutex mutex_;
  bool none_ ABSL_GUARDED_BY(mutex_) = false;
};

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
  DrainList lasting;
  DeadlineTimer timer;
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
