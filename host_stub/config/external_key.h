// The server configuration's say about which instances can be reached from outside.
#ifndef HOST_STUB_CONFIG_EXTERNAL_KEY_H_
#define HOST_STUB_CONFIG_EXTERNAL_KEY_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace host_stub {

// instance.execute.external.NAME
std::string ExternalKey(absl::string_view instance);

// Whether that key is "true".
bool IsExternal(const std::map<std::string, std::string>& server_configuration,
                absl::string_view instance);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_EXTERNAL_KEY_H_
