// Checks that the host can create incidents, by a dry run: everything but the writing.
#ifndef PLUGIN_RUNTIME_HOST_CHECK_H_
#define PLUGIN_RUNTIME_HOST_CHECK_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/object_pool.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/timers.h"

namespace webhook::runtime {

// How long a host may take.
inline constexpr absl::Duration kProbeTime = absl::Seconds(5);

// Calls `done` exactly once, perhaps before the return, on any thread: OK, or UNAVAILABLE with one
// line for a person. `released` is called once the host does not use the batch any more, before or
// after `done`. Host, timers and slots outlive that. If it throws (no memory), neither is called.
void ProbeHost(const Host& host, lri_host_instance* instance, Timers& timers,
               base::ObjectPool<DoneSlot>& slots,
               absl::AnyInvocable<void(const absl::Status&)> done,
               absl::AnyInvocable<void()> released);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_HOST_CHECK_H_
