// The parameter duplication_key: which value of an incident shows that it was sent before.
#ifndef PLUGIN_CORE_DUPLICATION_KEY_H_
#define PLUGIN_CORE_DUPLICATION_KEY_H_

#include <array>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/base/json_path.h"
#include "plugin/base/json_reader.h"
#include "plugin/core/stored_headers.h"

namespace webhook::core {

// Paths into the final details, headers included, whose values count together.
struct KeyPaths {
  std::vector<base::JsonPath> paths;
  std::string text;  // their length, as in a key, and the paths, joined by a plus: "8:event.id:"
  bool of_request = false;
};

// Of the alternatives the first one counts whose paths all have a value. Without any, incidents
// have no key.
using DuplicationKey = std::vector<KeyPaths>;

// `parameter` is a list as base::JsonPath::ParseList reads it; a blank one has no alternatives.
// INVALID_ARGUMENT, with the parameter's name in front, where a path is malformed, can never match,
// names a header that is never stored (see StoredHeaders::Append), or names what incidents have in
// common: a member of `mirror_members`, which MirrorMembers made, or nothing but headers such as
// Host.
absl::StatusOr<DuplicationKey> ReadDuplicationKey(absl::string_view parameter,
                                                  absl::string_view secret_header = "",
                                                  absl::string_view mirror_members = "",
                                                  const KeptHeaders& kept_headers = {});

// What a key begins with; the ABI's header tells the rest.
inline constexpr char kDeliveryKeyVersion = 2;

std::array<char, 32> Sha256(absl::string_view text);

// The key of what a source has delivered under an id of its own; empty where `id` is. `scope`: 'i',
// of an incident, or 'r', of the request. An id of more than most_bytes is hashed.
std::string SourceKey(char scope, absl::string_view profile, absl::string_view id,
                      size_t most_bytes);
// The replay key for a hash, of 32 octets, of the profile's name and what was signed.
std::string ReplayKey(absl::string_view profile, absl::string_view hash);

// Finds the delivery keys of incidents. Keeps its buffers from incident to incident. Not
// thread-safe.
class DeliveryKeyFinder {
 public:
  // Details are nested at most max_depth deep. A key longer than most_bytes (64 at least, what
  // stands before the path not counted) has a hash in it.
  DeliveryKeyFinder(int max_depth, size_t most_bytes);

  // To be called once for each request: `tail` is the end of all of its incidents' details, as in
  // DetailsObject::AppendSlices.
  void SetHeaders(absl::string_view tail);

  // The key of the incident at `position` (from 0) of its request, as the ABI's header describes
  // it; empty where it has none. `details` are the slices of its details without the tail. An empty
  // value (null, {}, [], "", 0, false) counts as absent. Valid until the next call.
  absl::string_view Find(const DuplicationKey& key, std::span<const absl::string_view> details,
                         size_t position);

  // Whether an incident has a key; `details` are whole, as a sample has them.
  bool HasKey(const DuplicationKey& key, absl::string_view details);

  // Gives back the memory that a large incident has taken.
  void ReleaseLarge();

 private:
  bool ReadValues(const std::vector<base::JsonPath>& paths,
                  std::span<const absl::string_view> details);
  void SetKey(const KeyPaths& paths, size_t position);

  base::JsonReader headers_;  // of {"headers":{...}}
  base::JsonReader own_;      // of the incident's own details, once they are needed
  const size_t most_bytes_;
  std::string header_text_;  // with its padding, as is own_text_
  std::string own_text_;
  bool headers_are_open_ = false;
  bool own_is_read_ = false;
  bool own_is_open_ = false;
  std::string key_;
  std::string value_;
  std::vector<base::JsonValue> values_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DUPLICATION_KEY_H_
