#include "plugin/core/decode.h"

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

namespace webhook::core {
namespace {

constexpr size_t kPadding = 64;
constexpr size_t kFirstBytes = 16 * 1024;
// Short repetitive bodies exceed any ratio; the ratio is meant for bombs.
constexpr size_t kHarmlessBytes = 64 * 1024;

enum class Coding { kIdentity, kGzip, kDeflate, kOther };

Coding CodingOf(absl::string_view name) {
  if (name.empty() || absl::EqualsIgnoreCase(name, "identity")) return Coding::kIdentity;
  if (absl::EqualsIgnoreCase(name, "gzip") || absl::EqualsIgnoreCase(name, "x-gzip")) {
    return Coding::kGzip;
  }
  return absl::EqualsIgnoreCase(name, "deflate") ? Coding::kDeflate : Coding::kOther;
}

// Returns the one coding that is not identity, over all lines and list members. Stacked codings
// multiply the expansion, and no known sender uses them, so they count as an unknown coding.
Coding CodingOf(std::span<const HeaderView> headers) {
  Coding found = Coding::kIdentity;
  for (const HeaderView& header : headers) {
    if (!header.IsNamed("content-encoding")) continue;
    for (const absl::string_view part : absl::StrSplit(header.value, ',')) {
      const Coding coding = CodingOf(absl::StripAsciiWhitespace(part));
      if (coding == Coding::kIdentity) continue;
      found = found == Coding::kIdentity ? coding : Coding::kOther;
    }
  }
  return found;
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

}  // namespace

bool IsEncoded(std::span<const HeaderView> headers) {
  return CodingOf(headers) != Coding::kIdentity;
}

absl::StatusOr<DecodedBody> DecodeBody(absl::string_view body, std::span<const HeaderView> headers,
                                       const Limits& limits) {
  const Coding coding = CodingOf(headers);
  if (coding == Coding::kOther || coding == Coding::kIdentity) {
    return absl::UnimplementedError("Content-Encoding must be gzip, deflate or identity");
  }
  if (body.empty()) return BadBody("cut short");
  const size_t most =
      std::min(static_cast<size_t>(limits.expanded_body_bytes),
               std::max(kHarmlessBytes, body.size() * static_cast<size_t>(limits.expansion_ratio)));
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
    if (code == Z_STREAM_END) break;
    if (code != Z_OK && code != Z_BUF_ERROR) return BadBody("corrupt");
    if (stream.avail_in == 0 && stream.avail_out != 0) return BadBody("cut short");
  }
  if (stream.avail_in != 0) return BadBody("followed by other bytes");
  return result;
}

}  // namespace webhook::core
