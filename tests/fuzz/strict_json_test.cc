#include "tests/fuzz/strict_json.h"

#include <string>

#include "gtest/gtest.h"

namespace webhook::fuzz {
namespace {

TEST(CheckJson, RefusesWhatIsNoJson) {
  for (const char* text :
       {"", "{", "{}{}", "{} x", "[1,]", "01", "1.", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\x01\"",
        "NaN", "{\"a\" 1}", "//", "\xef\xbb\xbf{}"}) {
    EXPECT_EQ(CheckJson(text, 9), JsonVerdict::kInvalid) << text;
  }
}

TEST(CheckJson, AcceptsEveryKindOfValueWithBlanksAround) {
  for (const char* text : {"{}", " [1, -0.5e+3, true, false, null, \"\\u00e9\\ud83d\\ude00\"]\n",
                           "123456789012345678901234567890", "1e400", "\"\xc3\xa9\""}) {
    EXPECT_EQ(CheckJson(text, 9), JsonVerdict::kValid) << text;
  }
}

TEST(CheckJson, TellsAnEscapedHalfOfASurrogatePair) {
  for (const char* text : {"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\""}) {
    EXPECT_EQ(CheckJson(text, 9), JsonVerdict::kLoneSurrogate) << text;
  }
}

TEST(CheckJson, CountsArraysAndObjects) {
  EXPECT_EQ(CheckJson("[{\"a\":1}]", 2), JsonVerdict::kValid);
  EXPECT_EQ(CheckJson("[{\"a\":[]}]", 2), JsonVerdict::kTooDeep);
}

TEST(CheckJson, ExponentThatCannotBeCountedIsNotJudged) {
  EXPECT_EQ(CheckJson("1e99999999999999999999", 2), JsonVerdict::kNotKnown);
}

TEST(IsMessage, RefusesWhatIsNoSingleLineOfUtf8) {
  EXPECT_TRUE(IsMessage("passwords: entry 1: \"\xc3\xa9\\\" is wrong"));
  for (const char* text : {"", "a\nb", "a\x1b", "\xff", "\xed\xa0\x80"}) {
    EXPECT_FALSE(IsMessage(text)) << text;
  }
}

}  // namespace
}  // namespace webhook::fuzz
