// The parameters of an instance. Everything that knows them by name uses this table: the plugin,
// which describes them through the ABI, the configuration file, gRPC and the command line.
#ifndef PLUGIN_LIMITS_PARAMETERS_H_
#define PLUGIN_LIMITS_PARAMETERS_H_

#include <span>

#include "absl/strings/string_view.h"

namespace webhook {

enum class ParameterType {
  kText = 1,
  kPort = 2,     // a whole number from 1 to 65535
  kBoolean = 3,  // "true" or "false"
  kList = 4,     // a text, or the text of a JSON array
  kObject = 5,   // a text, or the text of a JSON object
};

struct Parameter {
  absl::string_view name;
  ParameterType type;
  bool secret;       // never shown, never logged; its file is refused where others can read it
  bool may_be_file;  // the configuration file may have NAME_file instead
  absl::string_view default_value;
  absl::string_view required;  // where it must be set; empty: nowhere
  absl::string_view meaning;
};

// The documented ones in the documents' order, then our own.
std::span<const Parameter> Parameters();

// nullptr if there is no parameter of that name.
const Parameter* FindParameter(absl::string_view name);

}  // namespace webhook

#endif  // PLUGIN_LIMITS_PARAMETERS_H_
