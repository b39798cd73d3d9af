#include "plugin/core/mapper.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugin/core/json_reader.h"
#include "plugin/core/json_text.h"

namespace webhook::core {
namespace {

constexpr int kDepth = 128;
constexpr size_t kMostShownBytes = 100;

// A JSON text with its padding, and a reader at its start.
class OpenText {
 public:
  explicit OpenText(absl::string_view json, int depth = kDepth)
      : size_(json.size()),
        padded_(absl::StrCat(json, std::string(JsonReader::kPadding, ' '))),
        reader_(depth) {}

  bool Open() { return reader_.Open({padded_.data(), size_}); }
  JsonReader& reader() { return reader_; }

 private:
  const size_t size_;
  const std::string padded_;
  JsonReader reader_;
};

absl::Status Refusal(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("mapper: ", why));
}

absl::Status NotJson(const JsonReader& reader) {
  return Refusal(absl::StrCat("byte ", reader.fault().byte, ": ", reader.fault().what));
}

}  // namespace

// Reads a mapper, with the place for its messages.
class MapperReader {
 public:
  explicit MapperReader(size_t most_targets) : most_targets_(most_targets) {}

  absl::StatusOr<Mapper> Arguments(absl::string_view arguments) {
    OpenText text(arguments);
    JsonReader& reader = text.reader();
    if (!text.Open() || !reader.EnterObject()) return NotJson(reader);
    JsonValue key;
    JsonValue value;
    bool given = false;
    Mapper mapper;
    JsonNext next = reader.NextMember(key);
    for (; next == JsonNext::kItem; next = reader.NextMember(key)) {
      if (!reader.ReadValue(value)) return NotJson(reader);
      if (TextOfString(key) != "mapper") continue;
      if (given) return Refusal("is given twice");
      given = true;
      const std::string object(value.kind == JsonKind::kString ? TextOfString(value)
                                                               : std::string(value.text));
      if (absl::Status status = Targets(object, mapper); !status.ok()) return status;
    }
    if (next == JsonNext::kFault || !reader.Finish()) return NotJson(reader);
    if (!given) return Refusal("is missing");
    return mapper;
  }

 private:
  absl::Status Targets(absl::string_view object, Mapper& mapper) {
    OpenText text(object);
    JsonReader& reader = text.reader();
    if (!text.Open()) return NotJson(reader);
    if (reader.Peek() != '{') return Refusal("must be an object of target fields");
    JsonValue key;
    std::set<std::string> names;
    JsonNext next = reader.EnterObject() ? reader.NextMember(key) : JsonNext::kFault;
    for (; next == JsonNext::kItem; next = reader.NextMember(key)) {
      Mapper::Target target{TextOfString(key), {}, {}};
      if (!names.insert(target.name).second) return TargetRefusal(target, "is given twice");
      if (names.size() > most_targets_) {
        return Refusal(absl::StrCat("has more than ", most_targets_, " targets"));
      }
      if (absl::Status status = Target(reader, target); !status.ok()) return status;
      mapper.targets_.push_back(std::move(target));
    }
    if (next == JsonNext::kFault || !reader.Finish()) return NotJson(reader);
    return absl::OkStatus();
  }

  absl::Status Target(JsonReader& reader, Mapper::Target& target) {
    if (reader.Peek() != '{') {
      JsonValue path;
      if (!reader.ReadValue(path)) return NotJson(reader);
      if (path.kind == JsonKind::kString) return Path(path, target);
      return TargetRefusal(target, "must be a path, or an object with path and default");
    }
    JsonValue key;
    JsonValue value;
    JsonNext next = reader.EnterObject() ? reader.NextMember(key) : JsonNext::kFault;
    for (; next == JsonNext::kItem; next = reader.NextMember(key)) {
      if (!reader.ReadValue(value)) return NotJson(reader);
      const std::string name = TextOfString(key);
      if (name == "default") {
        target.default_json = std::string(value.text);
      } else if (name != "path") {
        return TargetRefusal(target, "takes path and default, and nothing else");
      } else if (absl::Status status = Path(value, target); !status.ok()) {
        return status;
      }
    }
    if (next == JsonNext::kFault) return NotJson(reader);
    if (!target.path.has_value()) return TargetRefusal(target, "path is missing");
    return absl::OkStatus();
  }

  static absl::Status Path(const JsonValue& value, Mapper::Target& target) {
    if (value.kind != JsonKind::kString) return TargetRefusal(target, "path must be a string");
    absl::StatusOr<JsonPath> path = JsonPath::Parse(TextOfString(value));
    if (!path.ok()) return TargetRefusal(target, absl::StrCat("path: ", path.status().message()));
    target.path = *std::move(path);
    return absl::OkStatus();
  }

  static absl::Status TargetRefusal(const Mapper::Target& target, absl::string_view why) {
    // As JSON, so that a line break in a name does not break the line.
    std::string shown;
    AppendJsonString(&shown, target.name);
    if (shown.size() > kMostShownBytes) shown = "with a very long name";
    return Refusal(absl::StrCat("target ", shown, ": ", why));
  }

  const size_t most_targets_;
};

absl::StatusOr<Mapper> Mapper::Parse(absl::string_view arguments, size_t most_targets) {
  return MapperReader(most_targets).Arguments(arguments);
}

absl::StatusOr<std::string> Mapper::Map(std::span<const SharedSample> samples,
                                        size_t most_bytes) const {
  std::string result = "[";
  std::vector<JsonValue> values;
  for (const SharedSample& sample : samples) {
    OpenText text(sample->raw_json, JsonReader::kMostDepth);
    const bool readable = !sample->truncated && text.Open();
    absl::StrAppend(&result, result.size() > 1 ? ",{" : "{");
    bool first = true;
    for (const Target& target : targets_) {
      values.clear();
      if (readable) text.reader().Rewind();
      if (readable && !target.path->Collect(text.reader(), values)) values.clear();
      const bool one = target.path->names_one_value();
      const bool absent = values.empty() || (one && values.front().kind == JsonKind::kNull);
      if (absent && target.default_json.empty()) continue;
      if (!std::exchange(first, false)) result.push_back(',');
      AppendJsonString(&result, target.name);
      if (absent || one) {
        absl::StrAppend(&result, ":", absent ? target.default_json : values.front().text);
      } else {
        char before = '[';
        result.push_back(':');
        for (const JsonValue& value : values) {
          result.push_back(std::exchange(before, ','));
          absl::StrAppend(&result, value.text);
        }
        result.push_back(']');
      }
      if (result.size() > most_bytes) {
        return absl::ResourceExhaustedError(
            absl::StrCat("the mapped samples are longer than ", most_bytes, " bytes"));
      }
    }
    result.push_back('}');
  }
  result.push_back(']');
  return result;
}

}  // namespace webhook::core
