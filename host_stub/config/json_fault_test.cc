#include "host_stub/config/json_fault.h"

#include <string>

#include "gtest/gtest.h"

namespace host_stub {
namespace {

TEST(FindJsonFault, NamesLineColumnAndWhatWasExpected) {
  EXPECT_EQ(FindJsonFault("{\n  \"a\": 1\n  \"b\": 2\n}"), "line 3, column 3: expected ',' or '}'");
  EXPECT_EQ(FindJsonFault("{\"a\": 1,}"), "line 1, column 9: expected a name in double quotes");
  EXPECT_EQ(FindJsonFault("{\"a\" 1}"), "line 1, column 6: expected ':'");
  EXPECT_EQ(FindJsonFault("[1 2]"), "line 1, column 4: expected ',' or ']'");
  EXPECT_EQ(FindJsonFault("{} x"), "line 1, column 4: expected nothing more after the value");
  EXPECT_EQ(FindJsonFault("// comment\n{}"), "line 1, column 1: expected a JSON value");
}

TEST(FindJsonFault, PointsAtTheTextThatIsNotClosed) {
  EXPECT_EQ(FindJsonFault("{\"a\": \"b}"),
            "line 1, column 7: expected '\"' at the end of this text");
}

TEST(FindJsonFault, FindsEveryKindOfMalformedValue) {
  for (const char* text : {"", " ", "{", "[", "[1", "nul", "truE", "-", "01", "1.", "1e", "+1",
                           "'a'", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "{a:1}", "NaN"}) {
    EXPECT_NE(FindJsonFault(text), "") << text;
  }
}

TEST(FindJsonFault, EndlessNestingEndsWithAFault) {
  EXPECT_NE(FindJsonFault(std::string(1'000'000, '[')), "");
}

TEST(FindJsonFault, FindsNothingInJson) {
  for (const char* text :
       {"{}", "[]", " {\"a\": [1, -0.5e+3, true, false, null, \"\\u00e9\\n\"]} ", "0", "\"\""}) {
    EXPECT_EQ(FindJsonFault(text), "") << text;
  }
}

}  // namespace
}  // namespace host_stub
