#include "plugin/core/json_text.h"

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

bool IsAscii(absl::string_view bytes) {
  char all = 0;
  for (const char c : bytes) all = static_cast<char>(all | c);
  return static_cast<unsigned char>(all) < 0x80;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  return IsAscii(text) || ValidUtf8Prefix(text) == text.size();
}

void AppendJsonEscaped(std::string* out, absl::string_view text) {
  size_t plain = 0;  // where what is not yet appended begins
  for (size_t i = 0; i < text.size(); ++i) {
    if (!MustBeEscaped(text[i])) continue;
    out->append(text.data() + plain, i - plain);
    AppendEscape(out, text[i]);
    plain = i + 1;
  }
  out->append(text.data() + plain, text.size() - plain);
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
