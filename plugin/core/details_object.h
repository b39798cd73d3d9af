// An object of the body that may become an incident's details, and the slices that it becomes.
// Internal to IncidentParser.
#ifndef PLUGIN_CORE_DETAILS_OBJECT_H_
#define PLUGIN_CORE_DETAILS_OBJECT_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/core/arena.h"
#include "plugin/core/json_reader.h"

namespace webhook::core {

// The keys that mean something to us.
enum class KnownKey : uint8_t {
  kOther,
  kName,
  kType,
  kOccurred,
  kRawJson,
  kOlderRawJson,  // raw_json
  kHeaders,
  kBodyHeaders,  // anything that begins with body_headers
};

inline KnownKey WhichPlainKey(absl::string_view key) {
  const auto is = [&](const char* text, size_t size) {
    return std::memcmp(key.data(), text, size) == 0;
  };
  switch (key.size()) {
    case 4:
      return is("name", 4) ? KnownKey::kName : is("type", 4) ? KnownKey::kType : KnownKey::kOther;
    case 7:
      return is("rawJson", 7)   ? KnownKey::kRawJson
             : is("headers", 7) ? KnownKey::kHeaders
                                : KnownKey::kOther;
    case 8:
      return is("occurred", 8)   ? KnownKey::kOccurred
             : is("raw_json", 8) ? KnownKey::kOlderRawJson
                                 : KnownKey::kOther;
    default:
      return key.size() >= 12 && is("body_headers", 12) ? KnownKey::kBodyHeaders : KnownKey::kOther;
  }
}

KnownKey WhichEscapedKey(const JsonValue& key);

inline KnownKey WhichKey(const JsonValue& key) {
  return key.escaped ? WhichEscapedKey(key) : WhichPlainKey(key.inside());
}

// Reused from object to object, so that nothing is allocated once it is warm.
class DetailsObject {
 public:
  void Clear();

  // Told of each key of the object, with its place in the text.
  void NoteKey(KnownKey known, const JsonValue& key) {
    empty_ = false;
    if (known >= KnownKey::kHeaders) NoteHeadersKey(known, key);
  }

  void SetText(absl::string_view text) { text_ = text; }
  bool empty() const { return empty_; }

  // Appends slices that are this object and, as its last member, `headers`. `tail` is the text
  // `,"headers":{...}}`. A member of its own with that key stays, under a key that is free:
  // body_headers, body_headers_2 and so on; every other byte is as it was.
  void AppendSlices(absl::string_view tail, Arena& arena, std::vector<absl::string_view>& slices);

 private:
  void NoteHeadersKey(KnownKey known, const JsonValue& key);
  absl::string_view FreeKey(Arena& arena);

  absl::string_view text_;
  bool empty_ = true;
  std::vector<absl::string_view> headers_keys_;  // with their quotes
  std::vector<uint32_t> taken_;                  // N of body_headers_N; 1 of body_headers
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DETAILS_OBJECT_H_
