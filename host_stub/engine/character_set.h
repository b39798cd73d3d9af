// Which characters a text of HTTP may hold, whoever made it: a plugin's answer, a call's request.
#ifndef HOST_STUB_ENGINE_CHARACTER_SET_H_
#define HOST_STUB_ENGINE_CHARACTER_SET_H_

#include "absl/strings/string_view.h"

namespace host_stub {

// One look-up for each character: every request's headers are judged.
struct CharacterSet {
  bool has[256] = {};

  // Those for which `allowed` is true, asked with 0 to 255.
  template <typename Predicate>
  static constexpr CharacterSet Of(Predicate allowed) {
    CharacterSet set;
    for (int c = 0; c < 256; ++c) set.has[c] = allowed(c);
    return set;
  }

  // True for an empty text.
  bool HasAll(absl::string_view text) const {
    bool good = true;
#pragma GCC unroll 8
    for (const char c : text) good &= has[static_cast<unsigned char>(c)];
    return good;
  }
};

constexpr bool IsAlphanumeric(int c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

constexpr bool IsOneOf(int c, const char* characters) {
  for (; *characters != '\0'; ++characters) {
    if (c == *characters) return true;
  }
  return false;
}

// Of methods and header names (RFC 9110 section 5.6.2).
inline constexpr CharacterSet kTokenCharacters =
    CharacterSet::Of([](int c) { return IsAlphanumeric(c) || IsOneOf(c, "!#$%&'*+-.^_`|~"); });

// Of header values (RFC 9110 section 5.5).
inline constexpr CharacterSet kHeaderValueCharacters =
    CharacterSet::Of([](int c) { return (c >= 0x20 && c != 0x7F) || c == '\t'; });

inline bool IsToken(absl::string_view text) {
  return !text.empty() && kTokenCharacters.HasAll(text);
}

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_CHARACTER_SET_H_
