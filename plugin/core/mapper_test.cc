#include "plugin/core/mapper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace webhook::core {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr size_t kMost = 1 << 20;

std::string Refusal(absl::string_view arguments) {
  const auto mapper = Mapper::Parse(arguments, 3);
  if (mapper.ok()) return "accepted";
  EXPECT_EQ(mapper.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(mapper.status().message().find('\n'), absl::string_view::npos);
  return std::string(mapper.status().message());
}

std::string Map(absl::string_view mapper, std::initializer_list<absl::string_view> details,
                size_t most_bytes = kMost) {
  const auto parsed = Mapper::Parse("{\"mapper\":" + std::string(mapper) + "}", 100);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  if (!parsed.ok()) return "";
  std::vector<SharedSample> samples;
  for (const absl::string_view one : details) {
    samples.push_back(MakeSample("name", "type", "", {&one, 1}, 40));
  }
  const auto mapped = parsed->Map(samples, most_bytes);
  return mapped.ok() ? *mapped : std::string(mapped.status().message());
}

TEST(MapperTest, SampleWithHalfOfASurrogatePairIsRead) {
  EXPECT_EQ(Map(R"({"t":"a"})", {R"({"a":"x\ud83d"})"}), R"([{"t":"x\ud83d"}])");
}

TEST(MapperTest, MalformedArgumentsAreRefusedWithThePlace) {
  EXPECT_THAT(Refusal(""), StartsWith("mapper: byte 0"));
  EXPECT_THAT(Refusal("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(Refusal("{}"), HasSubstr("is missing"));
  EXPECT_THAT(Refusal(R"({"mapper":[]})"), HasSubstr("must be an object"));
  EXPECT_THAT(Refusal(R"({"mapper":"{"})"), HasSubstr("mapper: "));
  EXPECT_THAT(Refusal(R"({"mapper":{},"mapper":{}})"), HasSubstr("given twice"));
  EXPECT_THAT(Refusal(R"({"mapper":{}} x)"), HasSubstr("byte 14"));
}

TEST(MapperTest, MalformedTargetIsRefusedByName) {
  EXPECT_THAT(Refusal(R"({"mapper":{"a":5}})"),
              HasSubstr("target \"a\": must be a path, or an object"));
  EXPECT_THAT(Refusal(R"({"mapper":{"a":{"path":5}}})"), HasSubstr("path must be a string"));
  EXPECT_THAT(Refusal(R"({"mapper":{"a":{"default":5}}})"), HasSubstr("path is missing"));
  EXPECT_THAT(Refusal(R"({"mapper":{"a":{"path":"b","defualt":5}}})"), HasSubstr("nothing else"));
  EXPECT_THAT(Refusal(R"({"mapper":{"a":"b..c"}})"), HasSubstr("path: character 3"));
  EXPECT_THAT(Refusal(R"({"mapper":{"a":"b","a":"c"}})"), HasSubstr("\"a\": is given twice"));
  EXPECT_THAT(Refusal(R"({"mapper":{"a\nb":5}})"), HasSubstr(R"("a\nb")"));
  EXPECT_THAT(Refusal(R"({"mapper":{"a":"a","b":"b","c":"c","d":"d"}})"),
              HasSubstr("more than 3 targets"));
}

TEST(MapperTest, ResultThatPassesTheLimitIsRefused) {
  EXPECT_THAT(Map(R"({"a":"x","b":"x"})", {R"({"x":"0123456789"})"}, 20),
              HasSubstr("longer than 20 bytes"));
}

TEST(MapperTest, WithoutSamplesNothingIsMapped) { EXPECT_EQ(Map(R"({"a":"x"})", {}), "[]"); }

TEST(MapperTest, ValuesKeepTheirBytesAndTargetsTheirOrder) {
  EXPECT_EQ(Map(R"({"b":"x.y","a":{"path":"z"}})", {R"({"z":{ "q":1.50 },"x":{"y":"\u0041"}})"}),
            R"([{"b":"\u0041","a":{ "q":1.50 }}])");
}

TEST(MapperTest, DefaultStandsInForWhatIsMissingOrNull) {
  EXPECT_EQ(Map(R"({"a":{"path":"x","default":{"d":[1]}},"b":"y"})",
                {R"({"x":null,"y":null})", R"({"x":0,"y":""})", "{}"}),
            R"([{"a":{"d":[1]}},{"a":0,"b":""},{"a":{"d":[1]}}])");
}

TEST(MapperTest, EachElementGivesAnArray) {
  EXPECT_EQ(Map(R"({"ids":"i[].id","none":{"path":"n[]","default":[]}})",
                {R"({"i":[{"id":1},{"id":"b"}]})", "{}"}),
            R"([{"ids":[1,"b"],"none":[]},{"none":[]}])");
}

TEST(MapperTest, TruncatedSampleGetsDefaultsOnly) {
  EXPECT_EQ(Map(R"({"a":"x","b":{"path":"x","default":"d"}})",
                {R"({"x":"much longer than forty bytes, so it is cut"})"}),
            R"([{"b":"d"}])");
}

TEST(MapperTest, MapperMayBeAStringThatHoldsIt) {
  EXPECT_EQ(Map(R"("{\"a\":\"x\"}")", {R"({"x":1})"}), R"([{"a":1}])");
}

}  // namespace
}  // namespace webhook::core
