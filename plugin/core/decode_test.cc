#include "plugin/core/decode.h"

#include <brotli/encode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "absl/strings/str_cat.h"

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

std::string Zstd(const std::string& text, int window_log = 0) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  // A window of its own is written down only where the size is not.
  if (window_log != 0) ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::string result(ZSTD_compressBound(text.size()), '\0');
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer out{result.data(), result.size(), 0};
  // In two steps, since a frame that is made in one has the window that its text needs.
  while (in.pos < in.size) ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
  EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0u);
  result.resize(out.pos);
  ZSTD_freeCCtx(context);
  return result;
}

std::string Brotli(const std::string& text, int window_bits = BROTLI_DEFAULT_WINDOW) {
  BrotliEncoderState* const state = BrotliEncoderCreateInstance(nullptr, nullptr, nullptr);
  BrotliEncoderSetParameter(state, BROTLI_PARAM_QUALITY, 5);
  BrotliEncoderSetParameter(state, BROTLI_PARAM_LARGE_WINDOW, window_bits > 24);
  BrotliEncoderSetParameter(state, BROTLI_PARAM_LGWIN, window_bits);
  std::string result(BrotliEncoderMaxCompressedSize(text.size()) + 64, '\0');
  size_t in_left = text.size(), out_left = result.size();
  const auto* in = reinterpret_cast<const uint8_t*>(text.data());
  auto* out = reinterpret_cast<uint8_t*>(result.data());
  EXPECT_TRUE(BrotliEncoderCompressStream(state, BROTLI_OPERATION_FINISH, &in_left, &in, &out_left,
                                          &out, nullptr));
  EXPECT_TRUE(BrotliEncoderIsFinished(state));
  BrotliEncoderDestroyInstance(state);
  result.resize(result.size() - out_left);
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
  for (const char* coding :
       {"brotli", "compress", "gzip2", "gzip, gzip", "gzip, deflate", "gzip, br", "zstd, zstd"}) {
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

TEST(DecodeTest, ZstdOrBrotliCutAnywhereIsRefused) {
  for (const auto& [body, coding] :
       {std::pair(Zstd(R"({"name":"a"})"), "zstd"), std::pair(Brotli(R"({"name":"a"})"), "br"),
        std::pair(Zstd(std::string(300'000, 'a')), "zstd"),
        std::pair(Brotli(std::string(300'000, 'a')), "br")}) {
    for (size_t size = 0; size < body.size(); ++size) {
      EXPECT_EQ(Code(body.substr(0, size), coding), kBad) << coding << size;
    }
  }
}

TEST(DecodeTest, CorruptZstdOrBrotliOrBytesAfterItsEndAreRefused) {
  const std::string text = R"({"name":"a"})", zstd = Zstd(text), brotli = Brotli(text);
  EXPECT_EQ(Code(zstd + "x", "zstd"), kBad);
  EXPECT_EQ(Code(zstd + "abcd", "zstd"), kBad);
  EXPECT_EQ(Code(zstd + zstd.substr(0, zstd.size() - 1), "zstd"), kBad);
  EXPECT_EQ(Code(brotli + "x", "br"), kBad);
  EXPECT_EQ(Code(brotli + brotli, "br"), kBad);
  for (const char* coding : {"zstd", "br"}) EXPECT_EQ(Code(text, coding), kBad) << coding;
  EXPECT_EQ(Code(brotli, "zstd"), kBad);
  EXPECT_EQ(Code(zstd, "br"), kBad);
  std::string damaged = zstd;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);  // in the checksum
  EXPECT_EQ(Code(damaged, "zstd"), kBad);
  // The frame of a format that was never standardized: version 0.7 of the library.
  EXPECT_EQ(Code(absl::StrCat("\x27", zstd.substr(1)), "zstd"), kBad);
  // A frame that needs a dictionary.
  EXPECT_EQ(
      Code(absl::StrCat("\x28\xB5\x2F\xFD\x01", absl::string_view("\x58\x07\x01\0\0", 5)), "zstd"),
      kBad);
}

TEST(DecodeTest, WindowBeyondTheStandardIsRefused) {
  const std::string text(100'000, 'a');
  EXPECT_EQ(Decode(Zstd(text, 23), "zstd")->text(), text);
  EXPECT_EQ(Decode(Zstd(text, 24), "zstd").status().message(),
            "The compressed body is made with a window of more than 8 MiB");
  EXPECT_EQ(Decode(Brotli(text, 24), "br")->text(), text);
  EXPECT_EQ(Code(Brotli(text, 25), "br"), kBad);
}

TEST(DecodeTest, ExpansionOfZstdAndBrotliIsBounded) {
  Limits limits;
  limits.expanded_body_bytes = limits.body_bytes = 100'000;
  const std::string most(100'000, ' '), more(100'001, ' ');
  EXPECT_EQ(Decode(Zstd(most), "zstd", limits)->text(), most);
  EXPECT_EQ(Decode(Brotli(most), "br", limits)->text(), most);
  EXPECT_EQ(Code(Zstd(more), "zstd", limits), kTooLarge);
  EXPECT_EQ(Code(Brotli(more), "br", limits), kTooLarge);
  EXPECT_EQ(Code(Zstd(most) + Zstd(" "), "zstd", limits), kTooLarge);
  limits.body_bytes = 1'000;
  limits.expansion_ratio = 10;
  EXPECT_EQ(Code(Zstd(most), "zstd", limits), kTooLarge);
  EXPECT_EQ(Code(Brotli(most), "br", limits), kTooLarge);
}

TEST(DecodeTest, FramesOfZstdAreOneBodyAndSkippableOnesAreSkipped) {
  const std::string skippable("\x5F\x2A\x4D\x18\x02\0\0\0xy", 10);
  EXPECT_EQ(Decode(Zstd("[{},") + skippable + Zstd("{}]"), "zstd")->text(), "[{},{}]");
  EXPECT_EQ(Decode(skippable + Zstd("") + Zstd("{}"), "zstd")->text(), "{}");
  EXPECT_EQ(Decode(skippable, "zstd")->text(), "");
  EXPECT_EQ(Code(skippable.substr(0, 9), "zstd"), kBad);
}

TEST(DecodeTest, CorruptBodyOrBytesAfterItsEndAreRefused) {
  std::string body = Compress(R"({"name":"a"})", kGzip);
  EXPECT_EQ(Code(body + "x", "gzip"), kBad);
  EXPECT_EQ(Code(body + body.substr(0, body.size() - 1), "gzip"), kBad);
  EXPECT_EQ(Code(body + std::string(8, '\0'), "gzip"), kBad);
  const std::string zlib = Compress(R"({"name":"a"})", kZlib);
  EXPECT_EQ(Code(zlib + zlib, "deflate"), kBad);
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
  // The ratio counts from what may be sent uncompressed on.
  limits.expansion_ratio = 1;
  limits.body_bytes = 65'536;
  EXPECT_TRUE(Decode(Compress(std::string(65'536, ' '), kGzip), "gzip", limits).ok());
  EXPECT_EQ(Code(Compress(std::string(65'537, ' '), kGzip), "gzip", limits), kTooLarge);
}

TEST(DecodeTest, BodyThatIsTakenPlainIsTakenHoweverWellItIsCompressed) {
  const std::string batch(4'000'000, ' ');
  const std::string body = Compress(batch, kGzip);
  ASSERT_GT(batch.size(), 111 * body.size());
  const auto decoded = Decode(body, "gzip");
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->text(), batch);
}

TEST(DecodeTest, MembersOfGzipAreOneBodyAndOneBound) {
  const std::string first = Compress("[{},", kGzip), second = Compress("{}]", kGzip);
  EXPECT_EQ(Decode(first + second, "gzip")->text(), "[{},{}]");
  EXPECT_EQ(Decode(first + Compress("", kGzip) + second, "gzip")->text(), "[{},{}]");
  Limits limits;
  limits.body_bytes = limits.expanded_body_bytes = 100'000;
  const std::string member = Compress(std::string(50'000, ' '), kGzip);
  EXPECT_TRUE(Decode(member + member, "gzip", limits).ok());
  EXPECT_EQ(Code(member + member + Compress(" ", kGzip), "gzip", limits), kTooLarge);
}

TEST(DecodeTest, CharsetThatStandsForACodingCountsOnlyAlone) {
  const auto encoded = [](absl::string_view coding) {
    const HeaderView headers[] = {{"Content-Encoding", coding}};
    return IsEncoded("{}", headers);
  };
  EXPECT_FALSE(encoded("UTF-8"));
  EXPECT_FALSE(encoded(" , utf-8,"));
  const std::string body = Compress("{}", kGzip);
  for (const char* coding : {"gzip, UTF-8", "UTF-8, gzip", "UTF-8, identity", "UTF-8, utf-8"}) {
    EXPECT_TRUE(encoded(coding)) << coding;
    EXPECT_EQ(Code(body, coding), kUnknown) << coding;
  }
  const HeaderView lines[] = {{"Content-Encoding", "UTF-8"}, {"Content-Encoding", "gzip"}};
  EXPECT_EQ(DecodeBody(body, lines, Limits()).status().code(), kUnknown);
}

// What becomes of a body with that Content-Type: its text, or the code of the refusal.
std::string As(const std::string& type, const std::string& body, const Limits& limits = Limits()) {
  const HeaderView headers[] = {{"content-TYPE", type}};
  if (!IsEncoded(body, headers)) return body;
  const auto decoded = DecodeBody(body, headers, limits);
  if (decoded.ok()) return std::string(decoded->text());
  return absl::StatusCodeToString(decoded.status().code());
}

std::string Utf16(const std::u16string& text, bool big) {
  std::string bytes;
  for (const char16_t unit : text) {
    const char high = static_cast<char>(unit >> 8), low = static_cast<char>(unit & 0xFF);
    bytes += big ? std::string{high, low} : std::string{low, high};
  }
  return bytes;
}

TEST(DecodeTest, UnknownOrContradictingCharsetIsUnsupported) {
  for (const char* type :
       {"application/json; charset=utf-7", "text/plain;charset=shift_jis", "a/b; charset=utf-32",
        "a/b; charset=", "a/b; charset=utf-8; charset=utf-16", "a/b; charset=UTF-8//TRANSLIT",
        "a/b; x=\"y\"; CHARSET = koi8-r"}) {
    EXPECT_EQ(As(type, "{}"), "UNIMPLEMENTED") << type;
  }
  const HeaderView two[] = {{"Content-Type", "a/b; charset=utf-8"},
                            {"Content-Type", "a/b; charset=latin1"}};
  EXPECT_EQ(DecodeBody("{}", two, Limits()).status().code(), kUnknown);
}

TEST(DecodeTest, BytesThatACharsetDoesNotHaveAreRefused) {
  const std::string type = "application/json; charset=";
  EXPECT_EQ(As(type + "us-ascii", "{\"a\":\"\xC3\xA9\"}"), "INVALID_ARGUMENT");
  EXPECT_EQ(As(type + "windows-1252", "\"\x81\""), "INVALID_ARGUMENT");
  for (const bool big : {false, true}) {
    const std::string name = big ? "utf-16be" : "utf-16le";
    EXPECT_EQ(As(type + name, Utf16(u"{}", big) + "x"), "INVALID_ARGUMENT");  // cut
    std::u16string lone = u"\"x\"";
    lone[1] = 0xD83D;
    EXPECT_EQ(As(type + name, Utf16(lone, big)), "INVALID_ARGUMENT");
    EXPECT_EQ(As(type + name, Utf16(u"\uFEFF{}", !big)), "INVALID_ARGUMENT");
    EXPECT_EQ(As(type + "utf-8", Utf16(u"\uFEFF{}", big)), "INVALID_ARGUMENT");
    EXPECT_EQ(As(type + "latin1", Utf16(u"\uFEFF{}", big)), "INVALID_ARGUMENT");
  }
  EXPECT_EQ(As(type + "latin1", "\xEF\xBB\xBF{}"), "INVALID_ARGUMENT");
  EXPECT_EQ(As(type + "utf-16", "\xEF\xBB\xBF{}"), "INVALID_ARGUMENT");
  Limits limits;
  limits.expanded_body_bytes = 1000;
  EXPECT_EQ(As(type + "latin1", std::string(500, '\xE9'), limits).size(), 1000u);
  EXPECT_EQ(As(type + "latin1", std::string(501, '\xE9'), limits), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(As(type + "utf-16", Utf16(std::u16string(1001, u'a'), true), limits),
            "RESOURCE_EXHAUSTED");
}

TEST(DecodeTest, FiveCharsetsBecomeUtf8) {
  const std::string text = "{\"a\":\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"}";
  const std::u16string units = u"{\"a\":\"\u00E9\u20AC\U0001F600\"}";
  for (const bool big : {false, true}) {
    EXPECT_EQ(As("application/json", Utf16(u"\uFEFF" + units, big)), text);
    EXPECT_EQ(As("application/json; charset=\"UTF-16\"", Utf16(units, big)), text);
    EXPECT_EQ(As("application/json; charset=utf-16", Utf16(u"\uFEFF" + units, big)), text);
    EXPECT_EQ(As(big ? "a/b;charset=utf-16be" : "a/b;charset=UTF-16LE", Utf16(units, big)), text);
  }
  EXPECT_EQ(As("a/b; charset=iso-8859-1", "\"\xE9\x80\""), "\"\xC3\xA9\xC2\x80\"");
  EXPECT_EQ(As("a/b; charset=windows-1252", "\"\xE9\x80\""), "\"\xC3\xA9\xE2\x82\xAC\"");
  EXPECT_EQ(As("a/b; charset=us-ascii", "{}"), "{}");
  EXPECT_EQ(As("a/b; boundary=\"; charset=x\"; charset=utf8", text), text);
  EXPECT_EQ(As("multipart/form-data; boundary=charset", text), text);
  const HeaderView both[] = {{"Content-Type", "a/b; charset=utf-16"}, {"Content-Encoding", "gzip"}};
  EXPECT_EQ(DecodeBody(Compress(Utf16(units, true), kGzip), both, Limits())->text(), text);
}

TEST(DecodeTest, RefusalTellsWhetherTheCodingOrTheCharsetWasWrong) {
  const auto step = [](absl::string_view coding, absl::string_view type, absl::string_view body) {
    const HeaderView headers[] = {{"Content-Encoding", coding}, {"Content-Type", type}};
    DecodeStep step;
    EXPECT_FALSE(DecodeBody(body, headers, Limits(), &step).ok());
    return step;
  };
  EXPECT_EQ(step("compress", "a/b; charset=x", "{}"), DecodeStep::kCoding);
  EXPECT_EQ(step("gzip", "a/b; charset=latin1", "{}"), DecodeStep::kCoding);
  EXPECT_EQ(step("", "a/b; charset=x", "{}"), DecodeStep::kCharset);
  EXPECT_EQ(step("gzip", "a/b; charset=ascii", Compress("\xE9", kGzip)), DecodeStep::kCharset);
}

TEST(DecodeTest, EachCodingIsUndone) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919);
  for (const auto& [body, coding] :
       {std::pair(Compress(text, kGzip), "gzip"), std::pair(Compress(text, kGzip), "X-GZip"),
        std::pair(Compress(text, kGzip), "identity, gzip ,"),
        std::pair(Compress(text, kZlib), "deflate"), std::pair(Compress(text, kRaw), "deflate"),
        std::pair(Zstd(text), "zstd"), std::pair(Zstd(text), "ZSTD"), std::pair(Brotli(text), "br"),
        std::pair(Brotli(text), "Br")}) {
    const auto decoded = Decode(body, coding);
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
  EXPECT_FALSE(IsEncoded("{}", none));
  EXPECT_FALSE(IsEncoded("{}", identity));
  EXPECT_TRUE(IsEncoded("{}", gzip));
}

}  // namespace
}  // namespace webhook::core
