// The commands that read samples: "samples", "fields" and "map".
#ifndef PLUGIN_RUNTIME_SAMPLE_COMMANDS_H_
#define PLUGIN_RUNTIME_SAMPLE_COMMANDS_H_

#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/samples.h"
#include "plugin/limits/limits.h"

namespace webhook::runtime {

bool IsSampleCommand(absl::string_view name);

// The command's result: JSON text. `name` is that of a sample command; `arguments` only "map" has.
// INVALID_ARGUMENT: a malformed mapper. RESOURCE_EXHAUSTED: the result passes a limit.
absl::StatusOr<std::string> RunSampleCommand(absl::string_view name, absl::string_view arguments,
                                             std::span<const core::SharedSample> newest_first,
                                             const Limits& limits);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_SAMPLE_COMMANDS_H_
