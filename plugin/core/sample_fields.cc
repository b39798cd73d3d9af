#include "plugin/core/sample_fields.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "plugin/core/json_path.h"
#include "plugin/core/json_reader.h"
#include "plugin/core/json_text.h"

namespace webhook::core {
namespace {

// Longer ones would make the list quadratic in the size of a sample.
constexpr size_t kMostPathBytes = 1024;
constexpr size_t kMostExampleBytes = 100;

enum Type : uint8_t { kNull, kBoolean, kNumber, kString, kObject, kArray, kTypes };
constexpr const char* kTypeNames[kTypes] = {"null",   "boolean", "number",
                                            "string", "object",  "array"};

Type TypeOf(JsonKind kind) {
  switch (kind) {
    case JsonKind::kObject:
      return kObject;
    case JsonKind::kArray:
      return kArray;
    case JsonKind::kString:
      return kString;
    case JsonKind::kNumber:
      return kNumber;
    case JsonKind::kTrue:
    case JsonKind::kFalse:
      return kBoolean;
    case JsonKind::kNull:
      return kNull;
  }
  return kNull;
}

std::string Example(absl::string_view text) {
  if (text.size() <= kMostExampleBytes) return std::string(text);
  size_t end = kMostExampleBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), "...");
}

class FieldCollector {
 public:
  explicit FieldCollector(size_t most_fields) : most_fields_(most_fields) {}

  void Read(absl::string_view json) {
    ++sample_;
    padded_.assign(json.data(), json.size());
    padded_.append(JsonReader::kPadding, ' ');
    if (reader_.Open({padded_.data(), json.size()})) Walk();
  }

  std::string ToJson() const {
    std::string json = "[";
    for (const auto& [path, field] : fields_) {
      absl::StrAppend(&json, json.size() > 1 ? "," : "", "{\"path\":");
      AppendJsonString(&json, path);
      const char* before = ",\"types\":[\"";
      for (int type = 0; type < kTypes; ++type) {
        if ((field.types >> type & 1) == 0) continue;
        absl::StrAppend(&json, before, kTypeNames[type], "\"");
        before = ",\"";
      }
      json += "],\"example\":";
      AppendJsonString(&json, field.example);
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

  // The value that comes next, which stands at path_. Recursive: the reader bounds the depth.
  bool Walk() {
    const char* const begin = reader_.position();
    JsonValue value;
    if (reader_.Peek() == '{') {
      if (!WalkMembers()) return false;
      value.kind = JsonKind::kObject;
    } else if (reader_.Peek() == '[') {
      if (!WalkItems()) return false;
      value.kind = JsonKind::kArray;
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
    JsonValue key;
    JsonNext next = reader_.EnterObject() ? reader_.NextMember(key) : JsonNext::kFault;
    for (; next == JsonNext::kItem; next = reader_.NextMember(key)) {
      AppendPathName(&path_, TextOfString(key));
      const bool good = WalkWithinBounds();
      path_.resize(before);
      if (!good) return false;
    }
    return next == JsonNext::kEnd;
  }

  bool WalkItems() {
    const size_t before = path_.size();
    path_ += "[]";
    JsonNext next = reader_.EnterArray() ? reader_.NextItem() : JsonNext::kFault;
    for (; next == JsonNext::kItem; next = reader_.NextItem()) {
      if (!WalkWithinBounds()) return false;
    }
    path_.resize(before);
    return next == JsonNext::kEnd;
  }

  bool WalkWithinBounds() {
    JsonValue skipped;
    return path_.size() > kMostPathBytes ? reader_.ReadValue(skipped) : Walk();
  }

  void Note(JsonKind kind, absl::string_view text) {
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
  JsonReader reader_{JsonReader::kMostDepth};
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
