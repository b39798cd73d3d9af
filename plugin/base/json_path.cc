#include "plugin/base/json_path.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"

namespace base {
namespace {

// Limits of a path that a person writes. They bound the depth of Collect's recursion.
constexpr size_t kMostSteps = 64;
constexpr size_t kMostBytes = 1024;
constexpr size_t kMostPaths = 32;

bool MustStandInBrackets(absl::string_view name) {
  return name.empty() || name.find_first_of(".,[]+\"\\") != absl::string_view::npos ||
         absl::ascii_isspace(name.front()) || absl::ascii_isspace(name.back());
}

bool IsName(const JsonValue& key, absl::string_view name) {
  return key.escaped ? TextOfString(key) == name : key.inside() == name;
}

}  // namespace

void AppendPathName(std::string* path, absl::string_view name) {
  if (MustStandInBrackets(name)) {
    path->push_back('[');
    AppendJsonString(path, name);
    path->push_back(']');
    return;
  }
  if (!path->empty()) path->push_back('.');
  absl::StrAppend(path, name);
}

// Reads paths from the front of a text, up to a separator or the end.
class JsonPathParser {
 public:
  // `separators`: a comma, and perhaps a plus.
  JsonPathParser(absl::string_view text, absl::string_view separators)
      : text_(text),
        separators_(separators),
        ends_of_a_name_(absl::StrCat(".[]\"\\", separators)) {}

  bool at_end() const { return at_ == text_.size(); }
  absl::string_view rest() const { return text_.substr(at_); }
  bool Skip(char separator) { return !at_end() && text_[at_] == separator && ++at_; }

  absl::StatusOr<JsonPath> Next() {
    SkipBlanks();
    const absl::string_view rest = this->rest();
    const bool is_list = separators_.size() > 1;
    if (is_list && (absl::StartsWith(rest, "/") || absl::StartsWith(rest, "{"))) {
      return Fault("write event.id, not /event/id or {{event.id}}");
    }
    if (absl::StartsWith(rest, "$.") || absl::StartsWith(rest, "$[")) at_ += rest[1] == '.' ? 2 : 1;
    const size_t begin = at_;
    JsonPath path;
    for (bool more = true; more;) {
      if (absl::Status status = Step(path); !status.ok()) return status;
      more = !at_end() && (text_[at_] == '[' || text_[at_] == '.');
      if (more && text_[at_] == '.') ++at_;
    }
    path.text_ = std::string(absl::StripAsciiWhitespace(text_.substr(begin, at_ - begin)));
    SkipBlanks();
    if (!at_end() && !IsSeparator(text_[at_])) return Fault("expected a dot, a bracket or a comma");
    if (path.steps_.size() > kMostSteps || path.text_.size() > kMostBytes) {
      return Fault("the path is too long");
    }
    return path;
  }

 private:
  using Kind = JsonPath::StepKind;

  absl::Status Fault(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("character ", at_ + 1, ": ", what));
  }

  bool IsSeparator(char c) const { return separators_.find(c) != absl::string_view::npos; }

  void SkipBlanks() {
    while (!at_end() && absl::ascii_isspace(text_[at_])) ++at_;
  }

  absl::Status Step(JsonPath& path) {
    if (!at_end() && text_[at_] == '[') return Bracket(path);
    const size_t end = std::min(text_.find_first_of(ends_of_a_name_, at_), text_.size());
    absl::string_view name = text_.substr(at_, end - at_);
    // Blanks before a separator or the end belong to the list, not to the name.
    if (end == text_.size() || IsSeparator(text_[end])) {
      name = absl::StripTrailingAsciiWhitespace(name);
    }
    if (name.empty()) return Fault("expected a name");
    JsonPath::Step& step = path.steps_.emplace_back(JsonPath::Step{Kind::kName, std::string(name)});
    step.may_be_index = path.steps_.size() > 1 && absl::SimpleAtoi(name, &step.index) &&
                        std::all_of(name.begin(), name.end(), IsDigit);
    at_ = end;
    return absl::OkStatus();
  }

  absl::Status Bracket(JsonPath& path) {
    ++at_;
    if (!at_end() && text_[at_] == '"') return QuotedName(path);
    const size_t end = text_.find(']', at_);
    if (end == absl::string_view::npos) return Fault("expected a closing bracket");
    const absl::string_view inside = text_.substr(at_, end - at_);
    uint32_t index = 0;
    const bool digits = std::all_of(inside.begin(), inside.end(), IsDigit);
    if (!inside.empty() && !(digits && absl::SimpleAtoi(inside, &index))) {
      return Fault("in brackets stands nothing, a whole number or a name in quotes");
    }
    path.steps_.push_back({inside.empty() ? Kind::kEach : Kind::kIndex, {}, index});
    at_ = end + 1;
    return absl::OkStatus();
  }

  absl::Status QuotedName(JsonPath& path) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    if (end + 1 >= text_.size() || text_[end + 1] != ']') {
      return Fault("expected a name in quotes and a closing bracket");
    }
    JsonReader reader(1);
    JsonValue value;
    if (!reader.OpenCopy(text_.substr(at_, end + 1 - at_)) || !reader.ReadValue(value)) {
      return Fault("the name in quotes is no JSON string");
    }
    path.steps_.push_back({Kind::kName, TextOfString(value)});
    at_ = end + 2;
    return absl::OkStatus();
  }

  const absl::string_view text_;
  const absl::string_view separators_;
  const std::string ends_of_a_name_;
  size_t at_ = 0;
};

absl::StatusOr<JsonPath> JsonPath::Parse(absl::string_view text) {
  JsonPathParser parser(text, ",");
  absl::StatusOr<JsonPath> path = parser.Next();
  if (path.ok() && !parser.at_end()) {
    return absl::InvalidArgumentError("one path is expected, and not several");
  }
  return path;
}

absl::StatusOr<JsonPath> JsonPath::ParseUpTo(char end, absl::string_view& text) {
  const char separators[] = {',', end};
  JsonPathParser parser(text, absl::string_view(separators, sizeof separators));
  absl::StatusOr<JsonPath> path = parser.Next();
  if (path.ok() && !parser.Skip(end)) {
    return absl::InvalidArgumentError(
        absl::StrCat("one path is expected, and a ", absl::string_view(&end, 1), " behind it"));
  }
  text = parser.rest();
  return path;
}

absl::StatusOr<std::vector<std::vector<JsonPath>>> JsonPath::ParseList(absl::string_view text) {
  std::vector<std::vector<JsonPath>> alternatives;
  JsonPathParser parser(text, ",+");
  size_t paths = 0;
  do {
    std::vector<JsonPath>& joined = alternatives.emplace_back();
    do {
      absl::StatusOr<JsonPath> path = parser.Next();
      if (!path.ok()) return path.status();
      joined.push_back(*std::move(path));
      ++paths;
    } while (parser.Skip('+'));
  } while (parser.Skip(','));
  if (paths > kMostPaths) {
    return absl::InvalidArgumentError(absl::StrCat("at most ", kMostPaths, " paths are taken"));
  }
  return alternatives;
}

bool JsonPath::names_one_value() const {
  return std::none_of(steps_.begin(), steps_.end(),
                      [](const Step& step) { return step.kind == StepKind::kEach; });
}

absl::string_view JsonPath::LowerCaseHeaderName() {
  if (!is_of_headers() || steps_.size() < 2) return {};
  for (size_t i = 1; i < steps_.size(); ++i) absl::AsciiStrToLower(&steps_[i].name);
  return steps_[1].name;
}

bool JsonPath::CollectFrom(size_t depth, JsonReader& reader, std::vector<JsonValue>& values) const {
  if (depth == steps_.size()) return reader.ReadValue(values.emplace_back());
  const Step& step = steps_[depth];
  if (reader.Peek() == '{' && step.kind == StepKind::kName) {
    return CollectFromObject(depth, reader, values);
  }
  if (reader.Peek() != '[' || (step.kind == StepKind::kName && !step.may_be_index)) {
    return reader.SkipValue();
  }
  uint32_t next = 0;
  return reader.EachItem([&] {
    const bool wanted = step.kind == StepKind::kEach || step.index == next++;
    return wanted ? CollectFrom(depth + 1, reader, values) : reader.SkipValue();
  });
}

bool JsonPath::CollectFromObject(size_t depth, JsonReader& reader,
                                 std::vector<JsonValue>& values) const {
  const size_t before = values.size();
  bool flattened = false;  // what was found is the value of a key such as "a.b"
  return reader.EachMember([&](const JsonValue& key) {
    const bool is_name = IsName(key, steps_[depth].name);
    const size_t end = is_name ? depth + 1 : EndOfFlattened(depth, key);
    const size_t start = values.size();
    if (end == 0 || (!is_name && start > before && !flattened)) return reader.SkipValue();
    if (!CollectFrom(end, reader, values)) return false;
    // The values of an earlier member go; but one without any does not hide a flattened key.
    if (values.size() > start || flattened == !is_name) {
      values.erase(values.begin() + static_cast<std::ptrdiff_t>(before),
                   values.begin() + static_cast<std::ptrdiff_t>(start));
      flattened = !is_name;
    }
    return true;
  });
}

// The step behind those that a key such as "a.b" stands for; 0: it stands for none.
size_t JsonPath::EndOfFlattened(size_t depth, const JsonValue& key) const {
  const absl::string_view first = steps_[depth].name;
  // Most keys are told apart by their first octets.
  if (!key.escaped &&
      (key.inside().size() < first.size() + 2 || !absl::StartsWith(key.inside(), first))) {
    return 0;
  }
  const std::string text = TextOfString(key);
  absl::string_view rest = text;
  for (size_t i = depth; i < steps_.size() && steps_[i].kind == StepKind::kName; ++i) {
    if (!absl::ConsumePrefix(&rest, steps_[i].name)) return 0;
    if (rest.empty()) return i > depth ? i + 1 : 0;
    if (!absl::ConsumePrefix(&rest, ".")) return 0;
  }
  return 0;
}

}  // namespace base
