#include "plugin/core/json_text.h"

#include <algorithm>

#include "plugin/core/eight_octets.h"
#include "plugin/core/json_chars.h"

namespace webhook::core {
namespace {

constexpr size_t kPieceBytes = 512;

bool MustBeEscaped(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

char LetterOfEscape(char c) {
  switch (c) {
    case '"':
    case '\\':
      return c;
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 'u';
  }
}

char* WriteEscape(char c, char* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  *out++ = '\\';
  const char letter = *out++ = LetterOfEscape(c);
  if (letter != 'u') return out;
  *out++ = '0';
  *out++ = '0';
  *out++ = kHex[static_cast<unsigned char>(c) >> 4];
  *out++ = kHex[c & 0xF];
  return out;
}

// Copies a text of kCount octets at least, and tells whether that was right: nothing of it has to
// be escaped, and all of it is ASCII. The last octets are copied together with some before them.
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

char* WriteOneByOne(absl::string_view text, char* out) {
  for (const char c : text) {
    if (MustBeEscaped(c)) {
      out = WriteEscape(c, out);
    } else {
      *out++ = c;
    }
  }
  return out;
}

char* WriteLatin1(absl::string_view bytes, char* out) {
  for (const char c : bytes) {
    out = MustBeEscaped(c) ? WriteEscape(c, out) : WriteUtf8(static_cast<unsigned char>(c), out);
  }
  return out;
}

bool IsAscii(absl::string_view bytes) {
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    if (EightOctets(bytes.data() + i).NotAscii() != 0) return false;
  }
  for (; i < bytes.size(); ++i) {
    if (static_cast<unsigned char>(bytes[i]) >= 0x80) return false;
  }
  return true;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  return IsAscii(text) || ValidUtf8Prefix(text) == text.size();
}

char* WriteJsonEscaped(absl::string_view text, char* out) {
  return IsCopiedPlain(text, out) ? out + text.size() : WriteOneByOne(text, out);
}

char* WriteJsonEscapedBytes(absl::string_view bytes, char* out) {
  if (IsCopiedPlain(bytes, out)) return out + bytes.size();
  return IsUtf8(bytes) ? WriteOneByOne(bytes, out) : WriteLatin1(bytes, out);
}

void AppendJsonEscaped(std::string* out, absl::string_view text) {
  char escaped[MostEscapedBytes(kPieceBytes)];
  for (; !text.empty(); text.remove_prefix(std::min(text.size(), kPieceBytes))) {
    out->append(escaped, WriteJsonEscaped(text.substr(0, kPieceBytes), escaped));
  }
}

void AppendJsonString(std::string* out, absl::string_view text) {
  out->push_back('"');
  AppendJsonEscaped(out, text);
  out->push_back('"');
}

}  // namespace webhook::core
