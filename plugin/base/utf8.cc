#include "plugin/base/utf8.h"

#include "absl/strings/str_cat.h"
#include "plugin/base/octets.h"

namespace base {
namespace {

bool IsAscii(absl::string_view bytes) {
  size_t i = 0;
  for (; i + EightOctets::kCount <= bytes.size(); i += EightOctets::kCount) {
    if (EightOctets(bytes.data() + i).NotAscii() != 0) return false;
  }
  for (; i < bytes.size(); ++i) {
    if (static_cast<unsigned char>(bytes[i]) >= 0x80) return false;
  }
  return true;
}

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

Character FirstCharacter(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  uint32_t code_point = lead & (0x7F >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if (!Continues(text[i])) return {};
    code_point = code_point << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (code_point < kLeast[bytes] || code_point > 0x10FFFF || surrogate) return {};
  return {code_point, bytes};
}

size_t ValidUtf8Prefix(absl::string_view text) {
  size_t valid = 0;
  while (valid < text.size()) {
    const Character character = FirstCharacter(text.substr(valid));
    if (character.code_point == Character::kMalformed) break;
    valid += character.bytes;
  }
  return valid;
}

bool IsUtf8(absl::string_view text) {
  return IsAscii(text) || ValidUtf8Prefix(text) == text.size();
}

absl::string_view CutAtCharacter(absl::string_view text, size_t most_bytes) {
  if (text.size() <= most_bytes) return text;
  size_t end = most_bytes;
  while (end > 0 && Continues(text[end])) --end;
  return text.substr(0, end);
}

char* WriteUtf8(uint32_t code_point, char* out) {
  if (code_point < 0x80) {
    *out = static_cast<char>(code_point);
    return out + 1;
  }
  const int bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  for (int i = bytes - 1; i > 0; --i, code_point >>= 6) {
    out[i] = static_cast<char>(0x80 | (code_point & 0x3F));
  }
  out[0] = static_cast<char>(0xF00 >> bytes | code_point);  // as many ones as bytes, and a zero
  return out + bytes;
}

bool IsDeceptive(uint32_t c) {
  if (c < 0xAD) return c < 0x20 || (c >= 0x7F && c < 0xA0);
  // Default_Ignorable_Code_Point of Unicode, line separators, and annotations.
  return c == 0xAD || c == 0x034F || c == 0x061C || c == 0x115F || c == 0x1160 || c == 0x17B4 ||
         c == 0x17B5 || (c >= 0x180B && c <= 0x180F) || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0x3164 ||
         (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || c == 0xFFA0 ||
         (c >= 0xFFF0 && c <= 0xFFFB) || (c >= 0x1BCA0 && c <= 0x1BCA3) ||
         (c >= 0x1D173 && c <= 0x1D17A) || (c >= 0xE0000 && c <= 0xE0FFF);
}

std::string InvisibleCharacterIn(absl::string_view text) {
  static constexpr uint32_t kInvisible[][2] = {
      {0x80, 0xA0},     {0xAD, 0xAD},     {0x34F, 0x34F},    {0x61C, 0x61C},   {0x115F, 0x1160},
      {0x1680, 0x1680}, {0x180B, 0x180F}, {0x2000, 0x200F},  {0x2028, 0x202F}, {0x205F, 0x206F},
      {0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164},  {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF},
      {0xFFA0, 0xFFA0}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE0FFF}};
  while (!text.empty()) {
    const auto [c, bytes] = FirstCharacter(text);
    for (const auto& [first, last] : kInvisible) {
      if (c < first || c > last) continue;
      const char* const name = c < 0xA0                     ? "control character"
                               : c == 0xA0 || c == 0x202F   ? "no-break space"
                               : c == 0xAD                  ? "soft hyphen"
                               : c >= 0x200B && c <= 0x200D ? "zero width character"
                               : c == 0xFEFF                ? "byte order mark"
                               : c >= 0xE0000               ? "tag or variation selector"
                               : IsDeceptive(c)             ? "mark of writing direction"
                                                            : "space or character without a shape";
      return absl::StrCat(name, " (U+", absl::Hex(c, absl::kZeroPad4), ")");
    }
    text.remove_prefix(bytes);
  }
  return "";
}

size_t AppendEscaped(std::string* out, absl::string_view text) {
  const auto [code_point, bytes] = FirstCharacter(text);
  if (code_point != Character::kMalformed && !IsDeceptive(code_point)) {
    absl::StrAppend(out, text.substr(0, bytes));
  } else if (code_point == Character::kMalformed || code_point < 0x80) {
    const auto byte = static_cast<unsigned char>(text[0]);
    absl::StrAppend(out, "\\x", absl::Hex(byte, absl::kZeroPad2));
  } else {
    absl::StrAppend(out, "\\u{", absl::Hex(code_point, absl::kZeroPad4), "}");
  }
  return bytes;
}

}  // namespace base
