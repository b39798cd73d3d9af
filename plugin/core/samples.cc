#include "plugin/core/samples.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"
#include "plugin/core/json_path.h"

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
  base::JsonValue key;
  base::JsonValue value;
  base::JsonNext next = reader.EnterObject() ? reader.NextMember(key) : base::JsonNext::kFault;
  for (; next == base::JsonNext::kItem; next = reader.NextMember(key)) {
    if (!reader.ReadValue(value)) return false;
    const std::string name = base::TextOfString(key);
    if (name == "truncated") sample.truncated = value.kind == base::JsonKind::kTrue;
    if (value.kind != base::JsonKind::kString) continue;
    if (name == "name") sample.name = base::TextOfString(value);
    if (name == "type") sample.type = base::TextOfString(value);
    if (name == "occurred") sample.occurred = base::TextOfString(value);
    if (name == "rawJSON") sample.raw_json = base::TextOfString(value);
  }
  sample.hash = HashOf(sample);
  return next == base::JsonNext::kEnd;
}

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
  std::string padded(json);
  padded.append(base::JsonReader::kPadding, ' ');
  std::vector<SharedSample> samples;
  base::JsonReader reader(kDepth);
  bool good = reader.Open({padded.data(), json.size()}) && reader.EnterArray();
  while (good) {
    const base::JsonNext next = reader.NextItem();
    if (next == base::JsonNext::kEnd) break;
    auto sample = std::make_shared<Sample>();
    good = next == base::JsonNext::kItem && ReadSample(reader, *sample);
    samples.push_back(std::move(sample));
  }
  if (good && reader.Finish()) return samples;
  return absl::InvalidArgumentError(
      absl::StrCat("no list of samples: byte ", reader.fault().byte, ": ", reader.fault().what));
}

}  // namespace webhook::core
