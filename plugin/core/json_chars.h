// The character level of JSON (RFC 8259 sections 2, 6 and 7) and of UTF-8.
#ifndef PLUGIN_CORE_JSON_CHARS_H_
#define PLUGIN_CORE_JSON_CHARS_H_

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace webhook::core {

// The first quote or backslash at or after `at`. There must be one; 15 bytes after it are read.
inline const char* FindQuoteOrBackslash(const char* at) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  for (;; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const int found = _mm_movemask_epi8(
        _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
    if (found != 0) return at + std::countr_zero(static_cast<uint32_t>(found));
  }
#else
  while (*at != '"' && *at != '\\') ++at;
  return at;
#endif
}

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
