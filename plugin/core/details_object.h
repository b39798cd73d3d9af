// An object of the body that may become an incident's details, and the slices that it becomes.
// Internal to IncidentParser.
#ifndef PLUGIN_CORE_DETAILS_OBJECT_H_
#define PLUGIN_CORE_DETAILS_OBJECT_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/core/arena.h"
#include "plugin/core/json_reader.h"

namespace webhook::core {

// The key as it is meant, where it is short enough to be one that we know: an escaped key is
// unescaped into `buffer`. Longer ones are empty, as no key that we know is.
class KnownKey {
 public:
  explicit KnownKey(const JsonValue& key);
  absl::string_view text() const { return text_; }

 private:
  // Of `body_headers_` and ten digits, each written as \u0000.
  static constexpr size_t kMostEscapedBytes = 23 * 6;

  char buffer_[kMostEscapedBytes];
  absl::string_view text_;
};

// Reused from object to object, so that nothing is allocated once it is warm.
class DetailsObject {
 public:
  void Clear();

  // Told of each key of the object, with its place in the text.
  void NoteKey(const KnownKey& known, const JsonValue& key);

  void SetText(absl::string_view text) { text_ = text; }
  bool empty() const { return empty_; }

  // Appends slices that are this object and, as its last member, `headers`. `tail` is the text
  // `,"headers":{...}}`. A member of its own with that key stays, under a key that is free:
  // body_headers, body_headers_2 and so on; every other byte is as it was.
  void AppendSlices(absl::string_view tail, Arena& arena, std::vector<absl::string_view>& slices);

 private:
  absl::string_view FreeKey(Arena& arena);

  absl::string_view text_;
  bool empty_ = true;
  std::vector<absl::string_view> headers_keys_;  // with their quotes
  std::vector<uint32_t> taken_;                  // N of body_headers_N; 1 of body_headers
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DETAILS_OBJECT_H_
