#include "plugin/core/decode.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace webhook::core {
namespace {

constexpr int kGzip = 16 + MAX_WBITS;
constexpr int kZlib = MAX_WBITS;
constexpr int kRaw = -MAX_WBITS;

std::string Compress(const std::string& text, int window_bits) {
  z_stream stream = {};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string result(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

absl::StatusOr<DecodedBody> Decode(const std::string& body, absl::string_view coding,
                                   const Limits& limits = Limits()) {
  const HeaderView headers[] = {{"Host", "h"}, {"CONTENT-encoding", coding}};
  return DecodeBody(body, headers, limits);
}

absl::StatusCode Code(const std::string& body, absl::string_view coding,
                      const Limits& limits = Limits()) {
  return Decode(body, coding, limits).status().code();
}

constexpr auto kBad = absl::StatusCode::kInvalidArgument;
constexpr auto kTooLarge = absl::StatusCode::kResourceExhausted;
constexpr auto kUnknown = absl::StatusCode::kUnimplemented;

TEST(DecodeTest, UnknownOrStackedCodingIsUnsupported) {
  const std::string body = Compress("{}", kGzip);
  for (const char* coding : {"br", "zstd", "compress", "gzip2", "gzip, gzip", "gzip, deflate"}) {
    EXPECT_EQ(Code(body, coding), kUnknown) << coding;
  }
  const HeaderView twice[] = {{"Content-Encoding", "gzip"}, {"Content-Encoding", "gzip"}};
  EXPECT_EQ(DecodeBody(body, twice, Limits()).status().code(), kUnknown);
}

TEST(DecodeTest, BodyCutAnywhereIsRefused) {
  for (const int window_bits : {kGzip, kZlib}) {
    const std::string body = Compress(R"({"name":"a"})", window_bits);
    for (size_t size = 0; size < body.size(); ++size) {
      EXPECT_EQ(Code(body.substr(0, size), window_bits == kGzip ? "gzip" : "deflate"), kBad)
          << size;
    }
  }
}

TEST(DecodeTest, CorruptBodyOrBytesAfterItsEndAreRefused) {
  std::string body = Compress(R"({"name":"a"})", kGzip);
  EXPECT_EQ(Code(body + "x", "gzip"), kBad);
  EXPECT_EQ(Code(body + body, "gzip"), kBad);
  EXPECT_EQ(Code("{\"name\":\"a\"}", "gzip"), kBad);
  body[body.size() - 6] = static_cast<char>(body[body.size() - 6] ^ 1);  // in the checksum
  EXPECT_EQ(Code(body, "gzip"), kBad);
}

TEST(DecodeTest, ExpansionIsBoundedBySizeAndRatio) {
  Limits limits;
  limits.expanded_body_bytes = 100'000;
  limits.expansion_ratio = 2'000;
  EXPECT_EQ(Code(Compress(std::string(100'001, ' '), kGzip), "gzip", limits), kTooLarge);
  EXPECT_TRUE(Decode(Compress(std::string(100'000, ' '), kGzip), "gzip", limits).ok());
  EXPECT_EQ(Code(Compress(std::string(10'000'000, ' '), kGzip), "gzip"), kTooLarge);
  // The ratio counts from 64 KiB on.
  limits.expansion_ratio = 1;
  EXPECT_TRUE(Decode(Compress(std::string(65'536, ' '), kGzip), "gzip", limits).ok());
  EXPECT_EQ(Code(Compress(std::string(65'537, ' '), kGzip), "gzip", limits), kTooLarge);
}

TEST(DecodeTest, GzipAndBothKindsOfDeflateAreUndone) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919);
  for (const auto& [window_bits, coding] :
       {std::pair(kGzip, "gzip"), std::pair(kGzip, "X-GZip"), std::pair(kZlib, "deflate"),
        std::pair(kRaw, "deflate"), std::pair(kGzip, "identity, gzip ,")}) {
    const auto decoded = Decode(Compress(text, window_bits), coding);
    ASSERT_TRUE(decoded.ok()) << coding << decoded.status();
    EXPECT_EQ(decoded->text(), text);
    volatile char last = decoded->text().data()[decoded->text().size() + 63];  // the padding
    (void)last;
  }
}

TEST(DecodeTest, OnlyACodingOtherThanIdentityNeedsDecoding) {
  const HeaderView none[] = {{"Content-Type", "gzip"}};
  const HeaderView identity[] = {{"Content-Encoding", "identity"}, {"Content-Encoding", ""}};
  const HeaderView gzip[] = {{"content-encoding", "gzip"}};
  EXPECT_FALSE(IsEncoded(none));
  EXPECT_FALSE(IsEncoded(identity));
  EXPECT_TRUE(IsEncoded(gzip));
}

}  // namespace
}  // namespace webhook::core
