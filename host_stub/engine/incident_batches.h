// The way of a batch of incidents from a plugin to the store and back. Private to the engine.
#ifndef HOST_STUB_ENGINE_INCIDENT_BATCHES_H_
#define HOST_STUB_ENGINE_INCIDENT_BATCHES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "host_stub/engine/host_services.h"
#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/slab.h"
#include "host_stub/store/incident_store.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/limits/line_limiter.h"

namespace host_stub {

// RFC 3339 in UTC with six digits of fraction, cut where they are zeros:
// "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.25Z".
std::string FormatCreated(absl::Time created);

// Any thread. Results come on the thread of CompletionThreads from which the batch came, or on
// thread 0: one Post for all that a commit finished. There they are formatted, not by the store's
// writer. Warm, a batch allocates nothing here.
class IncidentBatches {
 public:
  // The services must outlive this; the store completes everything before this ends.
  explicit IncidentBatches(const HostServices& services);
  ~IncidentBatches();

  // lri_host.create_incidents.
  int32_t Create(InstanceRecord& record, const lri_incident_batch* batch);

 private:
  class Sink;
  struct Pending;

  CompletionSink& SinkOfThisThread();
  static void Fill(const lri_incident_batch& batch, InstanceRecord& record, Pending& pending);
  void Finish(Pending& pending);
  static void ReportThrown(InstanceRecord& record) noexcept;

  const HostServices services_;
  std::vector<std::unique_ptr<Sink>> sinks_;  // one for each thread
  Slab<Pending> pool_;
  webhook::LineLimiter warnings_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_INCIDENT_BATCHES_H_
