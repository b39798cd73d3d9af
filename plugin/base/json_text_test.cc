#include "plugin/base/json_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "plugin/base/json_reader.h"

namespace base {
namespace {

std::string Escaped(absl::string_view text) {
  std::string escaped;
  AppendJsonString(&escaped, text);
  return escaped.substr(1, escaped.size() - 2);
}

// In a block of its own size, so that AddressSanitizer sees what is written past it.
std::string EscapedBytes(absl::string_view bytes) {
  const auto room = std::make_unique<char[]>(MostEscapedBytes(bytes.size()));
  bool beyond_ascii = false;
  char* const end = WriteJsonEscapedBytes(bytes, room.get(), beyond_ascii);
  EXPECT_EQ(beyond_ascii, std::any_of(bytes.begin(), bytes.end(), [](char c) { return c < 0; }));
  return std::string(room.get(), end);
}

TEST(JsonTextTest, EveryOctetThatMustBeIsEscapedAtEveryPlace) {
  for (size_t size = 1; size <= 26; ++size) {
    for (size_t place = 0; place < size; ++place) {
      for (int octet = 0; octet < 0x80; ++octet) {
        std::string text(size, 'x');
        text[place] = static_cast<char>(octet);
        const std::string escaped = Escaped(text);
        const bool must = octet < 0x20 || octet == '"' || octet == '\\';
        EXPECT_EQ(escaped != text, must) << octet << " at " << place << " of " << size;
        std::string back(escaped.size(), '\0');
        back.resize(JsonUnescape(escaped, back.data()));
        EXPECT_EQ(back, text) << octet << " at " << place << " of " << size;
      }
    }
  }
}

TEST(JsonTextTest, SeveralEscapesInARowAndAtTheEndsAreKept) {
  EXPECT_EQ(Escaped(""), "");
  EXPECT_EQ(Escaped("\"\"\\\\\n\r\t\b\f"), "\\\"\\\"\\\\\\\\\\n\\r\\t\\b\\f");
  EXPECT_EQ(Escaped("\x01"
                    "0123456789abcdef\""),
            "\\u00010123456789abcdef\\\"");
}

TEST(JsonTextTest, LongTextsAreEscapedAsShortOnesAre) {
  std::string text;
  std::string expected;
  for (int i = 0; i < 5'000; ++i) {
    text += i % 7 == 0 ? "\x1F" : i % 3 == 0 ? "\"" : "é";
    expected += i % 7 == 0 ? "\\u001f" : i % 3 == 0 ? "\\\"" : "é";
  }
  EXPECT_EQ(Escaped(text), expected);
}

TEST(JsonTextTest, BytesThatAreNoUtf8AreTakenAsLatin1) {
  EXPECT_EQ(EscapedBytes("12345678\xE4\""), "12345678\xC3\xA4\\\"");
  EXPECT_EQ(EscapedBytes("12345678\xC3\xA4"), "12345678\xC3\xA4");
  for (size_t size = 1; size <= 18; ++size) {
    for (size_t place = 0; place < size; ++place) {
      std::string bytes(size, 'x');
      bytes[place] = '\xE4';
      std::string expected(size, 'x');
      expected.replace(place, 1, "ä");
      EXPECT_EQ(EscapedBytes(bytes), expected) << place << " of " << size;
    }
  }
}

TEST(JsonTextTest, StringOfAnyBytesIsValidAndCannotDeceive) {
  EXPECT_EQ(JsonString(""), R"("")");
  EXPECT_EQ(JsonString("a\"\\\n\x1b"), R"("a\"\\\u000a\u001b")");
  EXPECT_EQ(JsonString("\xff\xC3("), "\"\xEF\xBF\xBD\xEF\xBF\xBD(\"");
  EXPECT_EQ(JsonString("\u202Eä\U0001F600"), "\"\\u202eä\U0001F600\"");
  EXPECT_EQ(JsonString("\u200B\U000E0041"), "\"\\u200b\\udb40\\udc41\"");
}

TEST(JsonTextTest, BlanksBetweenPartsGoAndThoseInStringsStay) {
  EXPECT_EQ(CompactJson(" { \"a b\" :\t[ 1 , \"\\\" \" ,\"\\\\\" ] }\r\n"),
            R"({"a b":[1,"\" ","\\"]})");
}

}  // namespace
}  // namespace base
