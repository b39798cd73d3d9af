// The names and types of the documented parameters of an instance. The plugin checks the values.
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
  bool secret;       // never shown, never logged; its file is refused where others can read it
  bool may_be_file;  // the configuration file may have NAME_file instead
};

// All of them, in the order of the documents.
std::span<const ParameterSpec> Parameters();

// nullptr if there is no parameter of that name.
const ParameterSpec* FindParameter(absl::string_view name);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_PARAMETERS_H_
