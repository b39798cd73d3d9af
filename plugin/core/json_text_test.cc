#include "plugin/core/json_text.h"

#include <gtest/gtest.h>

#include <string>

#include "plugin/core/json_chars.h"

namespace webhook::core {
namespace {

std::string Escaped(absl::string_view text) {
  std::string escaped;
  AppendJsonEscaped(&escaped, text);
  return escaped;
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

TEST(JsonTextTest, BytesThatAreNoUtf8AreTakenAsLatin1) {
  std::string escaped;
  AppendJsonEscapedBytes(&escaped, "12345678\xE4\"");
  EXPECT_EQ(escaped, "12345678\xC3\xA4\\\"");
  escaped.clear();
  AppendJsonEscapedBytes(&escaped, "12345678\xC3\xA4");
  EXPECT_EQ(escaped, "12345678\xC3\xA4");
}

}  // namespace
}  // namespace webhook::core
