#include "plugin/core/json_chars.h"

namespace webhook::core {
namespace {

int32_t HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char SimpleEscape(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;  // quote, backslash, slash
  }
}

// Length of the valid UTF-8 character at the front, 0 if there is none. RFC 3629 section 4.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
  if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
  return length;
}

}  // namespace

int32_t FourHexDigits(const char* digits) {
  int32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int32_t digit = HexDigit(digits[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

char* WriteUtf8(uint32_t scalar, char* out) {
  if (scalar < 0x80) {
    *out++ = static_cast<char>(scalar);
    return out;
  }
  if (scalar < 0x800) {
    *out++ = static_cast<char>(0xC0 | scalar >> 6);
  } else {
    if (scalar < 0x10000) {
      *out++ = static_cast<char>(0xE0 | scalar >> 12);
    } else {
      *out++ = static_cast<char>(0xF0 | scalar >> 18);
      *out++ = static_cast<char>(0x80 | (scalar >> 12 & 0x3F));
    }
    *out++ = static_cast<char>(0x80 | (scalar >> 6 & 0x3F));
  }
  *out++ = static_cast<char>(0x80 | (scalar & 0x3F));
  return out;
}

size_t ValidUtf8Prefix(absl::string_view text) {
  size_t valid = 0;
  while (valid < text.size()) {
    const size_t length = Utf8Length(text.substr(valid));
    if (length == 0) break;
    valid += length;
  }
  return valid;
}

const char* FindStringFault(absl::string_view text) {
  const char* open = nullptr;
  const char* last_open = text.data();
  bool escaped = false;
  for (const char& c : text) {
    if (open != nullptr && static_cast<unsigned char>(c) < 0x20) return &c;
    const bool counts = !escaped;
    escaped = counts && c == '\\';
    if (counts && c == '"') {
      open = open == nullptr ? &c : nullptr;
      if (open != nullptr) last_open = open;
    }
  }
  return last_open;
}

size_t JsonUnescape(absl::string_view escaped, char* out) {
  char* const start = out;
  const char* at = escaped.data();
  const char* const end = at + escaped.size();
  while (at != end) {
    if (*at != '\\') {
      *out++ = *at++;
      continue;
    }
    if (at[1] != 'u') {
      *out++ = SimpleEscape(at[1]);
      at += 2;
      continue;
    }
    uint32_t scalar = static_cast<uint32_t>(FourHexDigits(at + 2));
    at += 6;
    if (scalar >= 0xD800 && scalar <= 0xDBFF) {
      scalar = 0x10000 + ((scalar - 0xD800) << 10) + static_cast<uint32_t>(FourHexDigits(at + 2)) -
               0xDC00;
      at += 6;
    }
    out = WriteUtf8(scalar, out);
  }
  return static_cast<size_t>(out - start);
}

bool JsonNumberIsZero(absl::string_view number) {
  for (const char c : number) {
    if (c == 'e' || c == 'E') break;
    if (c >= '1' && c <= '9') return false;
  }
  return true;
}

}  // namespace webhook::core
