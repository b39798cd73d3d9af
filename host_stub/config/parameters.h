// The documented parameters of an instance, as far as their shape goes. Whether a value makes sense
// is the plugin's to say.
#ifndef HOST_STUB_CONFIG_PARAMETERS_H_
#define HOST_STUB_CONFIG_PARAMETERS_H_

#include <span>

#include "absl/strings/string_view.h"

namespace host_stub {

enum class ParameterType {
  kText,
  kPort,     // a JSON string or a whole JSON number
  kList,     // a JSON array, or its text
  kBoolean,  // a JSON boolean, "true" or "false"
};

struct ParameterSpec {
  absl::string_view name;
  ParameterType type;
  bool secret;        // never shown, never logged
  bool may_be_file;   // NAME_file may stand in the configuration file instead
  bool private_file;  // that file is refused where others can read it
};

// All of them, in the order of the documents.
std::span<const ParameterSpec> Parameters();

// nullptr where there is no parameter of that name.
const ParameterSpec* FindParameter(absl::string_view name);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_PARAMETERS_H_
