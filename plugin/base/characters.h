// The one table of which characters a text may hold: HTTP's tokens and field values, and short
// names.
#ifndef PLUGIN_BASE_CHARACTERS_H_
#define PLUGIN_BASE_CHARACTERS_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "plugin/base/octets.h"

namespace base {

constexpr bool IsDigit(int c) { return c >= '0' && c <= '9'; }

constexpr bool IsAlphanumeric(int c) {
  return IsDigit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// The value of a hexadecimal digit, or -1.
constexpr int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A set with one look-up for each character, because every header of every request is checked.
class CharacterSet {
 public:
  // The characters for which `allowed` returns true; it is called with 0 to 255.
  template <typename Predicate>
  static constexpr CharacterSet Of(Predicate allowed) {
    CharacterSet set;
    for (int c = 0; c < 256; ++c) set.has_[c] = allowed(c);
    return set;
  }

  constexpr bool Has(char c) const { return has_[static_cast<unsigned char>(c)]; }

  // True for an empty text.
  constexpr bool HasAll(absl::string_view text) const {
    bool good = true;
#pragma GCC unroll 8
    for (const char c : text) good &= Has(c);
    return good;
  }

 private:
  bool has_[256] = {};
};

// The same for a character that stands for another; NUL where it stands for none.
class CharacterMap {
 public:
  constexpr CharacterMap(absl::string_view from, absl::string_view to) {
    for (size_t i = 0; i < from.size(); ++i) to_[static_cast<unsigned char>(from[i])] = to[i];
  }

  constexpr char operator[](char c) const { return to_[static_cast<unsigned char>(c)]; }

 private:
  char to_[256] = {};
};

constexpr bool IsOneOf(int c, absl::string_view characters) {
  for (const char one : characters) {
    if (c == static_cast<unsigned char>(one)) return true;
  }
  return false;
}

// Methods and field names (RFC 9110 section 5.6.2).
inline constexpr CharacterSet kTokenCharacters =
    CharacterSet::Of([](int c) { return IsAlphanumeric(c) || IsOneOf(c, "!#$%&'*+-.^_`|~"); });

// Field values (RFC 9110 section 5.5): visible ASCII, the blank, the tab, and obs-text.
inline constexpr CharacterSet kFieldValueCharacters =
    CharacterSet::Of([](int c) { return (c >= 0x20 && c != 0x7F) || c == '\t'; });

// Names that need no quoting in a URL, a file name or a log line.
inline constexpr CharacterSet kNameCharacters =
    CharacterSet::Of([](int c) { return IsAlphanumeric(c) || c == '_' || c == '-'; });

inline constexpr size_t kMostNameBytes = 64;

inline bool IsToken(absl::string_view text) {
  return !text.empty() && kTokenCharacters.HasAll(text);
}

// The blanks that HTTP allows between tokens (RFC 9110 section 5.6.3).
constexpr bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// A field value without the blanks around it, which are not part of it (RFC 9110 section 5.5).
constexpr absl::string_view WithoutBlanks(absl::string_view value) {
  while (!value.empty() && IsBlank(value.front())) value.remove_prefix(1);
  while (!value.empty() && IsBlank(value.back())) value.remove_suffix(1);
  return value;
}

// True for an empty text.
inline bool IsFieldValue(absl::string_view text) {
  size_t pos = 0;
  do {
    pos = SkipPrintable<Above::kPasses>(text.data(), pos, text.size());
    if (pos == text.size()) return true;
  } while (text[pos++] == '\t');
  return false;
}

// [A-Za-z0-9_-], 1 to 64 characters.
inline bool IsName(absl::string_view text) {
  return !text.empty() && text.size() <= kMostNameBytes && kNameCharacters.HasAll(text);
}

}  // namespace base

#endif  // PLUGIN_BASE_CHARACTERS_H_
