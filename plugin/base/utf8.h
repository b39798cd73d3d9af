// UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing past U+10FFFF.
#ifndef PLUGIN_BASE_UTF8_H_
#define PLUGIN_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace base {

// U+FEFF. Editors put it at the front of a file; it is no part of the text.
inline constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Character {
  static constexpr uint32_t kMalformed = UINT32_MAX;

  uint32_t code_point = kMalformed;
  size_t bytes = 1;  // that it takes in the text; 1 where it is malformed
};

// The first character of a text that is not empty.
Character FirstCharacter(absl::string_view text);

// How many bytes at the front of `text` are whole, valid characters.
size_t ValidUtf8Prefix(absl::string_view text);

// True for an empty text.
bool IsUtf8(absl::string_view text);

// The longest part of `text`, from its beginning, that has at most `most_bytes` bytes and does not
// end within a character. Meant for valid UTF-8; of anything else some part is returned.
absl::string_view CutAtCharacter(absl::string_view text, size_t most_bytes);

// Writes the UTF-8 form of a code point, at most 4 bytes; returns the end.
char* WriteUtf8(uint32_t code_point, char* out);

// Whether a character moves the cursor, ends a line, or changes the order or the look of the
// characters around it, or is not seen at all: control characters, DEL, C1, line separators, the
// marks of writing direction, zero-width and tag characters, variation selectors.
bool IsDeceptive(uint32_t code_point);

// The name and number of the first character that nobody sees, or that looks like a blank and is
// none, such as a no-break space; empty if the text has none. What is no UTF-8 is
// passed over.
std::string InvisibleCharacterIn(absl::string_view text);

// Appends the first character of a text that is not empty, so that it cannot deceive a reader: as
// \xNN or \u{NNNN} where it is deceptive, each byte as \xNN where it is malformed. Returns how many
// bytes of the text that were.
size_t AppendEscaped(std::string* out, absl::string_view text);

}  // namespace base

#endif  // PLUGIN_BASE_UTF8_H_
