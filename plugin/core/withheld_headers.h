// Which request headers carry secrets and are therefore never stored in an incident.
#ifndef PLUGIN_CORE_WITHHELD_HEADERS_H_
#define PLUGIN_CORE_WITHHELD_HEADERS_H_

#include "absl/strings/string_view.h"

namespace webhook::core {

// `name` in lower case. The instance's own credential header is not known here.
bool IsWithheldHeader(absl::string_view name);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_WITHHELD_HEADERS_H_
