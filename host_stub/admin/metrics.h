// What the host counts, as Prometheus' text format has it.
#ifndef HOST_STUB_ADMIN_METRICS_H_
#define HOST_STUB_ADMIN_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/observe/host_state.h"
#include "host_stub/observe/logger.h"
#include "host_stub/observe/traffic.h"
#include "host_stub/store/incident_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct AdminParts {
  std::shared_ptr<const Traffic> traffic;
  std::shared_ptr<const PublishedInstances> instances;
  std::shared_ptr<const IncidentStore> store;
  std::shared_ptr<const Logger> logger;
  std::function<HostState()> state;  // any thread
  webhook::Limits limits;
  std::string version;
};

// Labels have closed sets of values: names of instances that exist, and words of ours. The names
// of metrics follow OpenTelemetry's for HTTP servers, and Prometheus' conventions for the others.
class HostMetrics : public prometheus::Collectable {
 public:
  // The parts outlive it.
  explicit HostMetrics(const AdminParts& parts) : parts_(parts) {}

  // Any thread. Of the locks that a request takes it takes those of the store's queue and of the
  // snapshot, for a moment each.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const AdminParts& parts_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ADMIN_METRICS_H_
