#include "plugin/core/decode.h"

#include <brotli/decode.h>
#include <errno.h>
#include <iconv.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

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

// Hooks of zstd that a tracer may provide, to be told of each frame. Without these, one of an
// engine's own would be called.
extern "C" unsigned long long ZSTD_trace_decompress_begin(const ZSTD_DCtx*) { return 0; }
extern "C" void ZSTD_trace_decompress_end(unsigned long long, const void*) {}

namespace webhook::core {
namespace {

constexpr size_t kPadding = 64;
constexpr size_t kFirstBytes = 16 * 1024;

enum class Coding { kIdentity, kGzip, kDeflate, kBrotli, kZstd, kOther };

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
  if (absl::EqualsIgnoreCase(name, "deflate")) return Coding::kDeflate;
  if (absl::EqualsIgnoreCase(name, "br")) return Coding::kBrotli;
  return absl::EqualsIgnoreCase(name, "zstd") ? Coding::kZstd : Coding::kOther;
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

// What a decoder has left to read, and room to write.
struct Flow {
  const char* in;
  size_t in_left;
  char* out;
  size_t out_left;
};

enum class Step { kMore, kEnd, kCorrupt, kWindowTooLarge };

// Each decoder below has Advance(), which goes on until it lacks input (kMore) or room (kMore) or
// is at an end, and Restart(), which tells whether another member may follow that end.
class Inflater {
 public:
  Inflater(Coding coding, absl::string_view body) : members_(coding == Coding::kGzip) {
    if (inflateInit2(&stream_, WindowBits(coding, body)) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  Step Advance(Flow& flow) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(flow.in));
    stream_.avail_in = static_cast<uInt>(flow.in_left);
    stream_.next_out = reinterpret_cast<Bytef*>(flow.out);
    stream_.avail_out = static_cast<uInt>(flow.out_left);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    flow = {reinterpret_cast<const char*>(stream_.next_in), stream_.avail_in,
            reinterpret_cast<char*>(stream_.next_out), stream_.avail_out};
    if (code == Z_STREAM_END) return Step::kEnd;
    return code == Z_OK || code == Z_BUF_ERROR ? Step::kMore : Step::kCorrupt;
  }

  // RFC 1952 section 2.2.
  bool Restart() { return members_ && inflateReset(&stream_) == Z_OK; }

 private:
  // zlib's window bits choose the wrapper: 16 added for gzip, negative for none.
  static int WindowBits(Coding coding, absl::string_view body) {
    if (coding == Coding::kGzip) return 16 + MAX_WBITS;
    // RFC 1950 section 2.2: compression method 8, and a check over the first two bytes.
    const bool wrapped =
        body.size() >= 2 && (body[0] & 0x0F) == 8 &&
        (static_cast<unsigned char>(body[0]) * 256 + static_cast<unsigned char>(body[1])) % 31 == 0;
    return wrapped ? MAX_WBITS : -MAX_WBITS;
  }

  z_stream stream_ = {};
  bool members_;
};

class BrotliReader {
 public:
  BrotliReader() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) throw std::bad_alloc();
    // Windows of up to 1 GiB are no part of RFC 7932.
    BrotliDecoderSetParameter(state_, BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
  }
  BrotliReader(const BrotliReader&) = delete;
  BrotliReader& operator=(const BrotliReader&) = delete;
  ~BrotliReader() { BrotliDecoderDestroyInstance(state_); }

  Step Advance(Flow& flow) {
    const auto* in = reinterpret_cast<const uint8_t*>(flow.in);
    auto* out = reinterpret_cast<uint8_t*>(flow.out);
    const BrotliDecoderResult result =
        BrotliDecoderDecompressStream(state_, &flow.in_left, &in, &flow.out_left, &out, nullptr);
    flow.in = reinterpret_cast<const char*>(in);
    flow.out = reinterpret_cast<char*>(out);
    if (result == BROTLI_DECODER_RESULT_SUCCESS) return Step::kEnd;
    if (result != BROTLI_DECODER_RESULT_ERROR) return Step::kMore;
    const BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(state_);
    if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
        code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES) {
      throw std::bad_alloc();
    }
    return Step::kCorrupt;
  }

  bool Restart() { return false; }

 private:
  BrotliDecoderState* state_;
};

class ZstdReader {
 public:
  ZstdReader() : context_(ZSTD_createDCtx()) {
    if (context_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 23);  // RFC 9659 section 3
  }
  ZstdReader(const ZstdReader&) = delete;
  ZstdReader& operator=(const ZstdReader&) = delete;
  ~ZstdReader() { ZSTD_freeDCtx(context_); }

  Step Advance(Flow& flow) {
    if (std::exchange(at_start_, false) && flow.in_left >= 4 && !IsFrame(flow.in)) {
      return Step::kCorrupt;
    }
    ZSTD_inBuffer in{flow.in, flow.in_left, 0};
    ZSTD_outBuffer out{flow.out, flow.out_left, 0};
    const size_t result = ZSTD_decompressStream(context_, &out, &in);
    flow = {flow.in + in.pos, flow.in_left - in.pos, flow.out + out.pos, flow.out_left - out.pos};
    if (ZSTD_isError(result) == 0) return result == 0 ? Step::kEnd : Step::kMore;
    const ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
    if (code == ZSTD_error_memory_allocation) throw std::bad_alloc();
    return code == ZSTD_error_frameParameter_windowTooLarge ? Step::kWindowTooLarge
                                                            : Step::kCorrupt;
  }

  // RFC 8878 section 3.
  bool Restart() { return at_start_ = true; }

 private:
  // The library would take the formats of the years before the RFC, too. There may be frames to be
  // skipped (section 3.1.2).
  static bool IsFrame(const char* magic) {
    return absl::string_view(magic, 4) == "\x28\xB5\x2F\xFD" ||
           ((magic[0] & 0xF0) == 0x50 && absl::string_view(magic + 1, 3) == "\x2A\x4D\x18");
  }

  ZSTD_DCtx* context_;
  bool at_start_ = true;
};

template <typename Decoder>
absl::StatusOr<DecodedBody> ExpandWith(Decoder&& decoder, absl::string_view body, size_t most) {
  Flow flow{body.data(), body.size(), nullptr, 0};
  DecodedBody result;
  size_t capacity = 0;
  for (;;) {
    if (flow.out_left == 0) {
      // One byte more than is permitted shows that the body is too long.
      capacity = std::min(std::max(kFirstBytes, 2 * capacity), most + 1);
      auto bytes = std::make_unique<char[]>(capacity + kPadding);
      if (result.size != 0) std::memcpy(bytes.get(), result.bytes.get(), result.size);
      result.bytes = std::move(bytes);
      flow.out = result.bytes.get() + result.size;
      flow.out_left = capacity - result.size;
    }
    const Step step = decoder.Advance(flow);
    result.size = capacity - flow.out_left;
    if (result.size > most) {
      return absl::ResourceExhaustedError(
          absl::StrCat("The body expands to more than ", most, " bytes"));
    }
    if (step == Step::kCorrupt) return BadBody("corrupt");
    if (step == Step::kWindowTooLarge) return BadBody("made with a window of more than 8 MiB");
    if (step == Step::kEnd) {
      if (flow.in_left == 0) return result;
      if (!decoder.Restart()) return BadBody("followed by other bytes");
    } else if (flow.in_left == 0 && flow.out_left != 0) {
      return BadBody("cut short");
    }
  }
}

absl::StatusOr<DecodedBody> Expand(absl::string_view body, Coding coding, const Limits& limits) {
  if (body.empty()) return BadBody("cut short");
  // The ratio is meant for bombs. What may be sent as it is may also be compressed as well as it
  // can be.
  const size_t most = std::min(static_cast<size_t>(limits.expanded_body_bytes),
                               std::max(static_cast<size_t>(limits.body_bytes),
                                        body.size() * static_cast<size_t>(limits.expansion_ratio)));
  if (coding == Coding::kBrotli) return ExpandWith(BrotliReader(), body, most);
  if (coding == Coding::kZstd) return ExpandWith(ZstdReader(), body, most);
  return ExpandWith(Inflater(coding, body), body, most);
}

}  // namespace

bool IsEncoded(absl::string_view body, std::span<const HeaderView> headers) {
  const Form form = FormOf(headers);
  return form.coding != Coding::kIdentity || form.charset > Charset::kUtf8 ||
         Utf16Mark(body) != nullptr;
}

absl::StatusOr<DecodedBody> DecodeBody(absl::string_view body, std::span<const HeaderView> headers,
                                       const Limits& limits, DecodeStep* step) {
  const Form form = FormOf(headers);
  DecodeStep ignored;
  DecodeStep& at = step == nullptr ? ignored : *step;
  at = DecodeStep::kCoding;
  if (form.coding == Coding::kOther) {
    return absl::UnimplementedError(
        absl::StrCat("Content-Encoding must be identity or one of ", kAcceptEncoding));
  }
  at = DecodeStep::kCharset;
  if (form.charset == Charset::kOther) {
    return absl::UnimplementedError(
        "The charset must be UTF-8, US-ASCII, UTF-16, ISO-8859-1 or Windows-1252");
  }
  DecodedBody unpacked;
  if (form.coding != Coding::kIdentity) {
    auto expanded = Expand(body, form.coding, limits);
    if (!expanded.ok()) {
      at = DecodeStep::kCoding;
      return expanded.status();
    }
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
