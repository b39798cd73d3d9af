// Takes any bytes as a compressed body, and compresses them. The result stays within its limits and
// is what zlib itself makes of it; bytes that were compressed come back.
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

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
constexpr HeaderView kBrotli[] = {{"Content-Encoding", "br"}};
constexpr HeaderView kZstd[] = {{"Content-Encoding", "zstd"}};

webhook::Limits SmallLimits() {
  webhook::Limits limits;
  limits.expanded_body_bytes = 200'000;
  limits.expansion_ratio = 20;
  limits.body_bytes = 64 * 1024;
  return limits;
}

std::string Zstd(absl::string_view text) {
  std::string compressed(ZSTD_compressBound(text.size()), '\0');
  const size_t size =
      ZSTD_compress(compressed.data(), compressed.size(), text.data(), text.size(), 1);
  Require(ZSTD_isError(size) == 0);
  compressed.resize(size);
  return compressed;
}

std::string Brotli(absl::string_view text) {
  size_t size = BrotliEncoderMaxCompressedSize(text.size());
  std::string compressed(size, '\0');
  Require(BrotliEncoderCompress(1, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, text.size(),
                                reinterpret_cast<const uint8_t*>(text.data()), &size,
                                reinterpret_cast<uint8_t*>(compressed.data())) == BROTLI_TRUE);
  compressed.resize(size);
  return compressed;
}

std::string Deflate(absl::string_view text, int window_bits) {
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

void CheckRoundTrip(absl::string_view text, absl::string_view compressed,
                    std::span<const HeaderView> headers) {
  if (IsUtf16(text)) return;
  const auto decoded = DecodeBody(compressed, headers, webhook::Limits());
  Require(decoded.ok() && decoded->text() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  CheckDecoded(bytes, kGzip);
  CheckDecoded(bytes, kDeflate);
  CheckDecoded(bytes, kBrotli);
  CheckDecoded(bytes, kZstd);
  CheckRoundTrip(bytes, Deflate(bytes, 16 + MAX_WBITS), kGzip);
  CheckRoundTrip(bytes, Deflate(bytes, MAX_WBITS), kDeflate);
  CheckRoundTrip(bytes, Brotli(bytes), kBrotli);
  CheckRoundTrip(bytes, Zstd(bytes), kZstd);
  const HeaderView named[] = {{"Content-Encoding", bytes.substr(0, 20)},
                              {bytes.substr(0, 16), "gzip"}};
  if (webhook::core::IsEncoded(bytes, named)) (void)DecodeBody(bytes, named, webhook::Limits());
  return 0;
}
