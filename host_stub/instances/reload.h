// What a configuration file that was read again changes.
#ifndef HOST_STUB_INSTANCES_RELOAD_H_
#define HOST_STUB_INSTANCES_RELOAD_H_

#include "absl/status/statusor.h"
#include "host_stub/config/configuration.h"
#include "host_stub/instances/instance_change.h"
#include "host_stub/instances/snapshot.h"

namespace host_stub {

// The steps from what is to what the file says: instances that it names no more go, those that are
// new or other come, all others are left alone. With another platform every instance is judged
// anew, the store's too. FAILED_PRECONDITION: a name is the store's.
absl::StatusOr<InstanceChange> PlanReload(const InstanceSnapshot& table,
                                          const Configuration& configuration);

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_RELOAD_H_
