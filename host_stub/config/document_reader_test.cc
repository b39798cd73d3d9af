#include "host_stub/config/document_reader.h"

#include <string>

#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace host_stub {
namespace {

// What is wrong with the JSON; "" for valid JSON.
std::string Fault(absl::string_view text) {
  DocumentReader reader("file");
  const absl::Status status = reader.Open(text);
  return std::string(absl::StripPrefix(status.message(), "file: not valid JSON: "));
}

TEST(DocumentReader, NamesLineAndColumn) {
  EXPECT_EQ(Fault("{\n  \"a\": 1\n  \"b\": 2\n}"), "line 3, column 3: this is not expected here");
  EXPECT_EQ(Fault("{\"a\": 1,}"), "line 1, column 9: this is not expected here");
  EXPECT_EQ(Fault("{\"a\" 1}"), "line 1, column 6: this is not expected here");
  EXPECT_EQ(Fault("[1 2]"), "line 1, column 4: this is not expected here");
  EXPECT_EQ(Fault("// comment\n{}"), "line 1, column 1: this is not expected here");
  EXPECT_EQ(Fault("{} x"), "line 1, column 4: expected nothing more after the value");
}

TEST(DocumentReader, TextThatEndsTooEarlyIsNamedAtItsEnd) {
  EXPECT_EQ(Fault("{\"a\":\n \"b}"), "line 2, column 5: the text ends too early");
  EXPECT_EQ(Fault(""), "line 1, column 1: the text ends too early");
}

TEST(DocumentReader, FindsEveryKindOfMalformedValue) {
  for (const char* text :
       {"",      " ",   "{",        "[",          "[1",  "nul",     "truE",        "-",
        "01",    "1.",  "1e",       "+1",         "'a'", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"",
        "{a:1}", "NaN", "\"\xff\"", "\"\\ud800\""}) {
    EXPECT_NE(Fault(text), "") << text;
  }
}

TEST(DocumentReader, EndlessNestingEndsWithAFault) {
  EXPECT_EQ(Fault(std::string(1'000'000, '[')), "line 1, column 65: nested too deep");
}

TEST(DocumentReader, FindsNothingInJson) {
  for (const char* text : {"{}", "[]", " {\"a\": [1, -0.5e+3, true, false, null, \"\\u00e9\\n\"]} ",
                           "0", "\"\"", "1e99999999999"}) {
    EXPECT_EQ(Fault(text), "") << text;
  }
}

}  // namespace
}  // namespace host_stub
