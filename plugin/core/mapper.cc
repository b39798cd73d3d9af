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
    base::JsonReader reader(kDepth);
    base::JsonValue value;
    absl::Status refusal;
    bool given = false;
    Mapper mapper;
    const auto read = [&](const base::JsonValue& key) {
      if (!reader.ReadValue(value)) return false;
      if (base::TextOfString(key) != "mapper") return true;
      if (std::exchange(given, true)) {
        refusal = Refusal("is given twice");
      } else {
        refusal = Targets(value.kind == base::JsonKind::kString ? base::TextOfString(value)
                                                                : std::string(value.text),
                          mapper);
      }
      return refusal.ok();
    };
    const bool good = reader.OpenCopy(arguments) && reader.EachMember(read) && reader.Finish();
    if (!refusal.ok()) return refusal;
    if (!good) return NotJson(reader);
    if (!given) return Refusal("is missing");
    return mapper;
  }

 private:
  absl::Status Targets(absl::string_view object, Mapper& mapper) {
    base::JsonReader reader(kDepth);
    absl::Status refusal;
    std::set<std::string> names;
    const auto read = [&](const base::JsonValue& key) {
      Mapper::Target target{base::TextOfString(key), {}, {}};
      if (!names.insert(target.name).second) {
        refusal = TargetRefusal(target, "is given twice");
      } else if (names.size() > most_targets_) {
        refusal = Refusal(absl::StrCat("has more than ", most_targets_, " targets"));
      } else {
        refusal = Target(reader, target);
      }
      mapper.targets_.push_back(std::move(target));
      return refusal.ok();
    };
    if (!reader.OpenCopy(object)) return NotJson(reader);
    if (reader.Peek() != '{') return Refusal("must be an object of target fields");
    const bool good = reader.EachMember(read) && reader.Finish();
    if (!refusal.ok()) return refusal;
    return good ? absl::OkStatus() : NotJson(reader);
  }

  absl::Status Target(base::JsonReader& reader, Mapper::Target& target) {
    base::JsonValue value;
    if (reader.Peek() != '{') {
      if (!reader.ReadValue(value)) return NotJson(reader);
      if (value.kind == base::JsonKind::kString) return Path(value, target);
      return TargetRefusal(target, "must be a path, or an object with path and default");
    }
    absl::Status refusal;
    const bool good = reader.EachMember([&](const base::JsonValue& key) {
      if (!reader.ReadValue(value)) return false;
      const std::string name = base::TextOfString(key);
      if (name == "default") {
        target.default_json = std::string(value.text);
      } else if (name == "path") {
        refusal = Path(value, target);
      } else {
        refusal = TargetRefusal(target, "takes path and default, and nothing else");
      }
      return refusal.ok();
    });
    if (!refusal.ok()) return refusal;
    if (!good) return NotJson(reader);
    if (!target.path.has_value()) return TargetRefusal(target, "path is missing");
    return absl::OkStatus();
  }

  static absl::Status Path(const base::JsonValue& value, Mapper::Target& target) {
    if (value.kind != base::JsonKind::kString)
      return TargetRefusal(target, "path must be a string");
    absl::StatusOr<base::JsonPath> path = base::JsonPath::Parse(base::TextOfString(value));
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
  base::JsonReader reader(base::JsonReader::kMostDepth, /*lone_surrogates=*/true);
  std::string result = "[";
  std::vector<base::JsonValue> values;
  for (const SharedSample& sample : samples) {
    const bool readable = !sample->truncated && reader.OpenCopy(sample->raw_json);
    absl::StrAppend(&result, result.size() > 1 ? ",{" : "{");
    bool first = true;
    for (const Target& target : targets_) {
      values.clear();
      if (readable) reader.Rewind();
      if (readable && !target.path->Collect(reader, values)) values.clear();
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
