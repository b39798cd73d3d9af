// Instances as messages, and what a message asks of an instance.
#ifndef HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_
#define HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_

#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/instances/instance_settings.h"
#include "long_running_integration/v1/instance.pb.h"

namespace host_stub {

// Everything that may be shown, so no secret. `draining`: the host is.
void FillInstance(const ListedInstance& listed, bool draining,
                  long_running_integration::v1::Instance& message);

// Of what all hosts told, what is about this instance.
void FillHosts(std::span<const InstanceOnHost> hosts,
               long_running_integration::v1::Instance& message);

// The settings of a new instance. INVALID_ARGUMENT names the field.
absl::StatusOr<InstanceSettings> ToSettings(
    const long_running_integration::v1::CreateInstanceRequest& request);

// Changes what the request's mask names, or without a mask what its instance sets.
// INVALID_ARGUMENT names the field.
absl::Status ApplyUpdate(const long_running_integration::v1::UpdateInstanceRequest& request,
                         InstanceSettings& settings);

// How a person triggers the instance: URLs, the DNS record to add, curl commands to paste.
void FillAddress(const InstanceDescription& description, const ListedInstance& listed,
                 long_running_integration::v1::WebhookAddress& address);

// Any text as one argument for cmd.exe and curl.exe.
std::string QuoteForWindows(absl::string_view text);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_
