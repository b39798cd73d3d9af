#include "plugin/core/samples.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/json_path.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"

namespace webhook::core {
namespace {

// Enough for the array, an object in it, and scalars.
constexpr int kDepth = 4;

size_t HashOf(const Sample& sample) {
  const auto hash = [](const std::string& text) { return std::hash<std::string_view>()(text); };
  return (hash(sample.name) * 31 + hash(sample.type)) * 31 + hash(sample.raw_json);
}

bool IsRepeat(const Sample& a, const Sample& b) {
  return a.hash == b.hash && a.truncated == b.truncated && a.name == b.name && a.type == b.type &&
         a.raw_json == b.raw_json;
}

// Appends whole characters of `text` until `out` has `most` bytes. False if not all of it fits.
bool AppendUpTo(size_t most, absl::string_view text, std::string& out) {
  const absl::string_view fits = base::CutAtCharacter(text, most - out.size());
  out.append(fits.data(), fits.size());
  return fits.size() == text.size();
}

void AppendSample(std::string* out, const Sample& sample) {
  out->append("{\"name\":");
  base::AppendJsonString(out, sample.name);
  out->append(",\"type\":");
  base::AppendJsonString(out, sample.type);
  out->append(",\"occurred\":");
  base::AppendJsonString(out, sample.occurred);
  out->append(",\"rawJSON\":");
  base::AppendJsonString(out, sample.raw_json);
  out->append(sample.truncated ? ",\"truncated\":true}" : ",\"truncated\":false}");
}

bool ReadSample(base::JsonReader& reader, Sample& sample) {
  const bool good = reader.EachMember([&](const base::JsonValue& key) {
    base::JsonValue value;
    if (!reader.ReadValue(value)) return false;
    const std::string name = base::TextOfString(key);
    if (name == "truncated") sample.truncated = value.kind == base::JsonKind::kTrue;
    if (value.kind != base::JsonKind::kString) return true;
    if (name == "name") sample.name = base::TextOfString(value);
    if (name == "type") sample.type = base::TextOfString(value);
    if (name == "occurred") sample.occurred = base::TextOfString(value);
    if (name == "rawJSON") sample.raw_json = base::TextOfString(value);
    return true;
  });
  sample.hash = HashOf(sample);
  return good;
}

// What follows is the list of fields. Longer paths would make it quadratic in the size of a sample.
constexpr size_t kMostPathBytes = 1024;
constexpr size_t kMostExampleBytes = 100;

constexpr struct {
  base::JsonKind kind;
  const char* name;
} kTypes[] = {{base::JsonKind::kNull, "null"},     {base::JsonKind::kTrue, "boolean"},
              {base::JsonKind::kNumber, "number"}, {base::JsonKind::kString, "string"},
              {base::JsonKind::kObject, "object"}, {base::JsonKind::kArray, "array"}};

// The place in kTypes, as a bit.
unsigned BitOf(base::JsonKind kind) {
  if (kind == base::JsonKind::kFalse) kind = base::JsonKind::kTrue;
  unsigned bit = 1;
  for (const auto& type : kTypes) {
    if (type.kind == kind) break;
    bit <<= 1;
  }
  return bit;
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
    if (reader_.OpenCopy(json)) Walk();
  }

  std::string ToJson() const {
    std::string json = "[";
    for (const auto& [path, field] : fields_) {
      absl::StrAppend(&json, json.size() > 1 ? "," : "", "{\"path\":");
      base::AppendJsonString(&json, path);
      const char* before = ",\"types\":[\"";
      for (const auto& type : kTypes) {
        if ((field.types & BitOf(type.kind)) == 0) continue;
        absl::StrAppend(&json, before, type.name, "\"");
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
    unsigned types = 0;  // of BitOf
    int count = 0;
    int last_sample = 0;
    std::string example;
  };

  // Walks the value that comes next, which is at path_. Recursive; the reader bounds the depth.
  bool Walk() {
    const char* const begin = reader_.position();
    const base::JsonKind kind = base::KindOf(reader_.Peek());
    const size_t before = path_.size();
    bool good = false;
    if (kind == base::JsonKind::kObject) {
      good = reader_.EachMember([&](const base::JsonValue& key) {
        base::AppendPathName(&path_, base::TextOfString(key));
        const bool walked = WalkWithinBounds();
        path_.resize(before);
        return walked;
      });
    } else if (kind == base::JsonKind::kArray) {
      path_ += "[]";
      good = reader_.EachItem([this] { return WalkWithinBounds(); });
      path_.resize(before);
    } else {
      base::JsonValue value;
      good = reader_.ReadValue(value);
      if (good) Note(kind, value.text);
      return good;
    }
    if (good) Note(kind, {begin, static_cast<size_t>(reader_.bracket_end() - begin)});
    return good;
  }

  bool WalkWithinBounds() { return path_.size() > kMostPathBytes ? reader_.SkipValue() : Walk(); }

  void Note(base::JsonKind kind, absl::string_view text) {
    if (path_.empty()) return;  // the sample itself
    auto found = fields_.find(path_);
    if (found == fields_.end()) {
      if (fields_.size() == most_fields_) return;
      found = fields_.emplace(path_, Field()).first;
    }
    Field& field = found->second;
    const bool only_null = field.types == BitOf(base::JsonKind::kNull);
    if (field.example.empty() || only_null) field.example = Example(text);
    field.types |= BitOf(kind);
    if (field.last_sample != sample_) ++field.count;
    field.last_sample = sample_;
  }

  const size_t most_fields_;
  base::JsonReader reader_{base::JsonReader::kMostDepth, /*lone_surrogates=*/true};
  std::string path_;
  int sample_ = 0;
  std::map<std::string, Field> fields_;
};

}  // namespace

SharedSample MakeSample(absl::string_view name, absl::string_view type, absl::string_view occurred,
                        std::span<const absl::string_view> details, size_t most_bytes) {
  auto sample = std::make_shared<Sample>();
  sample->name = std::string(name);
  sample->type = std::string(type);
  sample->occurred = std::string(occurred);
  size_t bytes = 0;
  for (const absl::string_view slice : details) bytes += slice.size();
  sample->raw_json.reserve(std::min(bytes, most_bytes));
  for (const absl::string_view slice : details) {
    if (AppendUpTo(most_bytes, slice, sample->raw_json)) continue;
    sample->truncated = true;
    break;
  }
  sample->hash = HashOf(*sample);
  return sample;
}

std::vector<SharedSample>::iterator SampleSet::Find(const Sample& sample) {
  return std::find_if(samples_.begin(), samples_.end(),
                      [&](const SharedSample& one) { return IsRepeat(*one, sample); });
}

void SampleSet::Add(SharedSample newest) {
  const auto repeat = Find(*newest);
  if (repeat != samples_.end()) {
    samples_.erase(repeat);
  } else if (samples_.size() == most_) {
    samples_.pop_back();
  }
  samples_.insert(samples_.begin(), std::move(newest));
}

void SampleSet::AddOldest(SharedSample oldest) {
  if (samples_.size() < most_ && Find(*oldest) == samples_.end()) {
    samples_.push_back(std::move(oldest));
  }
}

std::string WriteSamples(std::span<const SharedSample> newest_first, size_t most_bytes) {
  std::string json = "[";
  for (const SharedSample& sample : newest_first) {
    const size_t before = json.size();
    if (before > 1) json.push_back(',');
    AppendSample(&json, *sample);
    if (json.size() < most_bytes) continue;
    json.resize(before);
    break;
  }
  json.push_back(']');
  return json;
}

absl::StatusOr<std::vector<SharedSample>> ReadSamples(absl::string_view json) {
  std::vector<SharedSample> samples;
  base::JsonReader reader(kDepth);
  const auto read = [&] {
    auto sample = std::make_shared<Sample>();
    const bool good = ReadSample(reader, *sample);
    samples.push_back(std::move(sample));
    return good;
  };
  if (reader.OpenCopy(json) && reader.EachItem(read) && reader.Finish()) return samples;
  return absl::InvalidArgumentError(
      absl::StrCat("no list of samples: byte ", reader.fault().byte, ": ", reader.fault().what));
}

std::string ListFields(std::span<const SharedSample> samples, size_t most_fields) {
  FieldCollector collector(most_fields);
  for (const SharedSample& sample : samples) {
    if (!sample->truncated) collector.Read(sample->raw_json);
  }
  return collector.ToJson();
}

}  // namespace webhook::core
