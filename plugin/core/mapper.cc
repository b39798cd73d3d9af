#include "plugin/core/mapper.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"

namespace webhook::core {
namespace {

constexpr int kDepth = 128;
constexpr size_t kMostShownBytes = 100;

// A JSON text with its padding, and a reader at its start.
class OpenText {
 public:
  explicit OpenText(absl::string_view json, int depth = kDepth)
      : size_(json.size()),
        padded_(absl::StrCat(json, std::string(base::JsonReader::kPadding, ' '))),
        reader_(depth) {}

  bool Open() { return reader_.Open({padded_.data(), size_}); }
  base::JsonReader& reader() { return reader_; }

 private:
  const size_t size_;
  const std::string padded_;
  base::JsonReader reader_;
};

absl::Status Refusal(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("mapper: ", why));
}

absl::Status NotJson(const base::JsonReader& reader) {
  return Refusal(absl::StrCat("byte ", reader.fault().byte, ": ", reader.fault().what));
}

}  // namespace

// Reads a mapper. Its messages tell the place.
class MapperReader {
 public:
  explicit MapperReader(size_t most_targets) : most_targets_(most_targets) {}

  absl::StatusOr<Mapper> Arguments(absl::string_view arguments) {
    OpenText text(arguments);
    base::JsonReader& reader = text.reader();
    if (!text.Open() || !reader.EnterObject()) return NotJson(reader);
    base::JsonValue key;
    base::JsonValue value;
    bool given = false;
    Mapper mapper;
    base::JsonNext next = reader.NextMember(key);
    for (; next == base::JsonNext::kItem; next = reader.NextMember(key)) {
      if (!reader.ReadValue(value)) return NotJson(reader);
      if (base::TextOfString(key) != "mapper") continue;
      if (given) return Refusal("is given twice");
      given = true;
      const std::string object(value.kind == base::JsonKind::kString ? base::TextOfString(value)
                                                                     : std::string(value.text));
      if (absl::Status status = Targets(object, mapper); !status.ok()) return status;
    }
    if (next == base::JsonNext::kFault || !reader.Finish()) return NotJson(reader);
    if (!given) return Refusal("is missing");
    return mapper;
  }

 private:
  absl::Status Targets(absl::string_view object, Mapper& mapper) {
    OpenText text(object);
    base::JsonReader& reader = text.reader();
    if (!text.Open()) return NotJson(reader);
    if (reader.Peek() != '{') return Refusal("must be an object of target fields");
    base::JsonValue key;
    std::set<std::string> names;
    base::JsonNext next = reader.EnterObject() ? reader.NextMember(key) : base::JsonNext::kFault;
    for (; next == base::JsonNext::kItem; next = reader.NextMember(key)) {
      Mapper::Target target{base::TextOfString(key), {}, {}};
      if (!names.insert(target.name).second) return TargetRefusal(target, "is given twice");
      if (names.size() > most_targets_) {
        return Refusal(absl::StrCat("has more than ", most_targets_, " targets"));
      }
      if (absl::Status status = Target(reader, target); !status.ok()) return status;
      mapper.targets_.push_back(std::move(target));
    }
    if (next == base::JsonNext::kFault || !reader.Finish()) return NotJson(reader);
    return absl::OkStatus();
  }

  absl::Status Target(base::JsonReader& reader, Mapper::Target& target) {
    if (reader.Peek() != '{') {
      base::JsonValue path;
      if (!reader.ReadValue(path)) return NotJson(reader);
      if (path.kind == base::JsonKind::kString) return Path(path, target);
      return TargetRefusal(target, "must be a path, or an object with path and default");
    }
    base::JsonValue key;
    base::JsonValue value;
    base::JsonNext next = reader.EnterObject() ? reader.NextMember(key) : base::JsonNext::kFault;
    for (; next == base::JsonNext::kItem; next = reader.NextMember(key)) {
      if (!reader.ReadValue(value)) return NotJson(reader);
      const std::string name = base::TextOfString(key);
      if (name == "default") {
        target.default_json = std::string(value.text);
      } else if (name != "path") {
        return TargetRefusal(target, "takes path and default, and nothing else");
      } else if (absl::Status status = Path(value, target); !status.ok()) {
        return status;
      }
    }
    if (next == base::JsonNext::kFault) return NotJson(reader);
    if (!target.path.has_value()) return TargetRefusal(target, "path is missing");
    return absl::OkStatus();
  }

  static absl::Status Path(const base::JsonValue& value, Mapper::Target& target) {
    if (value.kind != base::JsonKind::kString)
      return TargetRefusal(target, "path must be a string");
    absl::StatusOr<JsonPath> path = JsonPath::Parse(base::TextOfString(value));
    if (!path.ok()) return TargetRefusal(target, absl::StrCat("path: ", path.status().message()));
    target.path = *std::move(path);
    return absl::OkStatus();
  }

  static absl::Status TargetRefusal(const Mapper::Target& target, absl::string_view why) {
    // Written as JSON, so that the message stays on one line whatever the name contains.
    std::string shown;
    base::AppendJsonString(&shown, target.name);
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
  std::vector<base::JsonValue> values;
  for (const SharedSample& sample : samples) {
    OpenText text(sample->raw_json, base::JsonReader::kMostDepth);
    const bool readable = !sample->truncated && text.Open();
    absl::StrAppend(&result, result.size() > 1 ? ",{" : "{");
    bool first = true;
    for (const Target& target : targets_) {
      values.clear();
      if (readable) text.reader().Rewind();
      if (readable && !target.path->Collect(text.reader(), values)) values.clear();
      const bool one = target.path->names_one_value();
      const bool absent = values.empty() || (one && values.front().kind == base::JsonKind::kNull);
      if (absent && target.default_json.empty()) continue;
      if (!std::exchange(first, false)) result.push_back(',');
      base::AppendJsonString(&result, target.name);
      if (absent || one) {
        absl::StrAppend(&result, ":", absent ? target.default_json : values.front().text);
      } else {
        char before = '[';
        result.push_back(':');
        for (const base::JsonValue& value : values) {
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
