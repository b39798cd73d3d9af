#include "plugin/core/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace webhook::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kNoLimit = 1 << 20;

SharedSample Make(absl::string_view name, absl::string_view details = "{}",
                  absl::string_view occurred = "2024-05-01T10:00:00Z", size_t most = kNoLimit) {
  return MakeSample(name, "Phishing", occurred, {&details, 1}, most);
}

std::vector<std::string> Names(const SampleSet& set) {
  std::vector<std::string> names;
  for (const SharedSample& sample : set.newest_first()) names.push_back(sample->name);
  return names;
}

TEST(SamplesTest, TextThatIsNoListOfSamplesIsRefused) {
  for (const char* json :
       {"", "{}", "[1]", "[{]", "[{}", "[[]]", "[{}]x", "[{\"name\":[[[[[1]]]]]}]"}) {
    EXPECT_EQ(ReadSamples(json).status().code(), absl::StatusCode::kInvalidArgument) << json;
  }
}

TEST(SamplesTest, SampleIsCutAtACharacterAndMarked) {
  const auto cut = [](absl::string_view details, size_t most) {
    const SharedSample sample = Make("a", details, "", most);
    return sample->raw_json + (sample->truncated ? "|" : "");
  };
  EXPECT_EQ(cut("{\"a\":1}", 7), "{\"a\":1}");
  EXPECT_EQ(cut("{\"a\":1}", 6), "{\"a\":1|");
  EXPECT_EQ(cut("{\"\xc3\xa9\":1}", 3), "{\"|");
  EXPECT_EQ(cut("{\"\xf0\x9f\x98\x80\"", 5), "{\"|");
}

TEST(SamplesTest, SlicesAreCutTogether) {
  const absl::string_view slices[] = {"{\"a\":1", ",\"headers\":{", "}}"};
  EXPECT_EQ(MakeSample("", "", "", slices, 100)->raw_json, R"({"a":1,"headers":{}})");
  const SharedSample cut = MakeSample("", "", "", slices, 8);
  EXPECT_EQ(cut->raw_json, R"({"a":1,")");
  EXPECT_TRUE(cut->truncated);
  EXPECT_EQ(MakeSample("", "", "", slices, 6)->raw_json, R"({"a":1)");
}

TEST(SamplesTest, LastOnesAreKeptNewestFirst) {
  SampleSet set(3);
  EXPECT_THAT(Names(set), IsEmpty());
  for (const char* name : {"a", "b", "c", "d", "e"}) set.Add(Make(name));
  EXPECT_THAT(Names(set), ElementsAre("e", "d", "c"));
}

TEST(SamplesTest, RepeatIsKeptOnceAsTheNewest) {
  SampleSet set(3);
  for (const char* name : {"s0", "s1", "s0", "s2", "s0"}) set.Add(Make(name));
  EXPECT_THAT(Names(set), ElementsAre("s0", "s2", "s1"));
  set.Add(Make("s1", "{}", "2025-01-01T00:00:00Z"));
  EXPECT_THAT(Names(set), ElementsAre("s1", "s0", "s2"));
  EXPECT_EQ(set.newest_first()[0]->occurred, "2025-01-01T00:00:00Z");
  set.Add(Make("s1", "{\"a\":1}"));
  EXPECT_THAT(Names(set), ElementsAre("s1", "s1", "s0"));
}

TEST(SamplesTest, OlderOnesFillWhatRoomThereIs) {
  SampleSet set(3);
  set.Add(Make("new"));
  for (const char* name : {"old1", "new", "old2", "old3"}) set.AddOldest(Make(name));
  EXPECT_THAT(Names(set), ElementsAre("new", "old1", "old2"));
}

TEST(SamplesTest, WrittenSamplesAreReadAsTheyWere) {
  const std::vector<SharedSample> samples = {
      Make("line\nbreak \"quoted\"", R"({"a":"\\n \u0001"})"),
      Make("\xf0\x9f\x98\x80", "{\"\xc3\xa9\":1}", "", 4), Make("", "")};
  const std::string json = WriteSamples(samples, kNoLimit);
  EXPECT_THAT(json, HasSubstr(R"("rawJSON":"{\"a\":\"\\\\n \\u0001\"}","truncated":false)"));
  const auto read = ReadSamples(json);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ((*read)[i]->name, samples[i]->name);
    EXPECT_EQ((*read)[i]->type, samples[i]->type);
    EXPECT_EQ((*read)[i]->occurred, samples[i]->occurred);
    EXPECT_EQ((*read)[i]->raw_json, samples[i]->raw_json);
    EXPECT_EQ((*read)[i]->truncated, samples[i]->truncated);
    EXPECT_EQ((*read)[i]->hash, samples[i]->hash);
  }
  EXPECT_EQ(WriteSamples({}, kNoLimit), "[]");
  EXPECT_TRUE(ReadSamples("[]")->empty());
}

TEST(SamplesTest, WhatPassesTheLimitLosesItsOldest) {
  const std::vector<SharedSample> samples = {Make("a"), Make("b"), Make("c")};
  const size_t one = WriteSamples({samples.data(), 1}, kNoLimit).size();
  EXPECT_EQ(ReadSamples(WriteSamples(samples, 2 * one))->size(), 2u);
  EXPECT_EQ(ReadSamples(WriteSamples(samples, one))->size(), 1u);
  EXPECT_EQ(WriteSamples(samples, one - 1), "[]");
}

}  // namespace
}  // namespace webhook::core
