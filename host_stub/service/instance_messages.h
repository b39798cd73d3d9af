// Instances as messages, and what a message asks of an instance.
#ifndef HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_
#define HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/engine/instance_status.h"
#include "host_stub/instances/instance_settings.h"
#include "long_running_integration/v1/instance.pb.h"

namespace host_stub {

// Everything that may be shown, so no secret.
void FillInstance(const ListedInstance& listed, long_running_integration::v1::Instance& message);

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

// The host in a URL, without a port: "ext-xsoar.mycompany.com".
std::string HostOfUrl(absl::string_view url);

// Any text as one argument of a command line.
std::string QuoteForPosix(absl::string_view text);    // for sh and compatible shells
std::string QuoteForWindows(absl::string_view text);  // for cmd.exe and curl.exe

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_INSTANCE_MESSAGES_H_
