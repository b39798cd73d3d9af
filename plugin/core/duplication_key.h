// The parameter duplication_key: which value of an incident shows that it was sent before.
#ifndef PLUGIN_CORE_DUPLICATION_KEY_H_
#define PLUGIN_CORE_DUPLICATION_KEY_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/base/json_reader.h"
#include "plugin/core/json_path.h"

namespace webhook::core {

// Paths into the final details, headers included; the first one that has a value counts. Without
// paths incidents have no key.
using DuplicationKey = std::vector<JsonPath>;

// `parameter` is a comma list of paths; a blank one has none. INVALID_ARGUMENT, with the
// parameter's name in front, where a path is malformed or names a header that is never stored (see
// StoredHeaders::Append).
absl::StatusOr<DuplicationKey> ReadDuplicationKey(absl::string_view parameter,
                                                  absl::string_view secret_header = "");

// Finds the delivery keys of incidents. Keeps its buffers from incident to incident. Not
// thread-safe.
class DeliveryKeyFinder {
 public:
  // Details are nested at most max_depth deep. A key longer than most_bytes (64 at least) is
  // replaced by its SHA-256 in hexadecimal digits.
  DeliveryKeyFinder(int max_depth, size_t most_bytes);

  // The key of the incident at `position` (from 0) of its request: `path:value` of the first path
  // that has a value in `details`, the slices of one JSON object; empty where none has. An empty
  // value (null, {}, [], "", 0, false) counts as absent. Strings count by the text they stand for,
  // other values by their bytes. All incidents of a request share its headers, so where the value
  // comes from those, a line feed and the position follow for every incident but the first; no
  // value of a header has a line feed. Valid until the next call.
  absl::string_view Find(const DuplicationKey& key, std::span<const absl::string_view> details,
                         size_t position);

  // Gives back the memory that a large incident has taken.
  void ReleaseLarge();

 private:
  void SetKey(const JsonPath& path, const base::JsonValue& value, size_t position);

  base::JsonReader reader_;
  const size_t most_bytes_;
  std::string text_;  // the details in one piece, and padding
  std::string key_;
  std::vector<base::JsonValue> values_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DUPLICATION_KEY_H_
