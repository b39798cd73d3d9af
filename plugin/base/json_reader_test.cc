#include "plugin/base/json_reader.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <vector>

#include "plugin/base/testing/json_cases.h"
#include "plugin/base/testing/padded_text.h"

namespace base {
namespace {

// "ok", or the fault.
std::string Read(JsonReader& reader, absl::string_view text) {
  const PaddedText padded(text);
  JsonValue value;
  if (reader.Open(padded.view()) && reader.ReadValue(value) && reader.Finish()) return "ok";
  return std::to_string(reader.fault().byte) + ": " + reader.fault().what;
}

std::string Read(absl::string_view text) {
  JsonReader reader(128);
  return Read(reader, text);
}

std::string Repeat(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

bool IsIncidentShaped(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first != std::string::npos && (text[first] == '{' || text[first] == '[');
}

// Every kernel of simdjson that this machine can run must lead to the same verdicts.
TEST(JsonReaderTest, EveryCaseHasItsVerdictOnEveryKernel) {
  const std::vector<JsonCase> cases = ReadJsonCases();
  ASSERT_EQ(cases.size(), 288u);
  const auto* const chosen = simdjson::get_active_implementation().operator->();
  for (const auto* kernel : simdjson::get_available_implementations()) {
    if (!kernel->supported_by_runtime_system()) continue;
    simdjson::get_active_implementation() = kernel;
    JsonReader reader(128);
    for (const JsonCase& one : cases) {
      // What a top level must be is not the reader's concern.
      if (!one.accepted && (!IsIncidentShaped(one.text) || one.name.rfind("items-", 0) == 0)) {
        continue;
      }
      EXPECT_EQ(Read(reader, one.text) == "ok", one.accepted)
          << kernel->name() << " " << one.name << " " << Read(reader, one.text);
    }
  }
  simdjson::get_active_implementation() = chosen;
}

TEST(JsonReaderTest, FaultNamesItsByte) {
  EXPECT_EQ(Read(R"({"a":1,})"), "7: expected a key in quotes");
  EXPECT_EQ(Read(R"({"a" 1})"), "5: expected a colon");
  EXPECT_EQ(Read(R"({"a":1 "b":2})"), "7: expected a comma or a closing brace");
  EXPECT_EQ(Read(R"([1 2])"), "3: expected a comma or a closing bracket");
  EXPECT_EQ(Read(R"({"a":01})"), "5: not a JSON value");
  EXPECT_EQ(Read(R"({"a":"\x"})"), "6: unknown escape");
  EXPECT_EQ(Read(R"({"a":"\u12g4"})"), "6: \\u needs four hexadecimal digits");
  EXPECT_EQ(Read(R"({"a":"\udc00"})"), "6: half of a surrogate pair");
  EXPECT_EQ(Read("{\"a\":\"\xC3(\"}"), "6: not valid UTF-8");
  EXPECT_EQ(Read("{\"a\":\"b\nc\"}"), "7: a control character in a string must be escaped");
  EXPECT_EQ(Read(R"({"a":"b)"), "5: a string that begins here is not closed");
  EXPECT_EQ(Read("{} {}"), "3: something follows the end of the JSON text");
  EXPECT_EQ(Read("\xEF\xBB\xBF{]"), "4: expected a key in quotes");
  EXPECT_EQ(Read(" \n"), "0: there is nothing but blanks");
  EXPECT_EQ(Read(""), "0: there is nothing but blanks");
}

TEST(JsonReaderTest, TextIsNotCompletedByWhatFollowsIt) {
  for (const std::string whole = R"({"a":[1,{"b":"c"},true,-2.5e3]})";
       const size_t length :
       {1, 2, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 18, 19, 20, 22, 23, 24, 26, 28, 29, 30}) {
    EXPECT_NE(Read(whole.substr(0, length)), "ok") << whole.substr(0, length);
  }
}

TEST(JsonReaderTest, ScalarAloneIsATextAndIsNotCompletedByWhatFollowsIt) {
  for (const char* text : {"0", " -1.5e+3\n", "true", "null ", "false", "\"\"", "1e99999999999"}) {
    EXPECT_EQ(Read(text), "ok") << text;
  }
  for (const char* text : {"-", "1.", "1e", "+1", "01", "truE", "nul", "NaN", "1 2", "tru"}) {
    EXPECT_NE(Read(text), "ok") << text;
  }
  const PaddedText padded(" -17 ");
  JsonReader reader(1);
  JsonValue value;
  ASSERT_TRUE(reader.Open(padded.view()));
  ASSERT_TRUE(reader.ReadValue(value));
  EXPECT_EQ(value.text, "-17");
  EXPECT_EQ(value.kind, JsonKind::kNumber);
}

TEST(JsonReaderTest, FaultSaysWhetherTheTextIsCutLongOrDeep) {
  const auto kind = [](absl::string_view text) {
    JsonReader reader(3);
    EXPECT_NE(Read(reader, text), "ok") << text;
    return reader.fault().kind;
  };
  for (const char* text : {"", " \n", "{", "[1", "[1 ", "{\"a\"", "{\"a\":", "[\"b", "[[1,2],"}) {
    EXPECT_EQ(kind(text), JsonFault::Kind::kEndsTooEarly) << text;
  }
  EXPECT_EQ(kind("{} {}"), JsonFault::Kind::kTrailing);
  EXPECT_EQ(kind("[[[[1]]]]"), JsonFault::Kind::kTooDeep);
  for (const char* text : {"{]", "[1 2]", "[nul]", "[\"\\x\"]", "[\"\xFF\"]", "nul"}) {
    EXPECT_EQ(kind(text), JsonFault::Kind::kUnexpected) << text;
  }
}

TEST(JsonReaderTest, PlaceIsToldByLineAndColumn) {
  EXPECT_EQ(LineAndColumn("", 0), "line 1, column 1");
  EXPECT_EQ(LineAndColumn("ab\nc\n", 1), "line 1, column 2");
  EXPECT_EQ(LineAndColumn("ab\nc\n", 2), "line 1, column 3");
  EXPECT_EQ(LineAndColumn("ab\nc\n", 3), "line 2, column 1");
  EXPECT_EQ(LineAndColumn("ab\nc\n", 5), "line 3, column 1");
}

TEST(JsonReaderTest, SecondByteOrderMarkIsRefused) {
  EXPECT_EQ(Read("\xEF\xBB\xBF{}"), "ok");
  EXPECT_EQ(Read("\xEF\xBB\xBF\xEF\xBB\xBF{}"), "3: not a JSON value");
}

TEST(JsonReaderTest, DepthOf128IsAcceptedAnd129Refused) {
  EXPECT_EQ(Read(Repeat("[", 129) + Repeat("]", 129)), "128: nested deeper than the limit");
  EXPECT_EQ(Read(Repeat(R"({"a":)", 128) + "{}" + Repeat("}", 128)),
            "640: nested deeper than the limit");
  EXPECT_EQ(Read(Repeat("[", 128) + Repeat("]", 128)), "ok");
  EXPECT_EQ(Read(Repeat(R"({"a":)", 127) + "{}" + Repeat("}", 127)), "ok");
  EXPECT_EQ(Read("[" + Repeat("[],", 1000) + "[]]"), "ok");
}

TEST(JsonReaderTest, ValuesAreTheBytesOfTheText) {
  const PaddedText text(R"( { "a\u0062" : 1.50E+03 , "c" : [ {} , "x\n" ] , "d":{ } , "e":"" } )");
  JsonReader reader(128);
  JsonValue key;
  JsonValue value;
  ASSERT_TRUE(reader.Open(text.view()));
  ASSERT_TRUE(reader.EnterObject());

  ASSERT_EQ(reader.NextMember(key), JsonNext::kItem);
  EXPECT_EQ(key.inside(), "a\\u0062");
  EXPECT_TRUE(key.escaped);
  ASSERT_TRUE(reader.ReadValue(value));
  EXPECT_EQ(value.kind, JsonKind::kNumber);
  EXPECT_EQ(value.text, "1.50E+03");

  ASSERT_EQ(reader.NextMember(key), JsonNext::kItem);
  ASSERT_TRUE(reader.ReadValue(value));
  EXPECT_EQ(value.kind, JsonKind::kArray);
  EXPECT_FALSE(value.empty);
  EXPECT_EQ(value.text, R"([ {} , "x\n" ])");

  ASSERT_EQ(reader.NextMember(key), JsonNext::kItem);
  ASSERT_TRUE(reader.ReadValue(value));
  EXPECT_TRUE(value.empty);
  EXPECT_EQ(value.text, "{ }");

  ASSERT_EQ(reader.NextMember(key), JsonNext::kItem);
  ASSERT_TRUE(reader.ReadValue(value));
  EXPECT_TRUE(value.empty);
  EXPECT_EQ(reader.NextMember(key), JsonNext::kEnd);
  EXPECT_TRUE(reader.Finish());
}

TEST(JsonReaderTest, BuffersOfALargeTextAreGivenBackAndTheReaderStillReads) {
  JsonReader reader(128);
  EXPECT_EQ(Read(reader, "[" + Repeat("1,", 1'000'000) + "1]"), "ok");
  reader.ReleaseLarge();
  EXPECT_EQ(Read(reader, R"({"a":1})"), "ok");
}

TEST(JsonReaderTest, IndexOfALargeTextIsBoundedByItsTokens) {
  EXPECT_EQ(JsonReader::LargeIndexBytes(Repeat("[1,2],", 10'000)), 0u);
  // Six tokens of 16 octets; none of them is in a string.
  const size_t dense = JsonReader::LargeIndexBytes(Repeat(R"({"a":"bcdefg"},{)", 100'000));
  EXPECT_GE(dense, 600'000 * sizeof(uint32_t));
  EXPECT_LE(dense, 1'200'004 * sizeof(uint32_t));
  EXPECT_LE(JsonReader::LargeIndexBytes(Repeat("long text ", 200'000)), sizeof(uint32_t));
  // Nothing has more tokens than octets.
  EXPECT_EQ(JsonReader::LargeIndexBytes(std::string(2'000'000, '[')), 2'000'000 * sizeof(uint32_t));
}

TEST(JsonReaderTest, HalfOfASurrogatePairIsAFaultUnlessItIsAllowed) {
  JsonReader strict(8);
  JsonReader lenient(8, /*lone_surrogates=*/true);
  for (const char* text : {R"("\ud83d")", R"("\ude00x")", R"("\ud83d\ud83d\ude00")",
                           R"("\ud83d\u0041")", R"("\ude00\ud83d")", R"("\ud83d\n")"}) {
    EXPECT_NE(Read(strict, text).find("half of a surrogate pair"), std::string::npos) << text;
    EXPECT_EQ(Read(lenient, text), "ok") << text;
  }
  EXPECT_NE(Read(lenient, R"("\ud83d\x")"), "ok");
  EXPECT_NE(Read(lenient, R"("\ud83d\u00")"), "ok");
}

TEST(JsonUnescapeTest, HalfOfASurrogatePairIsReplacedOrKeepsItsEscape) {
  for (const char* escaped : {R"(\ud83d)", R"(\uDE00)"}) {
    std::string text(6, '\0');
    text.resize(JsonUnescape(escaped, text.data()));
    EXPECT_EQ(text, "\xEF\xBF\xBD");
    text.resize(6);
    text.resize(JsonUnescape(escaped, text.data(), LoneSurrogate::kKeepEscape));
    EXPECT_EQ(text, escaped);
  }
}

TEST(JsonUnescapeTest, EveryEscapeStandsForItsCharacter) {
  const std::string escaped = R"(\"\\\/\b\f\n\r\t\u0000\u00e9\u20AC\uD83D\uDE00é)";
  std::string text(escaped.size(), '\0');
  text.resize(JsonUnescape(escaped, text.data()));
  EXPECT_EQ(text, std::string("\"\\/\b\f\n\r\t\0\u00e9\u20AC\U0001F600\u00e9", 20));
}

TEST(JsonNumberTest, ZeroIsKnownInAnySpelling) {
  for (const char* zero : {"0", "-0", "0.0", "-0.000", "0e5", "0E-7", "0.0e+99"}) {
    EXPECT_TRUE(CountsAsAbsent({JsonKind::kNumber, false, false, zero})) << zero;
  }
  for (const char* other : {"1", "-1", "0.1", "10", "1e0", "0.01E-3"}) {
    EXPECT_FALSE(CountsAsAbsent({JsonKind::kNumber, false, false, other})) << other;
  }
}

}  // namespace
}  // namespace base
