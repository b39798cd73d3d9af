// An object of the body that may become the details of an incident. Internal to IncidentParser, but
// for the keys that have a meaning.
#ifndef PLUGIN_CORE_DETAILS_OBJECT_H_
#define PLUGIN_CORE_DETAILS_OBJECT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/base/json_reader.h"
#include "plugin/core/text_memory.h"

namespace webhook::core {

// The keys that have a meaning here. From kHeaders on they are the keys of members that we may
// write ourselves; the last one stands for the names that a sender's own such member is given.
enum class KnownKey : uint8_t {
  kOther,
  kName,
  kType,
  kOccurred,
  kRawJson,
  kOlderRawJson,  // raw_json
  kHeaders,
  kMirrorDirection,
  kMirrorTags,
  kMirrorInstance,
  kBodyKey,  // anything that begins with body_
};

inline KnownKey WhichPlainKey(absl::string_view key) {
  const auto is = [&](const char* text, size_t size) {
    return std::memcmp(key.data(), text, size) == 0;
  };
  switch (key.size()) {
    case 4:
      return is("name", 4) ? KnownKey::kName : is("type", 4) ? KnownKey::kType : KnownKey::kOther;
    case 7:
      return is("rawJson", 7) || is("rawJSON", 7) ? KnownKey::kRawJson
             : is("headers", 7)                   ? KnownKey::kHeaders
                                                  : KnownKey::kOther;
    case 8:
      return is("occurred", 8)   ? KnownKey::kOccurred
             : is("raw_json", 8) ? KnownKey::kOlderRawJson
                                 : KnownKey::kOther;
    default:
      if (key.size() < 11 || key[0] > 'm' || (!is("mirror_", 7) && !is("body_", 5))) {
        return KnownKey::kOther;
      }
      if (key[0] == 'b') return KnownKey::kBodyKey;
      return key == "mirror_direction"  ? KnownKey::kMirrorDirection
             : key == "mirror_tags"     ? KnownKey::kMirrorTags
             : key == "mirror_instance" ? KnownKey::kMirrorInstance
                                        : KnownKey::kOther;
  }
}

KnownKey WhichEscapedKey(absl::string_view inside);

inline KnownKey WhichKey(const base::JsonValue& key) {
  return key.escaped ? WhichEscapedKey(key.inside()) : WhichPlainKey(key.inside());
}

// Used again for one object after the other, so that a warm one allocates nothing.
class DetailsObject {
 public:
  void Clear() {
    empty_ = true;
    own_keys_.clear();
    taken_.clear();
  }

  // To be called for each key of the object, with its place in the text.
  void NoteKey(KnownKey known, const base::JsonValue& key) {
    empty_ = false;
    if (known >= KnownKey::kHeaders) NoteWrittenKey(known, key.text, key.escaped);
  }

  void SetText(absl::string_view text) { text_ = text; }
  absl::string_view text() const { return text_; }
  bool empty() const { return empty_; }

  // Appends the slices of this object, of which the last one holds the members in `tail`: the text
  // `,"headers":{...}}`, with mirror_ members too where `mirrored`. If the object has a member with
  // such a key, that member is kept under a free key: body_headers, body_headers_2 and so on. Every
  // other byte stays as it is.
  void AppendSlices(absl::string_view tail, bool mirrored, Arena& arena,
                    std::vector<absl::string_view>& slices);

 private:
  struct OwnKey {
    KnownKey known;
    absl::string_view text;  // with its quotes
  };
  // A key body_<name>_<number>; number is 1 of body_<name>.
  struct TakenKey {
    size_t written;  // which of the members that we may write
    uint32_t number;
  };

  void NoteWrittenKey(KnownKey known, absl::string_view text, bool escaped);
  absl::string_view FreeKey(size_t written, Arena& arena);

  absl::string_view text_;
  bool empty_ = true;
  std::vector<OwnKey> own_keys_;
  std::vector<TakenKey> taken_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DETAILS_OBJECT_H_
