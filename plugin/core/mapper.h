// Shows what a mapper would make of samples: target field -> path, with a default.
#ifndef PLUGIN_CORE_MAPPER_H_
#define PLUGIN_CORE_MAPPER_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/base/json_path.h"
#include "plugin/core/samples.h"

namespace webhook::core {

// Immutable once parsed.
class Mapper {
 public:
  // `arguments` is {"mapper": {"target": {"path": "a.b", "default": ...}, "other": "c.d"}}; the
  // mapper may also be a string that holds such an object. INVALID_ARGUMENT names the target and
  // what is wrong; more than `most_targets` targets are an error, too.
  static absl::StatusOr<Mapper> Parse(absl::string_view arguments, size_t most_targets);

  // A JSON array with one object for each sample, in their order; the members are the targets. A
  // path with [] gives an array of all values. If the path leads to nothing or to null, the default
  // is taken; without a default the target is left out. Values keep their bytes. A truncated sample
  // is not JSON and gives defaults only. RESOURCE_EXHAUSTED: longer than `most_bytes`.
  absl::StatusOr<std::string> Map(std::span<const SharedSample> samples, size_t most_bytes) const;

 private:
  friend class MapperReader;
  struct Target {
    std::string name;
    std::optional<base::JsonPath> path;  // set once it is parsed
    std::string default_json;            // empty: none
  };

  std::vector<Target> targets_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_MAPPER_H_
