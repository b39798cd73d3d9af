#include "plugin/core/duplication_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace webhook::core {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Refusal(absl::string_view parameter) {
  const auto key = ReadDuplicationKey(parameter);
  return key.ok() ? "accepted" : std::string(key.status().message());
}

class DuplicationKeyTest : public ::testing::Test {
 protected:
  // `headers`: as the details have them.
  std::string Find(absl::string_view parameter, absl::string_view json, size_t position = 0,
                   absl::string_view headers = "{}") {
    const auto key = ReadDuplicationKey(parameter);
    EXPECT_TRUE(key.ok()) << key.status();
    const std::string tail = absl::StrCat(",\"headers\":", headers, "}");
    finder_.SetHeaders(tail);
    // In two slices and without its last brace, like the details of an incident.
    const absl::string_view own = json.substr(0, json.size() - 1);
    const absl::string_view slices[] = {own.substr(0, own.size() / 2), own.substr(own.size() / 2)};
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
  EXPECT_EQ(Refusal("cookie, body.headers.cookie, body_headers.cookie"), "accepted");
  EXPECT_THAT(std::string(ReadDuplicationKey("headers.X-Token", "x-token").status().message()),
              HasSubstr("the header x-token is kept out"));
}

TEST_F(DuplicationKeyTest, HeaderThatIsTheSameForEveryEventIsRefusedUnlessSomethingIsJoinedToIt) {
  for (const char* path : {"headers.host", "id, headers.Host", "headers[\"user-agent\"]",
                           "headers.content-type + headers.x-forwarded-for"}) {
    EXPECT_THAT(Refusal(path), HasSubstr("is the same for most events of a sender")) << path;
  }
  EXPECT_EQ(Refusal("headers.host + id, headers.host + headers.x-delivery"), "accepted");
  EXPECT_EQ(Refusal("host, body.headers.host, body_headers.host"), "accepted");
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

TEST_F(DuplicationKeyTest, PathThatCanNeverMatchIsRefused) {
  for (const char* path : {"/event/id", "{{event.id}}", "id,/a", "a+{{b}}"}) {
    EXPECT_THAT(Refusal(path), HasSubstr("write event.id, not /event/id or {{event.id}}")) << path;
  }
  EXPECT_THAT(Refusal("[0].id"), HasSubstr("never matches: details are an object"));
  for (const char* path : {"rawJson.event.id", "rawJSON.id", "raw_json.id"}) {
    EXPECT_THAT(Refusal(path), HasSubstr("paths begin inside of rawJson")) << path;
  }
}

TEST_F(DuplicationKeyTest, WhatAllIncidentsHaveInCommonIsRefused) {
  const absl::string_view members = R"(,"mirror_direction":"In","mirror_instance":"a\"x\":"})";
  for (const char* path : {"mirror_instance", "id, mirror_direction", "id + mirror_instance"}) {
    EXPECT_THAT(std::string(ReadDuplicationKey(path, "", members).status().message()),
                HasSubstr("is the same for all incidents"))
        << path;
  }
  EXPECT_TRUE(ReadDuplicationKey("mirror_tags, x", "", members).ok());
}

TEST_F(DuplicationKeyTest, FirstPathThatIsPresentCounts) {
  EXPECT_EQ(Find("a, b.c ,d", R"({"d":1,"b":{"c":"x"},"a":null})"), "\2is3:b.c:x");
  EXPECT_EQ(Find("a,b", R"({"b":2,"a":1})"), "\2in1:a:1");
}

TEST_F(DuplicationKeyTest, StringsCountByWhatTheyStandForAndOtherValuesByTheirBytes) {
  EXPECT_EQ(Find("id", R"({"id":"\u0061\n\u00e9"})"), "\2is2:id:a\n\xc3\xa9");
  EXPECT_EQ(Find("id", R"({"id":1.0})"), "\2in2:id:1.0");
  EXPECT_EQ(Find("id", R"({"id":true})"), "\2it2:id:true");
  EXPECT_EQ(Find("id", R"({"id":{"a":[1, 2]}})"), "\2io2:id:{\"a\":[1, 2]}");
}

TEST_F(DuplicationKeyTest, ValuesOfDifferentTypesAndPathsAreDifferentKeys) {
  std::set<std::string> keys;
  for (const char* value : {"1", "\"1\"", "[1]", "\"[1]\"", "{\"a\":1}", "\"{\\\"a\\\":1}\"",
                            "true", "\"true\"", "1.0", "\"n1\""}) {
    const std::string json = absl::StrCat("{\"id\":", value, ",\"x\":\"y\"}");
    EXPECT_TRUE(keys.insert(Find("id", json)).second) << value;
    EXPECT_TRUE(keys.insert(Find("id+x", json)).second) << value;
  }
  EXPECT_NE(Find("a", R"({"a":"b:x"})"), Find("a:b", R"({"a:b":"x"})"));
}

TEST_F(DuplicationKeyTest, JoinedPathsCountTogetherAndOnlyWhereAllArePresent) {
  const char* const parameter = "alerts[0].fingerprint + status, id";
  EXPECT_EQ(Find(parameter, R"({"alerts":[{"fingerprint":"f"}],"status":"firing","id":5})"),
            "\2ij28:alerts[0].fingerprint+status:s1:fs6:firing");
  EXPECT_EQ(Find(parameter, R"({"alerts":[{"fingerprint":"f"}],"status":"resolved"})"),
            "\2ij28:alerts[0].fingerprint+status:s1:fs8:resolved");
  EXPECT_EQ(Find(parameter, R"({"alerts":[{"fingerprint":"f"}],"status":"","id":5})"),
            "\2in2:id:5");
  EXPECT_EQ(Find(parameter, R"({"status":"firing"})"), "");
  // No value can reach into the next one.
  EXPECT_NE(Find("a+b", R"({"a":"xs1:","b":"y"})"), Find("a+b", R"({"a":"x","b":"s1:y"})"));
  EXPECT_EQ(Find("[\"a+b\"]", R"({"a+b":7})"), "\2in7:[\"a+b\"]:7");
}

TEST_F(DuplicationKeyTest, OtherSpellingsOfAPathAreUnderstood) {
  for (const char* path : {"event.id", "$.event.id", "$[\"event\"].id", " $.event.id "}) {
    EXPECT_THAT(Find(path, R"({"event":{"id":7}})"), EndsWith(":7")) << path;
  }
  EXPECT_THAT(Find("alerts.0.id", R"({"alerts":[{"id":7},{"id":8}]})"), EndsWith(":7"));
  EXPECT_THAT(Find("event.id", R"({"event.id":7})"), EndsWith(":7"));
  EXPECT_THAT(Find("a.b.c", R"({"a":{"b.c":7}})"), EndsWith(":7"));
  EXPECT_EQ(Find("headers.X.Id", "{}", 0, R"({"x.id":"7"})"), "\2rs12:headers.X.Id:7");
}

TEST_F(DuplicationKeyTest, HeaderIsFoundInAnyCaseOfItsName) {
  EXPECT_EQ(Find("headers.X-Request-Id", "{}", 0, R"({"x-request-id":"7"})"),
            "\2rs20:headers.X-Request-Id:7");
}

// All incidents of a request have the same headers: without the position only the first of them
// would be created.
TEST_F(DuplicationKeyTest, KeyFromAHeaderHasThePositionOfEveryIncidentButTheFirst) {
  const auto find = [this](absl::string_view parameter, size_t position) {
    return Find(parameter, R"({"id":5})", position, R"({"x-delivery":"7","x-twice":["a","b"]})");
  };
  EXPECT_EQ(find("headers.x-delivery", 0), "\2rs18:headers.x-delivery:7");
  EXPECT_EQ(find("headers.x-delivery", 1), "\2rs18:headers.x-delivery:7\n1");
  EXPECT_EQ(find("headers.x-delivery", 12), "\2rs18:headers.x-delivery:7\n12");
  EXPECT_EQ(find("headers.x-twice[1]", 2), "\2rs18:headers.x-twice[1]:b\n2");
  EXPECT_EQ(Find("headers", "{}", 3, R"({"a":"b"})"), "\2ro7:headers:{\"a\":\"b\"}\n3");
  EXPECT_EQ(find("missing, headers.x-delivery", 1), "\2rs18:headers.x-delivery:7\n1");
  EXPECT_EQ(find("id+headers.x-delivery", 1), "\2rj21:id+headers.x-delivery:n1:5s1:7\n1");
}

TEST_F(DuplicationKeyTest, KeyFromTheBodyHasNoPosition) {
  EXPECT_EQ(Find("id, headers.x-delivery", R"({"id":5})", 1, R"({"x-delivery":"7"})"),
            "\2in2:id:5");
  EXPECT_EQ(Find("body_headers.x", R"({"body_headers":{"x":"7"}})", 1), "\2is14:body_headers.x:7");
}

TEST_F(DuplicationKeyTest, LongKeysFromAHeaderDifferByTheirPositionToo) {
  const std::string headers = "{\"x\":\"" + std::string(1024 - 10, 'a') + "\"}";
  EXPECT_EQ(Find("headers.x", "{}", 0, headers).size(), 1024u + 5);
  EXPECT_THAT(Find("headers.x", "{}", 1, headers), StartsWith("\2rS9:"));
  EXPECT_EQ(Find("headers.x", "{}", 1, headers).size(), 64u + 5);
  EXPECT_NE(Find("headers.x", "{}", 1, headers), Find("headers.x", "{}", 2, headers));
}

TEST_F(DuplicationKeyTest, LongKeyHasItsHashAndKeepsItsType) {
  const std::string longest(1024 - 3, 'a');
  EXPECT_EQ(Find("id", "{\"id\":\"" + longest + "\"}"), "\2is2:id:" + longest);
  const std::string hashed = Find("id", "{\"id\":\"" + longest + "a\"}");
  EXPECT_EQ(hashed.size(), 64u + 5);
  EXPECT_NE(hashed, Find("id", "{\"id\":\"" + longest + "b\"}"));
  const std::string digits(1024, '1');
  EXPECT_NE(Find("id", "{\"id\":\"" + digits + "\"}"), Find("id", "{\"id\":" + digits + "}"));
  // sha256sum of "id:" and a hundred "a", as version 1 stored it.
  DeliveryKeyFinder small(128, 64);
  const auto key = ReadDuplicationKey("id");
  const std::string json = "{\"id\":\"" + std::string(100, 'a') + "\"";
  const absl::string_view slice = json;
  EXPECT_EQ(std::string(small.Find(*key, {&slice, 1}, 0)),
            "\2iS2:774f62ac308e9715e87e8eb6e5ac3d377eac69c56d5c0201284acfa74e7ff9b4");
}

// A sample comes back from the host, which may have kept anything.
TEST_F(DuplicationKeyTest, SampleHasAKeyOrIsNoJsonAndHasNone) {
  const auto key = ReadDuplicationKey("headers.x, id + name");
  EXPECT_TRUE(finder_.HasKey(*key, R"({"a":1,"headers":{"x":"7"}})"));
  EXPECT_TRUE(finder_.HasKey(*key, R"({"id":1,"name":"\ud83d","headers":{}})"));
  for (const char* sample :
       {R"({"id":1,"headers":{}})", "", "{", "}", "[]", "\"", "{\"id\":1,\"name\"",
        "{\"id\":\"\x01\"}", "{\"\xff\":1}", "not JSON", "{}{}"}) {
    EXPECT_FALSE(finder_.HasKey(*key, sample)) << sample;
  }
}

TEST_F(DuplicationKeyTest, LargeIncidentLeavesNothingBehind) {
  const std::string large(2 << 20, 'a');
  EXPECT_EQ(Find("id", "{\"id\":\"" + large + "\"}").size(), 64u + 5);
  finder_.ReleaseLarge();
  EXPECT_EQ(Find("id", R"({"id":5})"), "\2in2:id:5");
}

}  // namespace
}  // namespace webhook::core
