#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "plugin/core/samples.h"

namespace webhook::core {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Fields(std::initializer_list<std::string> details, size_t most_fields = 100,
                   size_t most_bytes = 1 << 20) {
  std::vector<SharedSample> samples;
  for (const absl::string_view one : details) {
    samples.push_back(MakeSample("name", "type", "", {&one, 1}, most_bytes));
  }
  return ListFields(samples, most_fields);
}

TEST(SampleFieldsTest, WithoutSamplesThereAreNone) {
  EXPECT_EQ(Fields({}), "[]");
  EXPECT_EQ(Fields({"{}"}), "[]");
}

TEST(SampleFieldsTest, TruncatedSampleIsNotLookedAt) {
  EXPECT_EQ(Fields({R"({"a":1,"b":2})"}, 100, 7), "[]");
}

TEST(SampleFieldsTest, NumberOfFieldsIsBounded) {
  EXPECT_EQ(Fields({R"({"a":1,"b":2,"c":3,"a":"x"})"}, 2),
            R"([{"path":"a","types":["number","string"],"example":"1","count":1},)"
            R"({"path":"b","types":["number"],"example":"2","count":1}])");
}

TEST(SampleFieldsTest, EndlessPathsAreLeftOut) {
  const std::string deep =
      "{\"" + std::string(1000, 'k') + "\":{\"" + std::string(100, 'l') + "\":{\"m\":1}},\"n\":1}";
  const std::string fields = Fields({deep});
  EXPECT_THAT(fields, HasSubstr("kkk"));
  EXPECT_THAT(fields, Not(HasSubstr("lll\",")));
  EXPECT_THAT(fields, HasSubstr("\"path\":\"n\""));
}

TEST(SampleFieldsTest, EveryPathIsListedWithTypesExampleAndCount) {
  EXPECT_EQ(
      Fields({R"({"items":[{"id":null},{"id":5}],"on":true})", R"({"items":[{"id":"x"}]})"}),
      R"([{"path":"items","types":["array"],"example":"[{\"id\":null},{\"id\":5}]","count":2},)"
      R"({"path":"items[]","types":["object"],"example":"{\"id\":null}","count":2},)"
      R"({"path":"items[].id","types":["null","number","string"],"example":"5","count":2},)"
      R"({"path":"on","types":["boolean"],"example":"true","count":1}])");
}

TEST(SampleFieldsTest, NameThatNeedsBracketsHasThem) {
  EXPECT_THAT(Fields({R"({"a":{"b.c":[[1]]}})"}), HasSubstr(R"("path":"a[\"b.c\"][][]")"));
}

TEST(SampleFieldsTest, LongExampleIsCutAtACharacter) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "\xc3\xa9";
  const std::string fields = Fields({"{\"a\":\"" + text + "\"}"});
  EXPECT_THAT(fields, HasSubstr("\xc3\xa9...\""));
  EXPECT_THAT(fields, HasSubstr("\"\\\"" + text.substr(0, 98) + "...\""));
}

TEST(SampleFieldsTest, DeepestSampleIsRead) {
  std::string deep = "{\"a\":1}";
  for (int i = 0; i < 511; ++i) deep = "{\"a\":" + deep + "}";
  EXPECT_THAT(Fields({deep}, 1000), HasSubstr("\"path\":\"a.a\""));
}

}  // namespace
}  // namespace webhook::core
