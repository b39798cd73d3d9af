// Finds where a text stops being JSON, for the error message: simdjson's DOM does not tell, and its
// On-Demand front tells it of some faults only. Boost.JSON counts what it has taken.
#ifndef HOST_STUB_CONFIG_JSON_FAULT_H_
#define HOST_STUB_CONFIG_JSON_FAULT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace host_stub {

// "line 7, column 3: this is not expected here"; empty where nothing is found. Lines and columns
// count from 1, columns in bytes. Nesting deeper than 64 counts as a fault. Quotes nothing: a
// password may stand there.
std::string FindJsonFault(absl::string_view text);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_JSON_FAULT_H_
