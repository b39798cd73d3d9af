#include "plugin/base/json_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "plugin/base/json_text.h"
#include "plugin/base/testing/padded_text.h"

namespace base {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Refusal(absl::string_view path) {
  const auto parsed = JsonPath::Parse(path);
  return parsed.ok() ? "accepted" : std::string(parsed.status().message());
}

std::vector<std::string> Values(absl::string_view path, absl::string_view json) {
  const auto parsed = JsonPath::Parse(path);
  EXPECT_TRUE(parsed.ok()) << path << " " << parsed.status();
  const PaddedText text(json);
  JsonReader reader(128);
  std::vector<JsonValue> values;
  std::vector<std::string> texts;
  if (!parsed.ok()) return texts;
  EXPECT_TRUE(reader.Open(text.view()) && parsed->Collect(reader, values) && reader.Finish())
      << path << " " << json;
  for (const JsonValue& value : values) texts.emplace_back(value.text);
  return texts;
}

TEST(JsonPathTest, MalformedPathIsRefusedWithThePlace) {
  EXPECT_THAT(Refusal(""), HasSubstr("character 1: expected a name"));
  EXPECT_THAT(Refusal("a..b"), HasSubstr("character 3: expected a name"));
  EXPECT_THAT(Refusal("a."), HasSubstr("character 3: expected a name"));
  EXPECT_THAT(Refusal("a]b"), HasSubstr("character 2: expected a dot"));
  EXPECT_THAT(Refusal("a[0]b"), HasSubstr("character 5: expected a dot"));
  EXPECT_THAT(Refusal("a[0"), HasSubstr("closing bracket"));
  for (const char* path : {"a[x]", "a[-1]", "a[4294967296]", "a[ ]", "a[1.5]"}) {
    EXPECT_THAT(Refusal(path), HasSubstr("a whole number")) << path;
  }
  for (const char* path : {"[\"a", "[\"a\"", "[\"a\"x]", "[\"\\u12\"]", "[\"a\\", "[\"", "["}) {
    EXPECT_NE(Refusal(path), "accepted") << path;
  }
  EXPECT_THAT(Refusal("a,b"), HasSubstr("one path"));
}

TEST(JsonPathTest, PathInFrontOfASignIsTakenOffATextThatGoesOn) {
  absl::string_view text = R"(a["x=y"].b[0] = z=1)";
  const auto path = JsonPath::ParseUpTo('=', text);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(path->text(), R"(a["x=y"].b[0])");
  EXPECT_EQ(text, " z=1");
  for (absl::string_view bad : {"", "a", "=", "a,b=1", "a.=1"}) {
    EXPECT_FALSE(JsonPath::ParseUpTo('=', bad).ok()) << bad;
  }
}

TEST(JsonPathTest, EndlessPathIsRefused) {
  EXPECT_THAT(Refusal(std::string(1025, 'a')), HasSubstr("too long"));
  std::string deep = "a";
  for (int i = 0; i < 64; ++i) deep += "[]";
  EXPECT_THAT(Refusal(deep), HasSubstr("too long"));
  std::string many = "a";
  for (int i = 0; i < 32; ++i) many += ",a";
  EXPECT_THAT(std::string(JsonPath::ParseList(many).status().message()), HasSubstr("at most 32"));
}

TEST(JsonPathTest, ListIsSplitAtItsCommasOnly) {
  const auto paths = JsonPath::ParseList(" a.b ,\t[\"x,y\"].z , headers.x-request-id ");
  ASSERT_TRUE(paths.ok()) << paths.status();
  std::vector<std::string> texts;
  for (const auto& joined : *paths) {
    for (const JsonPath& path : joined) texts.emplace_back(path.text());
  }
  EXPECT_THAT(texts, ElementsAre("a.b", "[\"x,y\"].z", "headers.x-request-id"));
  EXPECT_FALSE(JsonPath::ParseList("a,,b").ok());
  EXPECT_FALSE(JsonPath::ParseList("a,").ok());
}

TEST(JsonPathTest, PlusJoinsTheAlternativesOfAList) {
  const auto paths = JsonPath::ParseList("a+b.c , [\"x+y\"] + z");
  ASSERT_TRUE(paths.ok()) << paths.status();
  ASSERT_EQ(paths->size(), 2u);
  EXPECT_EQ((*paths)[0][1].text(), "b.c");
  EXPECT_EQ((*paths)[1][0].text(), "[\"x+y\"]");
  for (const char* list : {"a+", "+a", "a++b", "a+,b"}) {
    EXPECT_FALSE(JsonPath::ParseList(list).ok()) << list;
  }
  EXPECT_THAT(Values("a+b", R"({"a+b":1})"), ElementsAre("1"));
}

TEST(JsonPathTest, KeyWithDotsIsFoundWhereNoObjectHasTheValue) {
  EXPECT_THAT(Values("a.b", R"({"a.b":1})"), ElementsAre("1"));
  EXPECT_THAT(Values("a.b.c", R"({"a.b":{"c":1}})"), ElementsAre("1"));
  EXPECT_THAT(Values("a.b", R"({"\u0061.b":1})"), ElementsAre("1"));
  for (const char* json : {R"({"a.b":1,"a":{"b":2}})", R"({"a":{"b":2},"a.b":1})"}) {
    EXPECT_THAT(Values("a.b", json), ElementsAre("2")) << json;
  }
  for (const char* json : {R"({"a.b":1,"a":{"c":2}})", R"({"a":{"c":2},"a.b":1})"}) {
    EXPECT_THAT(Values("a.b", json), ElementsAre("1")) << json;
  }
  EXPECT_THAT(Values("a.b", R"({"a.b":1,"a.b":3})"), ElementsAre("3"));
  EXPECT_THAT(Values("a.b", R"({"a.c":1,"ab":2,"a.b.c":3,"a.":4})"), IsEmpty());
}

TEST(JsonPathTest, NumberAfterADotIsAnElementOfAnArray) {
  EXPECT_THAT(Values("a.1.b", R"({"a":[{"b":1},{"b":2}]})"), ElementsAre("2"));
  EXPECT_THAT(Values("a.1", R"({"a":{"1":7}})"), ElementsAre("7"));
  EXPECT_THAT(Values("a[\"1\"]", R"({"a":[1,2]})"), IsEmpty());
}

TEST(JsonPathTest, MissingValueAndAnotherKindOfContainerGiveNothing) {
  EXPECT_THAT(Values("a.b", R"({"b":1})"), IsEmpty());
  EXPECT_THAT(Values("a.b", R"({"a":[{"b":1}]})"), IsEmpty());
  EXPECT_THAT(Values("a[0]", R"({"a":{"0":1}})"), IsEmpty());
  EXPECT_THAT(Values("a[2]", R"({"a":[1,2]})"), IsEmpty());
  EXPECT_THAT(Values("a.b", R"({"a":"b"})"), IsEmpty());
  EXPECT_THAT(Values("a[]", R"({"a":[]})"), IsEmpty());
}

TEST(JsonPathTest, ValuesKeepTheirBytes) {
  EXPECT_THAT(Values("a.b", R"({"x":[{}],"a":{"c":null,"b":1.50e3},"y":"z"})"),
              ElementsAre("1.50e3"));
  EXPECT_THAT(Values("a[1].b", R"({"a":[{"b":1},{"b":"t\u0077o"},{"b":3}]})"),
              ElementsAre("\"t\\u0077o\""));
  EXPECT_THAT(Values("a", R"({"a":{ "b" : [ ] }})"), ElementsAre("{ \"b\" : [ ] }"));
}

TEST(JsonPathTest, EachElementIsCollectedInOrder) {
  EXPECT_THAT(Values("a[].b[]", R"({"a":[{"b":[1,2]},{"b":[]},{"c":9},5,{"b":[3]}]})"),
              ElementsAre("1", "2", "3"));
}

TEST(JsonPathTest, OfARepeatedKeyTheLastCounts) {
  EXPECT_THAT(Values("a.b", R"({"a":{"b":1},"a":{"b":2}})"), ElementsAre("2"));
  EXPECT_THAT(Values("a.b", R"({"a":{"b":1},"a":{"c":2}})"), IsEmpty());
  EXPECT_THAT(Values("a[].b", R"({"a":[{"b":1}],"a":[{"b":2,"b":3},{"b":4}]})"),
              ElementsAre("3", "4"));
}

TEST(JsonPathTest, AnyKeyCanBeNamed) {
  EXPECT_THAT(Values(R"(["a.b"].c)", R"({"a":{"b":1},"a.b":{"c":2}})"), ElementsAre("2"));
  EXPECT_THAT(Values(R"(a["\u0022"])", R"({"a":{"\"":1}})"), ElementsAre("1"));
  EXPECT_THAT(Values("name", R"({"n\u0061me":1})"), ElementsAre("1"));
  EXPECT_THAT(Values("a b.\xc3\xa9", "{\"a b\":{\"\xc3\xa9\":1}}"), ElementsAre("1"));
  EXPECT_THAT(Values(R"([""])", R"({"":1})"), ElementsAre("1"));
}

TEST(JsonPathTest, AppendedNamesArePathsAgain) {
  for (const char* name : {"a", "", "a.b", " a", "a,b", "\"", "a[]", "a\\b", "x-y", "a+b"}) {
    std::string path = "top";
    AppendPathName(&path, name);
    std::string json = "{\"top\":{";
    AppendJsonString(&json, name);
    EXPECT_THAT(Values(path, json + ":7}}"), ElementsAre("7")) << path;
  }
}

TEST(JsonPathTest, HeaderNamesMeanTheirLowerCase) {
  auto path = JsonPath::Parse("headers.X-Request-Id");
  ASSERT_TRUE(path.ok());
  path->LowerCaseHeaderName();
  const PaddedText text(R"({"headers":{"x-request-id":"1"}})");
  JsonReader reader(8);
  std::vector<JsonValue> values;
  ASSERT_TRUE(reader.Open(text.view()) && path->Collect(reader, values));
  EXPECT_EQ(values.size(), 1u);
}

}  // namespace
}  // namespace base
