#include <map>

#include "absl/strings/str_cat.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"
#include "plugin/core/json_path.h"
#include "plugin/core/samples.h"

namespace webhook::core {
namespace {

// Longer paths would make the list quadratic in the size of a sample.
constexpr size_t kMostPathBytes = 1024;
constexpr size_t kMostExampleBytes = 100;

enum Type : uint8_t { kNull, kBoolean, kNumber, kString, kObject, kArray, kTypes };
constexpr const char* kTypeNames[kTypes] = {"null",   "boolean", "number",
                                            "string", "object",  "array"};

Type TypeOf(base::JsonKind kind) {
  switch (kind) {
    case base::JsonKind::kObject:
      return kObject;
    case base::JsonKind::kArray:
      return kArray;
    case base::JsonKind::kString:
      return kString;
    case base::JsonKind::kNumber:
      return kNumber;
    case base::JsonKind::kTrue:
    case base::JsonKind::kFalse:
      return kBoolean;
    case base::JsonKind::kNull:
      return kNull;
  }
  return kNull;
}

std::string Example(absl::string_view text) {
  if (text.size() <= kMostExampleBytes) return std::string(text);
  return absl::StrCat(base::CutAtCharacter(text, kMostExampleBytes), "...");
}

class FieldCollector {
 public:
  explicit FieldCollector(size_t most_fields) : most_fields_(most_fields) {}

  void Read(absl::string_view json) {
    ++sample_;
    padded_.assign(json.data(), json.size());
    padded_.append(base::JsonReader::kPadding, ' ');
    if (reader_.Open({padded_.data(), json.size()})) Walk();
  }

  std::string ToJson() const {
    std::string json = "[";
    for (const auto& [path, field] : fields_) {
      absl::StrAppend(&json, json.size() > 1 ? "," : "", "{\"path\":");
      base::AppendJsonString(&json, path);
      const char* before = ",\"types\":[\"";
      for (int type = 0; type < kTypes; ++type) {
        if ((field.types >> type & 1) == 0) continue;
        absl::StrAppend(&json, before, kTypeNames[type], "\"");
        before = ",\"";
      }
      json += "],\"example\":";
      base::AppendJsonString(&json, field.example);
      absl::StrAppend(&json, ",\"count\":", field.count, "}");
    }
    json += "]";
    return json;
  }

 private:
  struct Field {
    uint8_t types = 0;  // a bit for each Type
    int count = 0;
    int last_sample = 0;
    std::string example;
  };

  // Walks the value that comes next, which is at path_. Recursive; the reader bounds the depth.
  bool Walk() {
    const char* const begin = reader_.position();
    base::JsonValue value;
    if (reader_.Peek() == '{') {
      if (!WalkMembers()) return false;
      value.kind = base::JsonKind::kObject;
    } else if (reader_.Peek() == '[') {
      if (!WalkItems()) return false;
      value.kind = base::JsonKind::kArray;
    } else {
      if (!reader_.ReadValue(value)) return false;
      Note(value.kind, value.text);
      return true;
    }
    Note(value.kind, {begin, static_cast<size_t>(reader_.bracket_end() - begin)});
    return true;
  }

  bool WalkMembers() {
    const size_t before = path_.size();
    base::JsonValue key;
    base::JsonNext next = reader_.EnterObject() ? reader_.NextMember(key) : base::JsonNext::kFault;
    for (; next == base::JsonNext::kItem; next = reader_.NextMember(key)) {
      AppendPathName(&path_, base::TextOfString(key));
      const bool good = WalkWithinBounds();
      path_.resize(before);
      if (!good) return false;
    }
    return next == base::JsonNext::kEnd;
  }

  bool WalkItems() {
    const size_t before = path_.size();
    path_ += "[]";
    base::JsonNext next = reader_.EnterArray() ? reader_.NextItem() : base::JsonNext::kFault;
    for (; next == base::JsonNext::kItem; next = reader_.NextItem()) {
      if (!WalkWithinBounds()) return false;
    }
    path_.resize(before);
    return next == base::JsonNext::kEnd;
  }

  bool WalkWithinBounds() {
    base::JsonValue skipped;
    return path_.size() > kMostPathBytes ? reader_.ReadValue(skipped) : Walk();
  }

  void Note(base::JsonKind kind, absl::string_view text) {
    if (path_.empty()) return;  // the sample itself
    auto found = fields_.find(path_);
    if (found == fields_.end()) {
      if (fields_.size() == most_fields_) return;
      found = fields_.emplace(path_, Field()).first;
    }
    Field& field = found->second;
    const Type type = TypeOf(kind);
    if (field.example.empty() || field.types == 1 << kNull) field.example = Example(text);
    field.types = static_cast<uint8_t>(field.types | 1 << type);
    if (field.last_sample != sample_) ++field.count;
    field.last_sample = sample_;
  }

  const size_t most_fields_;
  base::JsonReader reader_{base::JsonReader::kMostDepth};
  std::string padded_;
  std::string path_;
  int sample_ = 0;
  std::map<std::string, Field> fields_;
};

}  // namespace

std::string ListFields(std::span<const SharedSample> samples, size_t most_fields) {
  FieldCollector collector(most_fields);
  for (const SharedSample& sample : samples) {
    if (!sample->truncated) collector.Read(sample->raw_json);
  }
  return collector.ToJson();
}

}  // namespace webhook::core
