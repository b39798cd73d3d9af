// Where in a JSON object a value stands, as people write it: `headers.x-request-id`,
// `items[0].user.id`, `items[].user.id`, `["a name with . or , in it"].id`.
#ifndef PLUGIN_CORE_JSON_PATH_H_
#define PLUGIN_CORE_JSON_PATH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/json_reader.h"

namespace webhook::core {

// Immutable once parsed.
class JsonPath {
 public:
  // Names are joined by dots; `[N]` is an element of an array, counted from 0, `[]` is each of
  // them; a name that holds one of . , [ ] " or begins or ends with a blank stands in brackets and
  // as a JSON string. INVALID_ARGUMENT tells the place.
  static absl::StatusOr<JsonPath> Parse(absl::string_view text);

  // Several, separated by commas, with blanks around them.
  static absl::StatusOr<std::vector<JsonPath>> ParseList(absl::string_view text);

  absl::string_view text() const { return text_; }

  // False where `[]` makes it name any number of values.
  bool names_one_value() const;

  // Header names are stored in lower case, so `headers.X-Id` means `headers.x-id`.
  void LowerCaseHeaderName();

  // N of a path into the request's headers, headers.N; empty where it is none.
  absl::string_view header_name() const;

  // Appends the values that stand there in the value that comes next, in their order; none is no
  // error. Of a repeated key the last counts. Reads that value whole. False where the text is not
  // what it must be: then the reader has the fault.
  bool Collect(JsonReader& reader, std::vector<JsonValue>& values) const;

 private:
  friend class JsonPathParser;
  enum class StepKind { kName, kIndex, kEach };
  struct Step {
    StepKind kind;
    std::string name;
    uint32_t index = 0;
  };

  JsonPath() = default;
  bool CollectFrom(size_t step, JsonReader& reader, std::vector<JsonValue>& values) const;
  bool CollectMember(size_t step, JsonReader& reader, std::vector<JsonValue>& values) const;
  bool CollectItems(size_t step, JsonReader& reader, std::vector<JsonValue>& values) const;

  std::string text_;
  std::vector<Step> steps_;
};

// Appends a member's name to a path, in brackets where it must stand in them.
void AppendPathName(std::string* path, absl::string_view name);

// The text of a validated string, without its quotes and escapes.
std::string TextOfString(const JsonValue& string);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_JSON_PATH_H_
