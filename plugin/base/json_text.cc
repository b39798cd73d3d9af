#include "plugin/base/json_text.h"

#include <simdjson.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "plugin/base/characters.h"
#include "plugin/base/octets.h"
#include "plugin/base/utf8.h"

namespace base {
namespace {

constexpr size_t kPieceBytes = 512;

// The letter of a character's short escape.
constexpr CharacterMap kEscapeLetters("\"\\\b\f\n\r\t", "\"\\bfnrt");

constexpr CharacterSet kEscaped =
    CharacterSet::Of([](int c) { return c < 0x20 || c == '"' || c == '\\'; });

// \uXXXX; `unit` is not past U+FFFF.
char* WriteHexEscape(uint32_t unit, char* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  *out++ = '\\';
  *out++ = 'u';
  for (int shift = 12; shift >= 0; shift -= 4) *out++ = kHex[unit >> shift & 0xF];
  return out;
}

char* WriteEscape(char c, char* out) {
  const char letter = kEscapeLetters[c];
  if (letter == '\0') return WriteHexEscape(static_cast<unsigned char>(c), out);
  *out++ = '\\';
  *out++ = letter;
  return out;
}

// Copies a text of at least kCount octets. False if the copy is of no use, because an octet must be
// escaped or is not ASCII. The last octets are copied together with some before them.
template <typename Octets>
bool CopyPlain(absl::string_view text, char* out) {
  const char* at = text.data();
  const char* const last = at + text.size() - Octets::kCount;
  const Octets end(last);
  end.CopyTo(out + text.size() - Octets::kCount);
  auto not_plain = end.NotPlainInJson();
  for (; at < last; at += Octets::kCount, out += Octets::kCount) {
    const Octets octets(at);
    octets.CopyTo(out);
    not_plain |= octets.NotPlainInJson();
  }
  return not_plain == 0;
}

// False for texts shorter than four octets: they are not worth a try.
inline bool IsCopiedPlain(absl::string_view text, char* out) {
  if (text.size() >= EightOctets::kCount) return CopyPlain<EightOctets>(text, out);
  return text.size() >= FourOctets::kCount && CopyPlain<FourOctets>(text, out);
}

// This and the next are not inlined, so that their callers, whose texts are nearly always plain,
// save no registers.
[[gnu::noinline]] char* WriteOneByOne(absl::string_view text, char* out) {
  for (const char c : text) {
    if (kEscaped.Has(c)) {
      out = WriteEscape(c, out);
    } else {
      *out++ = c;
    }
  }
  return out;
}

[[gnu::noinline]] char* WriteLatin1(absl::string_view bytes, char* out) {
  for (const char c : bytes) {
    out = kEscaped.Has(c) ? WriteEscape(c, out) : WriteUtf8(static_cast<unsigned char>(c), out);
  }
  return out;
}

}  // namespace

std::string JsonString(absl::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const Character character = FirstCharacter(text);
    const uint32_t code_point = character.code_point;
    if (code_point == Character::kMalformed) {
      json += "\xEF\xBF\xBD";
    } else if (IsDeceptive(code_point)) {
      char escape[6];
      if (code_point >= 0x10000) {
        json.append(escape, WriteHexEscape(0xD7C0 + (code_point >> 10), escape));
      }
      const uint32_t last = code_point < 0x10000 ? code_point : 0xDC00 | (code_point & 0x3FF);
      json.append(escape, WriteHexEscape(last, escape));
    } else {
      if (code_point == '"' || code_point == '\\') json += '\\';
      json.append(text.data(), character.bytes);
    }
    text.remove_prefix(character.bytes);
  }
  return json + "\"";
}

std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members) {
  return absl::StrCat("{",
                      absl::StrJoin(members, ",",
                                    [](std::string* out, const auto& member) {
                                      absl::StrAppend(out, JsonString(member.first), ":",
                                                      member.second);
                                    }),
                      "}");
}

std::string JsonArray(const std::vector<std::string>& values) {
  return absl::StrCat("[", absl::StrJoin(values, ","), "]");
}

char* WriteJsonEscaped(absl::string_view text, char* out) {
  return IsCopiedPlain(text, out) ? out + text.size() : WriteOneByOne(text, out);
}

char* WriteJsonEscapedBytes(absl::string_view bytes, char* out, bool& beyond_ascii) {
  if (IsCopiedPlain(bytes, out)) return out + bytes.size();
  for (const char c : bytes) beyond_ascii |= (c & 0x80) != 0;
  return IsUtf8(bytes) ? WriteOneByOne(bytes, out) : WriteLatin1(bytes, out);
}

std::string CompactJson(absl::string_view json) {
  std::string compact(json.size(), '\0');
  size_t bytes = 0;
  // It fails only where a string is not closed.
  if (simdjson::minify(json.data(), json.size(), compact.data(), bytes) != 0) bytes = 0;
  compact.resize(bytes);
  return compact;
}

void AppendJsonString(std::string* out, absl::string_view text) {
  char escaped[MostEscapedBytes(kPieceBytes)];
  out->push_back('"');
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), kPieceBytes))) {
    out->append(escaped, WriteJsonEscaped(text.substr(0, kPieceBytes), escaped));
  }
  out->push_back('"');
}

}  // namespace base
