// How a person triggers an instance: what to add to the DNS, what to paste into a shell.
#ifndef HOST_STUB_SERVICE_WEBHOOK_ADDRESS_H_
#define HOST_STUB_SERVICE_WEBHOOK_ADDRESS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "host_stub/engine/instance_status.h"
#include "host_stub/service/instance_directory.h"
#include "long_running_integration/v1/instance.pb.h"

namespace host_stub {

void FillAddress(const InstanceDescription& description, const ListedInstance& listed,
                 long_running_integration::v1::WebhookAddress& address);

// The host's name in a URL, without a port: "ext-xsoar.mycompany.com".
std::string HostOfUrl(absl::string_view url);

// One argument of a command line, whatever stands in it.
std::string QuoteForPosix(absl::string_view text);    // for sh and its kin
std::string QuoteForWindows(absl::string_view text);  // for cmd.exe and curl.exe

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_WEBHOOK_ADDRESS_H_
