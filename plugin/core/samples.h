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

// Texts are UTF-8. Immutable once it is shared.
struct Sample {
  std::string name;
  std::string type;
  std::string occurred;  // RFC 3339, UTC
  std::string raw_json;  // one JSON object; where truncated, its beginning
  bool truncated = false;
  size_t hash = 0;  // of name, type and raw_json
};

using SharedSample = std::shared_ptr<const Sample>;

// Copies an incident. Of its details it keeps at most `most_bytes`, cut between two characters.
SharedSample MakeSample(absl::string_view name, absl::string_view type, absl::string_view occurred,
                        std::span<const absl::string_view> details, size_t most_bytes);

// Samples, newest first. Samples with the same name, type and details are one, with the latest
// time. Not thread-safe; a copy is cheap.
class SampleSet {
 public:
  // Holds at most `most`; the oldest go first.
  explicit SampleSet(size_t most) : most_(most) { samples_.reserve(most + 1); }

  void Add(SharedSample newest);
  // Adds it behind all others if there is room.
  void AddOldest(SharedSample oldest);
  void Clear() { samples_.clear(); }

  const std::vector<SharedSample>& newest_first() const { return samples_; }

 private:
  std::vector<SharedSample>::iterator Find(const Sample& sample);

  const size_t most_;
  std::vector<SharedSample> samples_;
};

// A JSON array of {"name","type","occurred","rawJSON","truncated"}, where rawJSON is a string. The
// oldest samples are left out if it would otherwise be longer than `most_bytes`.
std::string WriteSamples(std::span<const SharedSample> newest_first, size_t most_bytes);

// Reads what WriteSamples wrote; members that are missing count as empty. INVALID_ARGUMENT for
// anything else.
absl::StatusOr<std::vector<SharedSample>> ReadSamples(absl::string_view json);

// Every path in the samples, for people who write a mapper: a JSON array, in the order of the
// paths,
//   [{"path":"items[].user.id","types":["number"],"example":"5","count":3}]
// `path` is one that JsonPath understands. `example` is a value as JSON text, cut if it is
// long; null only if no other value was seen. `count` is the number of samples with that path.
// Truncated samples are skipped, for they are not JSON. At most `most_fields` paths are listed, and
// none that is longer than 1,024 bytes.
std::string ListFields(std::span<const SharedSample> samples, size_t most_fields);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_SAMPLES_H_
