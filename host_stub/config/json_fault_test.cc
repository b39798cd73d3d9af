#include "host_stub/config/json_fault.h"

#include <string>

#include "gtest/gtest.h"

namespace host_stub {
namespace {

TEST(FindJsonFault, NamesLineAndColumn) {
  EXPECT_EQ(FindJsonFault("{\n  \"a\": 1\n  \"b\": 2\n}"),
            "line 3, column 3: this is not expected here");
  EXPECT_EQ(FindJsonFault("{\"a\": 1,}"), "line 1, column 9: this is not expected here");
  EXPECT_EQ(FindJsonFault("{\"a\" 1}"), "line 1, column 6: this is not expected here");
  EXPECT_EQ(FindJsonFault("[1 2]"), "line 1, column 4: this is not expected here");
  EXPECT_EQ(FindJsonFault("// comment\n{}"), "line 1, column 1: this is not expected here");
  EXPECT_EQ(FindJsonFault("{} x"), "line 1, column 4: expected nothing more after the value");
}

TEST(FindJsonFault, TextThatEndsTooEarlyIsNamedAtItsEnd) {
  EXPECT_EQ(FindJsonFault("{\"a\":\n \"b}"), "line 2, column 5: the text ends too early");
  EXPECT_EQ(FindJsonFault(""), "line 1, column 1: the text ends too early");
}

TEST(FindJsonFault, FindsEveryKindOfMalformedValue) {
  for (const char* text : {"",         " ",           "{",
                           "[",        "[1",          "nul",
                           "truE",     "-",           "01",
                           "1.",       "1e",          "+1",
                           "'a'",      "\"\\x\"",     "\"\\u12g4\"",
                           "\"a\nb\"", "{a:1}",       "NaN",
                           "\"\xff\"", "\"\\ud800\"", "1e99999999999"}) {
    EXPECT_NE(FindJsonFault(text), "") << text;
  }
}

TEST(FindJsonFault, EndlessNestingEndsWithAFault) {
  EXPECT_EQ(FindJsonFault(std::string(1'000'000, '[')), "line 1, column 65: nested too deep");
}

TEST(FindJsonFault, FindsNothingInJson) {
  for (const char* text :
       {"{}", "[]", " {\"a\": [1, -0.5e+3, true, false, null, \"\\u00e9\\n\"]} ", "0", "\"\""}) {
    EXPECT_EQ(FindJsonFault(text), "") << text;
  }
}

}  // namespace
}  // namespace host_stub
