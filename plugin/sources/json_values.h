// Finds the values of many paths in one pass over a JSON text.
#ifndef PLUGIN_SOURCES_JSON_VALUES_H_
#define PLUGIN_SOURCES_JSON_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/base/json_reader.h"

namespace webhook::sources {

// What a path has found. The views are into the text that was walked.
struct FoundValue {
  base::JsonValue value;
  base::JsonReader::Place place;  // of the value
  const char* key = nullptr;      // where the member's name begins; null for an element or the root
  uint32_t walk = 0;              // in which it was found
  // An object with members, and none of a name that core may write itself. False where that was not
  // looked for.
  bool plain = false;
};

// What the paths have found in one text or element, by slot. Used again for the next one without
// being cleared.
class FoundValues {
 public:
  // Null where there is nothing at the path.
  const FoundValue* At(uint32_t slot) const {
    return slot < values_.size() && values_[slot].walk == walk_ ? &values_[slot] : nullptr;
  }
  // Nothing is found in `slots` slots.
  void Clear(size_t slots) {
    if (values_.size() < slots || ++walk_ == 0) {
      values_.assign(slots, FoundValue());
      walk_ = 1;
    }
  }

 private:
  friend class JsonPaths;
  std::vector<FoundValue> values_;
  uint32_t walk_ = 1;
};

// Paths as profiles write them: names joined by dots, `[0]` an element, `\.` a dot inside a name,
// `$` the whole. Immutable while values are looked for.
class JsonPaths {
 public:
  static constexpr size_t kMostSteps = 32;

  JsonPaths() : nodes_(1) {}

  // The slot in which Walk stores the value of that path; the same for the same path.
  // INVALID_ARGUMENT where it is malformed.
  absl::StatusOr<uint32_t> Add(absl::string_view path);

  size_t slots() const { return slots_; }

  // Reads the value that comes next, whole, and fills `found`. Of a repeated name the last counts.
  // False if the text is faulty: the reader has the fault.
  bool Walk(base::JsonReader& reader, FoundValues& found) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    std::vector<std::pair<std::string, uint32_t>> names;
    std::vector<std::pair<uint32_t, uint32_t>> elements;  // by index
    uint64_t marks = 0;                                   // MarkOf of each name
    uint32_t slot = kNone;
  };

  // One bit: most members of a body are told from all names by it.
  static uint64_t MarkOf(absl::string_view name) {
    const size_t first = name.empty() ? 0 : static_cast<unsigned char>(name[0]);
    return uint64_t{1} << ((name.size() + first) % 64);
  }

  uint32_t Child(uint32_t node, absl::string_view name, uint32_t index, bool is_element);
  uint32_t ChildOf(const Node& node, const base::JsonValue& key) const;
  bool WalkNode(uint32_t node, base::JsonReader& reader, const char* key, FoundValues& found) const;
  void Forget(uint32_t node, FoundValues& found) const;

  std::vector<Node> nodes_;  // the first is the root
  size_t slots_ = 0;
};

}  // namespace webhook::sources

#endif  // PLUGIN_SOURCES_JSON_VALUES_H_
