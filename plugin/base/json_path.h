// The place of a value in a JSON object, as people write it: `headers.x-request-id`,
// `items[0].user.id`, `items[].user.id`, `["a name with . or , in it"].id`.
#ifndef PLUGIN_BASE_JSON_PATH_H_
#define PLUGIN_BASE_JSON_PATH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/base/json_reader.h"

namespace base {

// Immutable once parsed.
class JsonPath {
 public:
  // Names are joined by dots. `[N]` or `.N` is an element of an array, counted from 0; `[]` is each
  // element. A name that contains . , [ ] or ", or begins or ends with a blank, is written in
  // brackets as a JSON string. A `$.` in front, as in JSONPath, means nothing. Where there is no
  // `a` with a `b` in it, a.b is also the member "a.b". INVALID_ARGUMENT tells the place.
  static absl::StatusOr<JsonPath> Parse(absl::string_view text);

  // The path in front of an `end` that stands in no quotes. Takes both from the front of `text`.
  static absl::StatusOr<JsonPath> ParseUpTo(char end, absl::string_view& text);

  // Alternatives, separated by commas, each of one path or of several that are joined by `+`. There
  // may be blanks around both. Here a name that contains a + is written in brackets, too.
  static absl::StatusOr<std::vector<std::vector<JsonPath>>> ParseList(absl::string_view text);

  absl::string_view text() const { return text_; }

  // False if the path has a `[]` and may therefore name any number of values.
  bool names_one_value() const;

  // Of the member where it begins; empty where it begins with an element of an array.
  absl::string_view first_name() const { return steps_[0].name; }
  // Whether it leads to the request's headers, or into them.
  bool is_of_headers() const { return first_name() == "headers"; }

  // Header names are stored in lower case, so `headers.X-Id` means `headers.x-id`. Returns that
  // name, x-id; empty for a path that does not lead into the headers.
  absl::string_view LowerCaseHeaderName();

  // Reads the value that comes next, whole, and appends the values at this path in their order. It
  // is not an error if there are none. Of a repeated key the last counts. False if the text is
  // faulty: the reader has the fault.
  bool Collect(JsonReader& reader, std::vector<JsonValue>& values) const {
    return CollectFrom(0, reader, values);
  }

 private:
  friend class JsonPathParser;
  enum class StepKind { kName, kIndex, kEach };
  struct Step {
    StepKind kind;
    std::string name;
    uint32_t index = 0;
    bool may_be_index = false;  // a name of digits without quotes: an element, if it is an array
  };

  JsonPath() = default;
  bool CollectFrom(size_t depth, JsonReader& reader, std::vector<JsonValue>& values) const;
  bool CollectFromObject(size_t depth, JsonReader& reader, std::vector<JsonValue>& values) const;
  size_t EndOfFlattened(size_t depth, const JsonValue& key) const;

  std::string text_;
  std::vector<Step> steps_;
};

// Appends a member's name to a path, in brackets if it needs them.
void AppendPathName(std::string* path, absl::string_view name);

}  // namespace base

#endif  // PLUGIN_BASE_JSON_PATH_H_
