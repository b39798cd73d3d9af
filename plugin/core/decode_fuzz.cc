// Takes any bytes as a compressed body, and compresses them. The result stays within its limits and
// is what zlib itself makes of it; bytes that were compressed come back.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "plugin/core/decode.h"
#include "tests/fuzz/input.h"

namespace {

using webhook::core::DecodeBody;
using webhook::core::HeaderView;
using webhook::fuzz::Require;

constexpr HeaderView kGzip[] = {{"Content-Encoding", "gzip"}};
constexpr HeaderView kDeflate[] = {{"content-encoding", "identity, Deflate"}};

webhook::Limits SmallLimits() {
  webhook::Limits limits;
  limits.expanded_body_bytes = 200'000;
  limits.expansion_ratio = 20;
  limits.body_bytes = 64 * 1024;
  return limits;
}

std::string Compress(absl::string_view text, int window_bits) {
  z_stream stream = {};
  Require(deflateInit2(&stream, 1, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string compressed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_out = static_cast<uInt>(compressed.size());
  Require(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  return compressed;
}

// By its mark, so that it is converted.
bool IsUtf16(absl::string_view text) {
  return absl::StartsWith(text, "\xFF\xFE") || absl::StartsWith(text, "\xFE\xFF");
}

void CheckDecoded(absl::string_view body, std::span<const HeaderView> headers) {
  static const webhook::Limits limits = SmallLimits();
  const auto decoded = DecodeBody(body, headers, limits);
  if (!decoded.ok()) {
    Require(absl::IsInvalidArgument(decoded.status()) ||
            absl::IsResourceExhausted(decoded.status()));
    return;
  }
  const absl::string_view text = decoded->text();
  Require(text.size() <= 200'000);
  Require(text.size() <= static_cast<size_t>(limits.body_bytes) || text.size() <= body.size() * 20);
  // 64 more bytes must be readable.
  unsigned sum = 0;
  for (size_t i = 0; i < text.size() + 64; ++i) sum += static_cast<unsigned char>(text.data()[i]);
  volatile unsigned kept = sum;
  (void)kept;
  if (headers.data() != kGzip) return;
  std::string other(text.size() + 1, '\0');
  z_stream stream = {};
  Require(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(other.data());
  stream.avail_out = static_cast<uInt>(other.size());
  do {  // of each member
    Require(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  } while (stream.avail_in != 0 && inflateReset(&stream) == Z_OK);
  other.resize(other.size() - stream.avail_out);
  inflateEnd(&stream);
  Require(text == other || IsUtf16(other));
}

void CheckRoundTrip(absl::string_view text, int window_bits, std::span<const HeaderView> headers) {
  if (IsUtf16(text)) return;
  const auto decoded = DecodeBody(Compress(text, window_bits), headers, webhook::Limits());
  Require(decoded.ok() && decoded->text() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  CheckDecoded(bytes, kGzip);
  CheckDecoded(bytes, kDeflate);
  CheckRoundTrip(bytes, 16 + MAX_WBITS, kGzip);
  CheckRoundTrip(bytes, MAX_WBITS, kDeflate);
  const HeaderView named[] = {{"Content-Encoding", bytes.substr(0, 20)},
                              {bytes.substr(0, 16), "gzip"}};
  if (webhook::core::IsEncoded(bytes, named)) (void)DecodeBody(bytes, named, webhook::Limits());
  return 0;
}
