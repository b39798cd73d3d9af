#include "plugin/runtime/sample_commands.h"

#include "plugin/core/mapper.h"
#include "plugin/core/samples.h"

namespace webhook::runtime {

bool IsSampleCommand(absl::string_view name) {
  return name == "samples" || name == "fields" || name == "map";
}

absl::StatusOr<std::string> RunSampleCommand(absl::string_view name, absl::string_view arguments,
                                             std::span<const core::SharedSample> newest_first,
                                             const Limits& limits) {
  const auto most_bytes = static_cast<size_t>(limits.command_result_bytes);
  if (name == "samples") return core::WriteSamples(newest_first, most_bytes);
  if (name == "fields") {
    return core::ListFields(newest_first, static_cast<size_t>(limits.sample_fields));
  }
  const auto mapper = core::Mapper::Parse(arguments, static_cast<size_t>(limits.mapper_targets));
  if (!mapper.ok()) return mapper.status();
  return mapper->Map(newest_first, most_bytes);
}

}  // namespace webhook::runtime
