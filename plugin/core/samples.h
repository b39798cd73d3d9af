// The last incidents of an instance, kept for people who write a mapper.
#ifndef PLUGIN_CORE_SAMPLES_H_
#define PLUGIN_CORE_SAMPLES_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace webhook::core {

// Texts are UTF-8. Not changed once it is shared.
struct Sample {
  std::string name;
  std::string type;
  std::string occurred;  // RFC 3339, UTC
  std::string raw_json;  // one JSON object; where truncated, its beginning
  bool truncated = false;
  size_t hash = 0;  // of name, type and raw_json
};

using SharedSample = std::shared_ptr<const Sample>;

// Copies an incident, of its details at most `most_bytes`, cut at a character's boundary.
SharedSample MakeSample(absl::string_view name, absl::string_view type, absl::string_view occurred,
                        std::span<const absl::string_view> details, size_t most_bytes);

// Newest first, without repeats: samples of the same name, type and details are one, and when it
// happened last counts. Not thread-safe; a copy is cheap.
class SampleSet {
 public:
  // Holds at most `most`; the oldest go first.
  explicit SampleSet(size_t most) : most_(most) { samples_.reserve(most + 1); }

  void Add(SharedSample newest);
  // Behind all others, where there is room.
  void AddOldest(SharedSample oldest);
  void Clear() { samples_.clear(); }

  const std::vector<SharedSample>& newest_first() const { return samples_; }

 private:
  std::vector<SharedSample>::iterator Find(const Sample& sample);

  const size_t most_;
  std::vector<SharedSample> samples_;
};

// A JSON array of {"name","type","occurred","rawJSON","truncated"}, where rawJSON is a string. Of
// what would make it longer than `most_bytes`, the oldest are left out.
std::string WriteSamples(std::span<const SharedSample> newest_first, size_t most_bytes);

// Reads what WriteSamples wrote; members that are missing count as empty. INVALID_ARGUMENT for
// anything else.
absl::StatusOr<std::vector<SharedSample>> ReadSamples(absl::string_view json);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_SAMPLES_H_
