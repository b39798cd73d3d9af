#include "plugin/http/chunked_decoder.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace webhook::http {
namespace {

// The content, or the refusal's status, or "more"; then what is left of the input. In one piece
// and octet by octet, with the same outcome.
std::string Decode(absl::string_view all, const Limits& limits = Limits(), uint64_t most = 100) {
  std::string outcomes[2];
  for (const size_t piece : {all.size(), size_t{1}}) {
    ChunkedDecoder decoder(limits, most);
    std::string content;
    std::string& outcome = outcomes[piece == 1];
    for (size_t at = 0; at < all.size() && outcome.empty(); at += piece) {
      absl::string_view input = all.substr(at, piece), run;
      ChunkedDecoder::Result result;
      while ((result = decoder.Next(input, run)) == ChunkedDecoder::Result::kContent) {
        content.append(run.data(), run.size());
      }
      if (result == ChunkedDecoder::Result::kRefused) {
        outcome = absl::StrCat(decoder.refusal().status);
      } else if (result == ChunkedDecoder::Result::kDone) {
        const size_t used = at + std::min(piece, all.size() - at) - input.size();
        outcome = absl::StrCat(content, "|", all.substr(used));
      }
    }
    if (outcome.empty()) outcome = "more";
  }
  EXPECT_EQ(outcomes[0], outcomes[1]) << all;
  return outcomes[0];
}

TEST(ChunkedDecoderTest, AnythingButTheGrammarIsRefused) {
  for (const char* bad : {"\r\n",           "g\r\n",
                          "+1\r\n",         "-1\r\n",
                          " 1\r\n",         "0x1\r\n",
                          "1 \r\n",         "1\n",
                          "1\r1",           "1;\r\n",
                          "1;=\r\n",        "1;a=\r\n",
                          "1;a=\"\r\n",     "1;a=\"\x01\"\r\n",
                          "1;a b\r\n",      "1\r\nab",
                          "1\r\na\n",       "1\r\na\rb",
                          "0\r\n\n",        "0\r\n\rX",
                          "0\r\n:\r\n",     "0\r\na\r\n",
                          "0\r\na : b\r\n", "0\r\na: b\n",
                          "0\r\n a: b\r\n", "0\r\na: \x01\r\n"}) {
    EXPECT_EQ(Decode(bad), "400") << bad;
  }
  EXPECT_EQ(Decode("fffffffffffffffff\r\n"), "400");
}

TEST(ChunkedDecoderTest, BodyPastItsLimitIsRefusedByTheSizeAlone) {
  EXPECT_EQ(Decode("65\r\n"), "413");
  EXPECT_EQ(Decode("ffffffffffffffff\r\n"), "413");
  EXPECT_EQ(Decode("1\r\na\r\n64\r\n"), "413");
}

TEST(ChunkedDecoderTest, ExtensionsAndTrailersAreBounded) {
  Limits limits;
  limits.request_line_bytes = 20;
  limits.header_section_bytes = 20;
  limits.header_fields = 2;
  EXPECT_EQ(Decode("1;aaaaaaaaaaaaaaaaaaaa\r\n", limits), "413");
  EXPECT_EQ(Decode("1;aaaaaaaaa\r\nx\r\n1;aaaaaaaaaa\r\n", limits), "413");
  EXPECT_EQ(Decode("0\r\na: 34567890123456789012\r\n", limits), "431");
  EXPECT_EQ(Decode("0\r\na:\r\nb:\r\nc:", limits), "431");
}

TEST(ChunkedDecoderTest, ContentIsPutTogetherAndTheRestIsLeft) {
  EXPECT_EQ(Decode("0\r\n\r\n"), "|");
  EXPECT_EQ(Decode("3\r\nabc\r\n2 ; x = \"\\\"\" ;y\r\nde\r\n000\r\nT: 1\r\n\r\nPOST"),
            "abcde|POST");
  EXPECT_EQ(Decode("0000A\r\n0123456789\r\n0;a=b\r\n\r\n"), "0123456789|");
  EXPECT_EQ(Decode("1\r\na\r\n0\r\n"), "more");
}

}  // namespace
}  // namespace webhook::http
