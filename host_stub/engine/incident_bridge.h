// The way of a batch of incidents from a plugin to the store and back. Private to the engine.
#ifndef HOST_STUB_ENGINE_INCIDENT_BRIDGE_H_
#define HOST_STUB_ENGINE_INCIDENT_BRIDGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/instance_record.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/line_limiter.h"
#include "plugin/base/object_pool.h"

namespace host_stub {

// Any thread. Results are delivered on the thread of CompletionThreads from which the batch came,
// or on thread 0: one Post for all batches that a commit finished. They are formatted there, and
// not by the store's writer. Once warm, a batch allocates nothing here.
class IncidentBridge {
 public:
  // The services must outlive this; the store completes everything before this ends. `plugin` names
  // the plugin where its completion throws.
  IncidentBridge(const HostServices& services, absl::string_view plugin);
  ~IncidentBridge();

  // lri_host.create_incidents.
  int32_t Create(InstanceRecord& record, const lri_incident_batch* batch);

 private:
  class Sink;
  struct Pending;

  void GiveBack(Pending& pending);
  void CountHidden(InstanceRecord& record, int64_t incidents);
  void CountForgotten(InstanceRecord& record, int64_t keys);
  void Finish(Pending& pending) noexcept;

  const HostServices services_;
  const std::string plugin_;
  std::vector<std::unique_ptr<Sink>> sinks_;  // one for each thread
  base::ObjectPool<Pending> pool_;
  base::LineLimiter warnings_;
  base::LineLimiter forgotten_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_INCIDENT_BRIDGE_H_
