#include "plugin/base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace base {
namespace {

TEST(Utf8Test, EveryCodePointIsReadAsItIsWritten) {
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    char bytes[4];
    const absl::string_view text(bytes, static_cast<size_t>(WriteUtf8(code_point, bytes) - bytes));
    const Character character = FirstCharacter(text);
    ASSERT_EQ(character.code_point, code_point);
    ASSERT_EQ(character.bytes, text.size());
    ASSERT_TRUE(IsUtf8(text));
    ASSERT_EQ(ValidUtf8Prefix(text.substr(0, text.size() - 1)), 0u);
  }
}

TEST(Utf8Test, WhatTheRfcForbidsIsMalformed) {
  for (const char* bytes : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                            "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                            "\xF5\x80\x80\x80", "\xFF", "\xC3(", "\xE2\x82", "\xE2\x28\xA1"}) {
    EXPECT_EQ(FirstCharacter(bytes).code_point, Character::kMalformed) << bytes;
    EXPECT_EQ(FirstCharacter(bytes).bytes, 1u);
    EXPECT_FALSE(IsUtf8(bytes));
    EXPECT_FALSE(IsUtf8(std::string("12345678") + bytes + "12345678"));
    EXPECT_EQ(ValidUtf8Prefix(std::string("12345678ä") + bytes + "1"), 10u);
  }
}

TEST(Utf8Test, TextIsCutBeforeACharacterThatDoesNotFit) {
  EXPECT_EQ(CutAtCharacter("aä€", 6), "aä€");
  EXPECT_EQ(CutAtCharacter("aä€", 5), "aä");
  EXPECT_EQ(CutAtCharacter("aä€", 3), "aä");
  EXPECT_EQ(CutAtCharacter("aä€", 2), "a");
  EXPECT_EQ(CutAtCharacter("aä€", 0), "");
  EXPECT_EQ(CutAtCharacter("\x80\x80\x80", 2), "");
}

TEST(Utf8Test, InvisibleCharactersAreNamed) {
  EXPECT_EQ(InvisibleCharacterIn("pass\xC2\xA0word"), "no-break space (U+00a0)");
  EXPECT_EQ(InvisibleCharacterIn("\xE2\x80\x8B"), "zero width character (U+200b)");
  EXPECT_EQ(InvisibleCharacterIn("a\xF3\xA0\x81\xA1"), "tag or variation selector (U+e0061)");
  EXPECT_EQ(InvisibleCharacterIn("a \t\n\xFF\xC3\xA9\xE6\x97\xA5"), "");
}

}  // namespace
}  // namespace base
