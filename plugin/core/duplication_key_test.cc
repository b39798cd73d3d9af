#include "plugin/core/duplication_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace webhook::core {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Refusal(absl::string_view parameter) {
  const auto key = ReadDuplicationKey(parameter);
  return key.ok() ? "accepted" : std::string(key.status().message());
}

class DuplicationKeyTest : public ::testing::Test {
 protected:
  std::string Find(absl::string_view parameter, absl::string_view json, size_t position = 0) {
    const auto key = ReadDuplicationKey(parameter);
    EXPECT_TRUE(key.ok()) << key.status();
    // In two slices, like the details of an incident.
    const absl::string_view slices[] = {json.substr(0, json.size() / 2),
                                        json.substr(json.size() / 2)};
    return key.ok() ? std::string(finder_.Find(*key, slices, position)) : "";
  }

  DeliveryKeyFinder finder_{128, 1024};
};

TEST_F(DuplicationKeyTest, MalformedPathIsRefusedWithTheParametersName) {
  EXPECT_THAT(Refusal("a..b"), StartsWith("duplication_key must be"));
  EXPECT_THAT(Refusal("items[].id"), HasSubstr("a key needs one"));
  EXPECT_THAT(Refusal("a,"), HasSubstr("character 3"));
}

TEST_F(DuplicationKeyTest, HeaderThatIsNeverStoredIsRefusedByName) {
  for (const char* path :
       {"headers.X-Hub-Signature-256", "id, headers.cookie", "headers.cookie.a"}) {
    EXPECT_THAT(Refusal(path), StartsWith("duplication_key: the header ")) << path;
  }
  EXPECT_EQ(Refusal("headers.x-delivery"), "accepted");
  EXPECT_EQ(Refusal("cookie, rawJson.headers.cookie, body_headers.cookie"), "accepted");
  EXPECT_THAT(std::string(ReadDuplicationKey("headers.X-Token", "x-token").status().message()),
              HasSubstr("the header x-token is kept out"));
}

TEST_F(DuplicationKeyTest, BlankParameterMeansNone) {
  EXPECT_TRUE(ReadDuplicationKey("")->empty());
  EXPECT_TRUE(ReadDuplicationKey(" ")->empty());
  EXPECT_FALSE(ReadDuplicationKey("a")->empty());
}

TEST_F(DuplicationKeyTest, EmptyValueCountsAsAbsent) {
  for (const char* value : {"null", "{}", "[]", "\"\"", "0", "-0.0e5", "false"}) {
    EXPECT_EQ(Find("id", std::string("{\"id\":") + value + "}"), "") << value;
  }
  EXPECT_EQ(Find("id", R"({"other":1})"), "");
}

TEST_F(DuplicationKeyTest, FirstPathThatIsPresentCounts) {
  EXPECT_EQ(Find("a, b.c ,d", R"({"d":1,"b":{"c":"x"},"a":null})"), "b.c:x");
  EXPECT_EQ(Find("a,b", R"({"b":2,"a":1})"), "a:1");
}

TEST_F(DuplicationKeyTest, StringsCountByWhatTheyStandForAndOtherValuesByTheirBytes) {
  EXPECT_EQ(Find("id", R"({"id":"\u0061\n\u00e9"})"), "id:a\n\xc3\xa9");
  EXPECT_EQ(Find("id", R"({"id":1.0})"), "id:1.0");
  EXPECT_EQ(Find("id", R"({"id":true})"), "id:true");
  EXPECT_EQ(Find("id", R"({"id":{"a":[1, 2]}})"), R"(id:{"a":[1, 2]})");
}

TEST_F(DuplicationKeyTest, HeaderIsFoundInAnyCaseOfItsName) {
  EXPECT_EQ(Find("headers.X-Request-Id", R"({"headers":{"x-request-id":"7"}})"),
            "headers.X-Request-Id:7");
}

// All incidents of a request have the same headers: without the position only the first of them
// would be created.
TEST_F(DuplicationKeyTest, KeyFromAHeaderHasThePositionOfEveryIncidentButTheFirst) {
  const char* const details = R"({"id":5,"headers":{"x-delivery":"7","x-twice":["a","b"]}})";
  EXPECT_EQ(Find("headers.x-delivery", details, 0), "headers.x-delivery:7");
  EXPECT_EQ(Find("headers.x-delivery", details, 1), "headers.x-delivery:7\n1");
  EXPECT_EQ(Find("headers.x-delivery", details, 12), "headers.x-delivery:7\n12");
  EXPECT_EQ(Find("headers.x-twice[1]", details, 2), "headers.x-twice[1]:b\n2");
  EXPECT_EQ(Find("headers", R"({"headers":{"a":"b"}})", 3), "headers:{\"a\":\"b\"}\n3");
  EXPECT_EQ(Find("missing, headers.x-delivery", details, 1), "headers.x-delivery:7\n1");
}

TEST_F(DuplicationKeyTest, KeyFromTheBodyHasNoPosition) {
  EXPECT_EQ(Find("id, headers.x-delivery", R"({"id":5,"headers":{"x-delivery":"7"}})", 1), "id:5");
  EXPECT_EQ(Find("body_headers.x", R"({"body_headers":{"x":"7"}})", 1), "body_headers.x:7");
}

TEST_F(DuplicationKeyTest, LongKeysFromAHeaderDifferByTheirPositionToo) {
  const std::string details = "{\"headers\":{\"x\":\"" + std::string(1024 - 10, 'a') + "\"}}";
  EXPECT_EQ(Find("headers.x", details, 0).size(), 1024u);
  EXPECT_EQ(Find("headers.x", details, 1).size(), 64u);
  EXPECT_NE(Find("headers.x", details, 1), Find("headers.x", details, 2));
}

TEST_F(DuplicationKeyTest, LongKeyBecomesItsHash) {
  const std::string longest(1024 - 3, 'a');
  EXPECT_EQ(Find("id", "{\"id\":\"" + longest + "\"}"), "id:" + longest);
  const std::string hashed = Find("id", "{\"id\":\"" + longest + "a\"}");
  EXPECT_EQ(hashed.size(), 64u);
  EXPECT_NE(hashed, Find("id", "{\"id\":\"" + longest + "b\"}"));
  // sha256sum of "id:" and a hundred "a".
  DeliveryKeyFinder small(128, 64);
  const auto key = ReadDuplicationKey("id");
  const std::string json = "{\"id\":\"" + std::string(100, 'a') + "\"}";
  const absl::string_view slice = json;
  EXPECT_EQ(std::string(small.Find(*key, {&slice, 1}, 0)),
            "774f62ac308e9715e87e8eb6e5ac3d377eac69c56d5c0201284acfa74e7ff9b4");
}

TEST_F(DuplicationKeyTest, LargeIncidentLeavesNothingBehind) {
  const std::string large(2 << 20, 'a');
  EXPECT_EQ(Find("id", "{\"id\":\"" + large + "\"}").size(), 64u);
  finder_.ReleaseLarge();
  EXPECT_EQ(Find("id", R"({"id":5})"), "id:5");
}

}  // namespace
}  // namespace webhook::core
