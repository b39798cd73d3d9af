#include "plugin/core/decode.h"

#include <errno.h>
#include <iconv.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plugin/base/utf8.h"

namespace webhook::core {
namespace {

constexpr size_t kPadding = 64;
constexpr size_t kFirstBytes = 16 * 1024;

enum class Coding { kIdentity, kGzip, kDeflate, kOther };

enum class Charset { kNone, kUtf8, kAscii, kUtf16, kLatin1, kWindows1252, kOther };

// How a body is written, by its headers.
struct Form {
  Coding coding = Coding::kIdentity;
  Charset charset = Charset::kNone;
  const char* name = nullptr;  // of the charset: what the system's iconv calls it
};

Coding CodingOf(absl::string_view name) {
  if (absl::EqualsIgnoreCase(name, "identity")) return Coding::kIdentity;
  if (absl::EqualsIgnoreCase(name, "gzip") || absl::EqualsIgnoreCase(name, "x-gzip")) {
    return Coding::kGzip;
  }
  return absl::EqualsIgnoreCase(name, "deflate") ? Coding::kDeflate : Coding::kOther;
}

// A sender's word is looked up here and never goes to iconv.
constexpr struct {
  absl::string_view word;
  Charset charset;
  const char* name;
} kCharsets[] = {
    {"utf-8", Charset::kUtf8, "UTF-8"},
    {"utf8", Charset::kUtf8, "UTF-8"},
    {"us-ascii", Charset::kAscii, "US-ASCII"},
    {"ascii", Charset::kAscii, "US-ASCII"},
    {"utf-16", Charset::kUtf16, nullptr},
    {"utf-16le", Charset::kUtf16, "UTF-16LE"},
    {"utf-16be", Charset::kUtf16, "UTF-16BE"},
    {"iso-8859-1", Charset::kLatin1, "ISO-8859-1"},
    {"latin1", Charset::kLatin1, "ISO-8859-1"},
    {"windows-1252", Charset::kWindows1252, "WINDOWS-1252"},
    {"cp1252", Charset::kWindows1252, "WINDOWS-1252"},
};

// The parameter `charset` of a Content-Type (RFC 9110 section 8.3.1).
void ReadContentType(absl::string_view value, Form& form) {
  for (size_t at = value.find(';'); at < value.size();) {
    value.remove_prefix(at + 1);
    const size_t name_end = value.find_first_of("=;");
    const absl::string_view name = absl::StripAsciiWhitespace(value.substr(0, name_end));
    at = name_end;
    if (name_end >= value.size() || value[name_end] == ';') continue;
    value.remove_prefix(name_end + 1);
    const bool quoted = absl::StartsWith(value, "\"");
    if (quoted) value.remove_prefix(1);
    at = value.find(quoted ? '"' : ';');
    const absl::string_view word = absl::StripAsciiWhitespace(value.substr(0, at));
    if (quoted) at = value.find(';', at);
    if (!absl::EqualsIgnoreCase(name, "charset")) continue;
    Form found{form.coding, Charset::kOther};
    for (const auto& one : kCharsets) {
      if (absl::EqualsIgnoreCase(one.word, word)) found = {form.coding, one.charset, one.name};
    }
    // Which of two counts, readers do not agree on.
    const bool other = form.charset != Charset::kNone &&
                       (form.charset != found.charset || form.name != found.name);
    form = found;
    if (other) form.charset = Charset::kOther;
  }
}

// The one coding that is not identity, over all lines and list members. Stacked codings multiply
// the expansion, and no known sender uses them, so they count as an unknown coding. A charset in
// this place is no coding if it is alone.
Form FormOf(std::span<const HeaderView> headers) {
  Form form;
  int codings = 0;
  bool utf8 = false;
  for (const HeaderView& header : headers) {
    if (header.IsNamed("content-type")) ReadContentType(header.value, form);
    if (!header.IsNamed("content-encoding")) continue;
    for (absl::string_view part : absl::StrSplit(header.value, ',')) {
      part = absl::StripAsciiWhitespace(part);
      if (part.empty()) continue;
      ++codings;
      if (absl::EqualsIgnoreCase(part, "utf-8")) {
        utf8 = true;
      } else if (const Coding coding = CodingOf(part); coding != Coding::kIdentity) {
        form.coding = form.coding == Coding::kIdentity ? coding : Coding::kOther;
      }
    }
  }
  if (utf8 && codings > 1) form.coding = Coding::kOther;
  return form;
}

bool IsAscii(absl::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
}

// The name of the charset whose byte order mark begins the text, or null.
const char* Utf16Mark(absl::string_view text) {
  if (absl::StartsWith(text, "\xFF\xFE")) return "UTF-16LE";
  return absl::StartsWith(text, "\xFE\xFF") ? "UTF-16BE" : nullptr;
}

// zlib's window bits choose the wrapper: 16 added for gzip, negative for none.
int WindowBits(Coding coding, absl::string_view body) {
  if (coding == Coding::kGzip) return 16 + MAX_WBITS;
  // RFC 1950 section 2.2: compression method 8, and a check over the first two bytes.
  const bool wrapped =
      body.size() >= 2 && (body[0] & 0x0F) == 8 &&
      (static_cast<unsigned char>(body[0]) * 256 + static_cast<unsigned char>(body[1])) % 31 == 0;
  return wrapped ? MAX_WBITS : -MAX_WBITS;
}

absl::Status BadBody(const char* what) {
  return absl::InvalidArgumentError(absl::StrCat("The compressed body is ", what));
}

// Text of an unpacked body as UTF-8; `out` stays empty where it is that already.
absl::Status Convert(absl::string_view text, Form form, const Limits& limits, DecodedBody& out) {
  const char* const mark = Utf16Mark(text);
  const bool may_be_utf16 = form.charset == Charset::kUtf16 || form.charset == Charset::kNone;
  const bool may_be_utf8 = form.charset == Charset::kUtf8 || form.charset == Charset::kNone;
  if ((mark != nullptr && (!may_be_utf16 || (form.name != nullptr && form.name != mark))) ||
      (absl::StartsWith(text, base::kByteOrderMark) && !may_be_utf8)) {
    return absl::InvalidArgumentError(
        "The body begins with the byte order mark of another charset than Content-Type names");
  }
  if (mark != nullptr) {
    form = {.charset = Charset::kUtf16, .name = mark};
    text.remove_prefix(2);
  }
  if (may_be_utf8 && mark == nullptr) return absl::OkStatus();
  const bool utf16 = form.charset == Charset::kUtf16;
  if (!utf16 && IsAscii(text)) return absl::OkStatus();
  // Without a mark, the first character of JSON, which is ASCII, tells (RFC 4627 section 3).
  if (form.name == nullptr) form.name = absl::StartsWith(text, {"\0", 1}) ? "UTF-16BE" : "UTF-16LE";
  const iconv_t converter = iconv_open("UTF-8", form.name);
  if (converter == reinterpret_cast<iconv_t>(-1)) {
    if (errno == ENOMEM) throw std::bad_alloc();
    return absl::UnimplementedError(absl::StrCat("This system cannot convert ", form.name));
  }
  const absl::Cleanup close = [converter] { iconv_close(converter); };
  // As many bytes of UTF-8 as a character can take, and one more than is permitted.
  const size_t most = static_cast<size_t>(limits.expanded_body_bytes);
  const size_t capacity = std::min(utf16 ? text.size() / 2 * 3 : 3 * text.size(), most + 1);
  auto bytes = std::make_unique<char[]>(capacity + kPadding);
  char* in = const_cast<char*>(text.data());
  char* end = bytes.get();
  size_t in_left = text.size();
  size_t out_left = capacity;
  const size_t failed = iconv(converter, &in, &in_left, &end, &out_left);
  if (capacity - out_left > most || (failed == static_cast<size_t>(-1) && errno == E2BIG)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("The body is more than ", most, " bytes of UTF-8"));
  }
  if (failed == static_cast<size_t>(-1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("The body is no valid ", form.name, " at byte ", text.size() - in_left));
  }
  out = {std::move(bytes), capacity - out_left};
  return absl::OkStatus();
}

absl::StatusOr<DecodedBody> Expand(absl::string_view body, Coding coding, const Limits& limits) {
  if (body.empty()) return BadBody("cut short");
  // The ratio is meant for bombs. What may be sent as it is may also be compressed as well as it
  // can be.
  const size_t most = std::min(static_cast<size_t>(limits.expanded_body_bytes),
                               std::max(static_cast<size_t>(limits.body_bytes),
                                        body.size() * static_cast<size_t>(limits.expansion_ratio)));
  z_stream stream = {};
  if (inflateInit2(&stream, WindowBits(coding, body)) != Z_OK) throw std::bad_alloc();
  const absl::Cleanup end = [&stream] { inflateEnd(&stream); };
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  DecodedBody result;
  size_t capacity = 0;
  for (;;) {
    if (result.size == capacity) {
      // One byte more than is permitted shows that the body is too long.
      capacity = std::min(std::max(kFirstBytes, 2 * capacity), most + 1);
      auto bytes = std::make_unique<char[]>(capacity + kPadding);
      if (result.size != 0) std::memcpy(bytes.get(), result.bytes.get(), result.size);
      result.bytes = std::move(bytes);
    }
    stream.next_out = reinterpret_cast<Bytef*>(result.bytes.get() + result.size);
    stream.avail_out = static_cast<uInt>(capacity - result.size);
    const int code = inflate(&stream, Z_NO_FLUSH);
    result.size = capacity - stream.avail_out;
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    if (result.size > most) {
      return absl::ResourceExhaustedError(
          absl::StrCat("The body expands to more than ", most, " bytes"));
    }
    if (code == Z_STREAM_END) {
      // Another member of gzip may follow (RFC 1952 section 2.2).
      if (stream.avail_in == 0 || coding != Coding::kGzip) break;
      if (inflateReset(&stream) != Z_OK) return BadBody("corrupt");
      continue;
    }
    if (code != Z_OK && code != Z_BUF_ERROR) return BadBody("corrupt");
    if (stream.avail_in == 0 && stream.avail_out != 0) return BadBody("cut short");
  }
  if (stream.avail_in != 0) return BadBody("followed by other bytes");
  return result;
}

}  // namespace

bool IsEncoded(absl::string_view body, std::span<const HeaderView> headers) {
  const Form form = FormOf(headers);
  return form.coding != Coding::kIdentity || form.charset > Charset::kUtf8 ||
         Utf16Mark(body) != nullptr;
}

absl::StatusOr<DecodedBody> DecodeBody(absl::string_view body, std::span<const HeaderView> headers,
                                       const Limits& limits) {
  const Form form = FormOf(headers);
  if (form.coding == Coding::kOther) {
    return absl::UnimplementedError("Content-Encoding must be gzip, deflate or identity");
  }
  if (form.charset == Charset::kOther) {
    return absl::UnimplementedError(
        "The charset must be UTF-8, US-ASCII, UTF-16, ISO-8859-1 or Windows-1252");
  }
  DecodedBody unpacked;
  if (form.coding != Coding::kIdentity) {
    auto expanded = Expand(body, form.coding, limits);
    if (!expanded.ok()) return expanded.status();
    unpacked = *std::move(expanded);
    body = unpacked.text();
  }
  DecodedBody converted;
  if (absl::Status status = Convert(body, form, limits, converted); !status.ok()) return status;
  if (converted.bytes != nullptr) return converted;
  if (unpacked.bytes != nullptr) return unpacked;
  // It is UTF-8 as it stands.
  converted = {std::make_unique<char[]>(body.size() + kPadding), body.size()};
  std::memcpy(converted.bytes.get(), body.data(), body.size());
  return converted;
}

}  // namespace webhook::core
