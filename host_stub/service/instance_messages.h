// Instances as messages, and what a message asks of an instance.
#ifndef HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_
#define HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host_stub/engine/instance_registry.h"
#include "host_stub/instances/instance_settings.h"
#include "host_stub/service/instance_directory.h"
#include "long_running_integration/v1/instance.pb.h"

namespace host_stub {

// All that may be shown; no secret.
void FillInstance(const ListedInstance& listed, const InstanceRegistry& registry,
                  long_running_integration::v1::Instance& message);

// What a new instance is to be. INVALID_ARGUMENT names the field.
absl::StatusOr<InstanceSettings> ToSettings(
    const long_running_integration::v1::CreateInstanceRequest& request);

// Changes what the request's mask names, or without a mask what is set in its instance.
// INVALID_ARGUMENT names the field.
absl::Status ApplyUpdate(const long_running_integration::v1::UpdateInstanceRequest& request,
                         InstanceSettings& settings);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_
