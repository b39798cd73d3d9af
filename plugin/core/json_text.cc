#include "plugin/core/json_text.h"

#include "plugin/core/eight_octets.h"
#include "plugin/core/json_chars.h"

namespace webhook::core {
namespace {

bool MustBeEscaped(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

void AppendEscape(std::string* out, char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  out->push_back('\\');
  switch (c) {
    case '"':
    case '\\':
      out->push_back(c);
      break;
    case '\b':
      out->push_back('b');
      break;
    case '\f':
      out->push_back('f');
      break;
    case '\n':
      out->push_back('n');
      break;
    case '\r':
      out->push_back('r');
      break;
    case '\t':
      out->push_back('t');
      break;
    default:
      out->append("u00");
      out->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out->push_back(kHex[c & 0xF]);
      break;
  }
}

bool NoneIsEscaped(const char* octets) {
  const EightOctets eight(octets);
  return !eight.AnyControl() && !eight.AnyIs('"') && !eight.AnyIs('\\');
}

bool IsAscii(absl::string_view bytes) {
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    if (EightOctets(bytes.data() + i).AnyNotAscii()) return false;
  }
  for (; i < bytes.size(); ++i) {
    if (static_cast<unsigned char>(bytes[i]) >= 0x80) return false;
  }
  return true;
}

// The first position from `at` on whose octet must be escaped, or the text's size.
size_t FindEscaped(absl::string_view text, size_t at) {
  while (at + 8 <= text.size() && NoneIsEscaped(text.data() + at)) at += 8;
  // The last ones once more with those before them, rather than one by one.
  if (at + 8 > text.size() && text.size() >= 8 && NoneIsEscaped(text.data() + text.size() - 8)) {
    return text.size();
  }
  while (at < text.size() && !MustBeEscaped(text[at])) ++at;
  return at;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  return IsAscii(text) || ValidUtf8Prefix(text) == text.size();
}

void AppendJsonEscaped(std::string* out, absl::string_view text) {
  for (size_t at = 0;;) {
    const size_t escaped = FindEscaped(text, at);
    out->append(text.data() + at, escaped - at);
    if (escaped == text.size()) return;
    AppendEscape(out, text[escaped]);
    at = escaped + 1;
  }
}

void AppendJsonString(std::string* out, absl::string_view text) {
  out->push_back('"');
  AppendJsonEscaped(out, text);
  out->push_back('"');
}

void AppendJsonEscapedBytes(std::string* out, absl::string_view bytes) {
  if (IsUtf8(bytes)) {
    AppendJsonEscaped(out, bytes);
    return;
  }
  for (const char c : bytes) {
    if (MustBeEscaped(c)) {
      AppendEscape(out, c);
      continue;
    }
    char utf8[4];
    out->append(utf8, WriteUtf8(static_cast<unsigned char>(c), utf8));
  }
}

}  // namespace webhook::core
