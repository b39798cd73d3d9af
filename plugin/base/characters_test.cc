#include "plugin/base/characters.h"

#include <gtest/gtest.h>

#include <string>

namespace base {
namespace {

TEST(CharactersTest, TokensHaveTheCharactersOfTheRfcAndNoOthers) {
  const std::string allowed =
      "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (int c = 0; c < 256; ++c) {
    const char octet = static_cast<char>(c);
    EXPECT_EQ(kTokenCharacters.Has(octet), allowed.find(octet) != std::string::npos) << c;
    EXPECT_EQ(IsToken(std::string("abcdefgh") + octet), kTokenCharacters.Has(octet)) << c;
  }
  EXPECT_FALSE(IsToken(""));
}

TEST(CharactersTest, FieldValuesHaveNoControlCharacterButTheTab) {
  for (int c = 0; c < 256; ++c) {
    const bool control = (c < 0x20 && c != '\t') || c == 0x7F;
    EXPECT_EQ(kFieldValueCharacters.Has(static_cast<char>(c)), !control) << c;
    for (const char* around : {"", "\t", "abcdefgh", "1234567\t"}) {
      EXPECT_EQ(IsFieldValue(around + std::string(1, static_cast<char>(c)) + around), !control)
          << c;
    }
  }
  EXPECT_TRUE(IsFieldValue(""));
}

TEST(CharactersTest, NamesAreLettersDigitsUnderscoreAndHyphenUpTo64) {
  EXPECT_TRUE(IsName("my-Webhook_01"));
  EXPECT_TRUE(IsName(std::string(64, 'a')));
  EXPECT_FALSE(IsName(std::string(65, 'a')));
  for (const char* name : {"", "a b", "a/b", "a.b", "ä", "a\n"}) EXPECT_FALSE(IsName(name)) << name;
}

TEST(CharactersTest, HexDigitsAreReadInEitherCase) {
  const std::string digits = "0123456789abcdef";
  for (int c = 0; c < 256; ++c) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
    const size_t value = digits.find(lower);
    EXPECT_EQ(HexDigit(static_cast<char>(c)),
              value == std::string::npos ? -1 : static_cast<int>(value));
  }
}

}  // namespace
}  // namespace base
