// The parameter duplication_key: what of an incident tells that it was sent before.
#ifndef PLUGIN_CORE_DUPLICATION_KEY_H_
#define PLUGIN_CORE_DUPLICATION_KEY_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/json_path.h"
#include "plugin/core/json_reader.h"

namespace webhook::core {

// Immutable once created, so any thread may use it.
class DuplicationKey {
 public:
  // No paths: incidents have no key.
  DuplicationKey() = default;

  // A comma list of paths into the final details (headers and all), of which the first that is
  // present counts. INVALID_ARGUMENT begins with the parameter's name: a path is malformed, or
  // names a header that is never stored, as of StoredHeaders::Append. Blank: no paths.
  static absl::StatusOr<DuplicationKey> Create(absl::string_view parameter,
                                               absl::string_view secret_header = "");

  bool empty() const { return paths_.empty(); }
  std::span<const JsonPath> paths() const { return paths_; }

 private:
  std::vector<JsonPath> paths_;
};

// Finds the keys of incidents. Keeps its buffers from incident to incident. Not thread-safe.
class DeliveryKeyFinder {
 public:
  // Details are nested at most max_depth deep. Keys longer than most_bytes (64 at least) become
  // their SHA-256 in hexadecimal digits.
  DeliveryKeyFinder(int max_depth, size_t most_bytes);

  // `path:value` of the first path that has a value in `details`, the slices of one JSON object;
  // empty where none has. An empty value (null, {}, [], "", 0, false) counts as absent. Strings
  // count by what they stand for, other values by their bytes. Valid until the next call.
  absl::string_view Find(const DuplicationKey& key, std::span<const absl::string_view> details);

  // Gives back what a large incident has taken.
  void ReleaseLarge();

 private:
  void SetKey(absl::string_view path, const JsonValue& value);

  JsonReader reader_;
  const size_t most_bytes_;
  std::string text_;  // the details in one piece, and padding
  std::string key_;
  std::vector<JsonValue> values_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DUPLICATION_KEY_H_
