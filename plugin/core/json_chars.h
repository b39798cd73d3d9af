// The character level of JSON (RFC 8259 sections 2, 6 and 7) and of UTF-8.
#ifndef PLUGIN_CORE_JSON_CHARS_H_
#define PLUGIN_CORE_JSON_CHARS_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace webhook::core {

// What may follow a number or a literal: a blank or one of the six structural characters.
inline bool EndsScalar(char c) {
  switch (c) {
    case ' ':
    case '\t':
    case '\n':
    case '\r':
    case ',':
    case ':':
    case '[':
    case ']':
    case '{':
    case '}':
      return true;
    default:
      return false;
  }
}

inline bool IsDigit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

// The end of the number that begins at `at`, or nullptr. A byte that is no part of a number must
// follow.
inline const char* NumberEnd(const char* at) {
  if (*at == '-') ++at;
  if (!IsDigit(*at)) return nullptr;
  if (*at++ != '0') {
    while (IsDigit(*at)) ++at;
  }
  if (*at == '.') {
    if (!IsDigit(*++at)) return nullptr;
    while (IsDigit(*at)) ++at;
  }
  if (*at == 'e' || *at == 'E') {
    ++at;
    if (*at == '+' || *at == '-') ++at;
    if (!IsDigit(*at)) return nullptr;
    while (IsDigit(*at)) ++at;
  }
  return at;
}

// The value of four hexadecimal digits, or -1.
int32_t FourHexDigits(const char* digits);

// Writes the characters that a validated string's inside stands for; `out` has room for
// escaped.size() bytes. Returns how many were written.
size_t JsonUnescape(absl::string_view escaped, char* out);

// True for a valid number that is zero in any spelling: 0, -0, 0.0, 0e5.
bool JsonNumberIsZero(absl::string_view number);

// Appends the UTF-8 form of a scalar value; returns the end.
char* WriteUtf8(uint32_t scalar, char* out);

// How many bytes at the front of `text` are whole, valid characters (RFC 3629).
size_t ValidUtf8Prefix(absl::string_view text);

// Where a text has a control character in a string, or else where its last string begins. Slow;
// only for messages.
const char* FindStringFault(absl::string_view text);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_JSON_CHARS_H_
