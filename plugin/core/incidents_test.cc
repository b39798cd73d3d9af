#include "plugin/core/incidents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "plugin/base/testing/json_cases.h"
#include "plugin/base/testing/padded_text.h"
#include "plugin/core/duplication_key.h"

namespace webhook::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kPrefix[] = "Request, and rawJson field if exists must be in JSON format: ";

std::string Repeat(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

class IncidentsTest : public ::testing::Test {
 protected:
  absl::Status Parse(const std::string& body) {
    const base::PaddedText& text = bodies_.emplace_back(body);
    const Defaults defaults{"Unclassified", absl::FromUnixMillis(1'714'557'600'250),
                            "x-secret-token", mirror_members_, &duplication_key_};
    return IncidentParser(limits_).Parse(text.view(), headers_, defaults, out_);
  }

  // The part of a 400's text that follows the known sentence.
  std::string Place(const std::string& body) {
    const absl::Status status = Parse(body);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << body;
    EXPECT_THAT(std::string(status.message()), StartsWith(kPrefix)) << body;
    EXPECT_THAT(out_.incidents(), IsEmpty());
    return std::string(status.message().substr(sizeof(kPrefix) - 1));
  }

  static std::string DetailsOf(const ParsedIncident& incident) {
    std::string details;
    for (const absl::string_view slice : incident.details)
      details.append(slice.data(), slice.size());
    EXPECT_EQ(details.size(), incident.details_bytes);
    return details;
  }

  // The details of the body's only incident.
  std::string Details(const std::string& body) {
    const absl::Status status = Parse(body);
    EXPECT_TRUE(status.ok()) << body << " " << status;
    EXPECT_THAT(out_.incidents(), SizeIs(1)) << body;
    return out_.incidents().size() == 1 ? DetailsOf(out_.incidents()[0]) : "";
  }

  const ParsedIncident& Only(const std::string& body) {
    Details(body);
    return out_.incidents()[0];
  }

  Limits limits_;
  std::vector<HeaderView> headers_;
  std::string mirror_members_;
  DuplicationKey duplication_key_;
  ParsedRequest out_;
  std::list<base::PaddedText> bodies_;
};

TEST_F(IncidentsTest, EveryCaseIsAcceptedOrRefusedAsItMust) {
  const std::vector<base::JsonCase> cases = base::ReadJsonCases();
  ASSERT_THAT(cases, SizeIs(288));
  for (const base::JsonCase& one : cases) {
    const absl::Status status = Parse(one.text);
    const bool accepted = one.accepted || absl::StartsWith(one.name, "surr-");
    EXPECT_EQ(status.ok(), accepted) << one.name << " " << status;
    if (!accepted) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.name;
    }
    bodies_.clear();
  }
}

TEST_F(IncidentsTest, ScalarAtTheTopIsRefused) {
  for (const char* body : {"null", "true", "1", "\"x\"", "\"{}\""}) {
    EXPECT_EQ(Place(body), "the top level must be an object or an array of objects");
  }
}

TEST_F(IncidentsTest, BodyOfAnotherFormatIsToldWhatItIs) {
  EXPECT_EQ(Place(std::string("{\0\"\0a\0", 6)),
            "the body is UTF-16 or UTF-32, not UTF-8; send JSON");
  EXPECT_EQ(Place(std::string("\xFF\xFE{\0\"\0", 6)),
            "the body is UTF-16 or UTF-32, not UTF-8; send JSON");
  EXPECT_EQ(Place("\n<?xml version=\"1.0\"?>"), "the body is XML or HTML; send JSON");
  EXPECT_EQ(Place("{\"a\":<}"), "byte 5: not a JSON value");
  headers_ = {{"CONTENT-TYPE", " Application/X-WWW-Form-Urlencoded ; charset=utf-8"}};
  EXPECT_EQ(Place("payload=%7B%7D"),
            "the body is a form (application/x-www-form-urlencoded); send JSON");
  EXPECT_EQ(Place("{"), "byte 1: expected a key in quotes");
  EXPECT_TRUE(Parse("{}").ok());
  headers_ = {{"Content-Type", "multipart/form-data; boundary=x"}};
  EXPECT_EQ(Place("--x\r\nContent-Disposition: form-data"),
            "the body is a form (multipart/form-data); send JSON");
}

TEST_F(IncidentsTest, EmptyOrBlankBodyIsRefused) {
  EXPECT_EQ(Place(""), "byte 0: there is nothing but blanks");
  EXPECT_EQ(Place(" \r\n\t"), "byte 0: there is nothing but blanks");
}

TEST_F(IncidentsTest, BadItemOfAnArrayRefusesTheWholeBatchByNumber) {
  EXPECT_EQ(Place("[{},{},5]"), "incident 2: must be an object");
  EXPECT_EQ(Place("[{},[]]"), "incident 1: must be an object");
  EXPECT_EQ(Place("[null,{}]"), "incident 0: must be an object");
  EXPECT_EQ(Place("[{},]"), "byte 4: the text ends too early");
  EXPECT_EQ(Place("[{},],"), "byte 4: not a JSON value");
}

TEST_F(IncidentsTest, RawJsonThatIsNoObjectIsRefusedByPlace) {
  EXPECT_EQ(Place(R"([{},{},{},{"rawJson":[1]}])"), "incident 3: rawJson must be an object");
  EXPECT_EQ(Place(R"({"rawJson":true})"), "rawJson must be an object");
  EXPECT_EQ(Place(R"({"rawJson":-0.1})"), "rawJson must be an object");
  EXPECT_EQ(Place(R"({"rawJson":{},"raw_json":1})"), "raw_json must be an object");
  for (const char* text : {"text", " ", "[{}]", "{", "{}x", "1", "{\\\"a\\\":01}", "\\\"{}\\\""}) {
    EXPECT_THAT(Place(std::string("{\"rawJson\":\"") + text + "\"}"),
                StartsWith("rawJson must be an object; the text in it is not one"))
        << text;
  }
}

TEST_F(IncidentsTest, FaultIsFoundWhereverItStands) {
  EXPECT_EQ(Place(R"({"rawJson":{"a":[1,{"b":tru}]}})"), "byte 24: not a JSON value");
  EXPECT_EQ(Place(R"([{"a":1},{"a":NaN}])"), "byte 14: not a JSON value");
  EXPECT_EQ(Place(R"({"a":Infinity})"), "byte 5: not a JSON value");
  EXPECT_EQ(Place(R"({"a":1} {"b":2})"), "byte 8: something follows the end of the JSON text");
}

TEST_F(IncidentsTest, MoreIncidentsThanTheLimitAreTooLarge) {
  limits_.incidents_of_a_request = 3;
  EXPECT_EQ(Parse("[{},{},{},{}]").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(out_.incidents(), IsEmpty());
  EXPECT_TRUE(Parse("[{},{},{}]").ok());
}

TEST_F(IncidentsTest, HeadersTimesIncidentsAreBounded) {
  limits_.stored_header_bytes = 4096;
  const std::string value(1000, 'x');
  headers_ = {{"a", value}};
  EXPECT_EQ(Parse("[{},{},{},{},{}]").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Parse("[{},{},{},{}]").ok());
}

TEST_F(IncidentsTest, MembersThatMustBeRenamedAreBoundedOverAllIncidents) {
  limits_.renamed_members = 4;
  for (
      const char* body :
      {R"({"headers":1,"headers":1,"headers":1,"headers":1,"headers":1})",
       R"([{"headers":1,"body_headers":2},{"headers":1,"body_headers":2},{"body_headers_2":3}])",
       R"({"rawJson":{"headers":1,"headers":1,"headers":1,"headers":1,"headers":1}})",
       R"([{"rawJson":"{\"headers\":1,\"headers\":1,\"headers\":1}"},{"headers":1,"headers":1}])"}) {
    const absl::Status status = Parse(body);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << body << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("More than 4 members are called headers"));
  }
  EXPECT_TRUE(Parse(R"([{"headers":1,"headers":1},{"headers":1,"headers":1},{"a":1}])").ok());
}

TEST_F(IncidentsTest, LargeRequestTellsWhatItHolds) {
  ASSERT_TRUE(Parse(R"([{"name":"n"},{}])").ok());
  EXPECT_EQ(out_.large_bytes(), 0u);
  ASSERT_TRUE(Parse("[" + Repeat(R"({"headers":1},)", 9'999) + "{}]").ok());
  EXPECT_GT(out_.large_bytes(), 9'999u * 4 * 3 * sizeof(absl::string_view));
  ASSERT_TRUE(Parse("{}").ok());
  EXPECT_EQ(out_.large_bytes(), 0u);
}

TEST_F(IncidentsTest, DepthOf128IsAcceptedAnd129Refused) {
  const auto nested = [](int depth) {
    return Repeat("{\"a\":", depth - 1) + "{}" + Repeat("}", depth - 1);
  };
  EXPECT_THAT(Place(nested(129)), HasSubstr("nested deeper than the limit"));
  EXPECT_TRUE(Parse(nested(128)).ok());
}

TEST_F(IncidentsTest, EmptyArrayIsNoIncidents) {
  EXPECT_TRUE(Parse("[]").ok());
  EXPECT_THAT(out_.incidents(), IsEmpty());
  EXPECT_TRUE(Parse(" [ ] ").ok());
}

TEST_F(IncidentsTest, MembersBecomeTheIncident) {
  const ParsedIncident& incident = Only(
      R"({"name":"incident1","type":"Phishing","occurred":"2024-05-01T10:00:00Z","rawJson":{"some_field":"some_value"}})");
  EXPECT_EQ(incident.name, "incident1");
  EXPECT_EQ(incident.type, "Phishing");
  EXPECT_EQ(incident.occurred, "2024-05-01T10:00:00Z");
  EXPECT_EQ(DetailsOf(incident), R"({"some_field":"some_value","headers":{}})");
  EXPECT_THAT(incident.warnings, IsEmpty());
}

TEST_F(IncidentsTest, DefaultsStandInForWhatIsMissingEmptyOrBlank) {
  for (const char* body :
       {R"({})", R"({"name":"","type":"","occurred":""})",
        R"({"name":null,"type":0,"occurred":{}})", R"({"name":[],"type":false,"occurred":0})",
        R"({"name":" \t\n","type":"\r\n","occurred":" "})"}) {
    const ParsedIncident& incident = Only(body);
    EXPECT_EQ(incident.name, "Generic webhook triggered incident") << body;
    EXPECT_EQ(incident.type, "Unclassified") << body;
    EXPECT_EQ(incident.occurred, "2024-05-01T10:00:00.25Z") << body;
    EXPECT_THAT(incident.warnings, IsEmpty()) << body;
  }
}

TEST_F(IncidentsTest, WhatIsReplacedIsReplacedWithAWarning) {
  const ParsedIncident& incident = Only(R"({"name":5,"type":["x"],"occurred":{"a":1}})");
  EXPECT_EQ(incident.name, "Generic webhook triggered incident");
  EXPECT_EQ(incident.type, "Unclassified");
  EXPECT_EQ(incident.occurred, "2024-05-01T10:00:00.25Z");
  ASSERT_THAT(incident.warnings, SizeIs(3));
  EXPECT_EQ(incident.warnings[0], "name is no text, so the default is used");
  EXPECT_EQ(incident.warnings[1], "type is no text, so the default is used");
  EXPECT_EQ(incident.warnings[2],
            "occurred \"{\"a\":1}\" is neither a time of ISO-8601 nor Unix time, of the years 2 to "
            "9999, so the time of the trigger is used");
  for (const char* occurred : {"true", "[1]", "\"0001-01-01T00:00:00Z\"", "1e99", "\"soon\""}) {
    EXPECT_THAT(Only(std::string("{\"occurred\":") + occurred + "}").warnings, SizeIs(1))
        << occurred;
  }
}

TEST_F(IncidentsTest, OccurredMayBeUnixTimeAndMayHaveBlanksAroundIt) {
  EXPECT_EQ(Only(R"({"occurred":1714557600})").occurred, "2024-05-01T10:00:00Z");
  EXPECT_EQ(Only(R"({"occurred":1714557600250})").occurred, "2024-05-01T10:00:00.25Z");
  EXPECT_EQ(Only(R"({"occurred":" 2024-05-01T10:00:00Z\n"})").occurred, "2024-05-01T10:00:00Z");
  EXPECT_THAT(out_.incidents()[0].warnings, IsEmpty());
}

TEST_F(IncidentsTest, BlanksAroundNameAndTypeAreCutAndANulIsReplacedWithAWarning) {
  const ParsedIncident& incident = Only(R"({"name":" a b ","type":"Phishing\n"})");
  EXPECT_EQ(incident.name, "a b");
  EXPECT_EQ(incident.type, "Phishing");
  EXPECT_THAT(incident.warnings, IsEmpty());
  const ParsedIncident& nul = Only(R"({"name":"a\u0000b","x":"\u0000"})");
  EXPECT_EQ(nul.name,
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_THAT(nul.warnings, ElementsAre("name has a NUL, which became U+FFFD"));
  EXPECT_EQ(DetailsOf(nul), R"({"name":"a\u0000b","x":"\u0000","headers":{}})");
}

// JavaScript writes them where it cuts a text between the halves of a pair.
TEST_F(IncidentsTest, HalfOfASurrogatePairStaysInTheDetailsAndIsReplacedInNameAndType) {
  const ParsedIncident& incident = Only(R"({"name":"a\ud83d","type":"\ude00b","x":"\uD83D!"})");
  EXPECT_EQ(incident.name, "a\xEF\xBF\xBD");
  EXPECT_EQ(incident.type,
            "\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(DetailsOf(incident),
            R"({"name":"a\ud83d","type":"\ude00b","x":"\uD83D!","headers":{}})");
  EXPECT_EQ(Details(R"({"rawJson":"{\"a\":\"\ud83d\",\"b\":\"\\ud83d\"}"})"),
            R"({"a":"\ud83d","b":"\ud83d","headers":{}})");
  EXPECT_EQ(Only(R"({"name":"\ud83d\ude00"})").name, "\xF0\x9F\x98\x80");
  duplication_key_ = *ReadDuplicationKey("id");
  const std::string one(Only(R"({"id":"\ud83d"})").delivery_key);
  EXPECT_NE(one, "");
  EXPECT_NE(Only(R"({"id":"\ud83e"})").delivery_key, one);
}

TEST_F(IncidentsTest, ThePlatformsSpellingOfRawJsonIsTaken) {
  EXPECT_EQ(Details(R"({"rawJSON":{"a":1},"b":2})"), R"({"a":1,"headers":{}})");
  EXPECT_EQ(Details(R"({"rawJSON":"{\"a\":1}","name":"n"})"), R"({"a":1,"headers":{}})");
  EXPECT_EQ(Place(R"({"rawJSON":[1]})"), "rawJson must be an object");
}

TEST_F(IncidentsTest, WholeObjectIsTheDetailsWithoutRawJson) {
  EXPECT_EQ(
      Details(R"({"string_field":"string_field_value","array_field":["item1","item2"]})"),
      R"({"string_field":"string_field_value","array_field":["item1","item2"],"headers":{}})");
}

TEST_F(IncidentsTest, RawJsonWinsOverRawJsonWithAnUnderscore) {
  EXPECT_EQ(Details(R"({"raw_json":{"a":1},"rawJson":{"b":2},"c":3})"), R"({"b":2,"headers":{}})");
  EXPECT_EQ(Details(R"({"raw_json":{"a":1},"c":3})"), R"({"a":1,"headers":{}})");
  EXPECT_EQ(Details(R"({"raw_json":5,"rawJson":{"b":2}})"), R"({"b":2,"headers":{}})");
}

TEST_F(IncidentsTest, FalsyRawJsonCountsAsAbsent) {
  for (const char* falsy : {"null", "{}", "{ }", "[]", "[ ]", "\"\"", "0", "-0", "0.0", "0e5",
                            "false", "\"{}\"", "\" { } \""}) {
    const std::string member = std::string("\"rawJson\":") + falsy;
    EXPECT_EQ(Details("{" + member + ",\"raw_json\":{\"a\":1}}"), R"({"a":1,"headers":{}})");
    EXPECT_EQ(Details("{" + member + "}"), "{" + member + ",\"headers\":{}}");
  }
}

TEST_F(IncidentsTest, StringThatHoldsAnObjectIsTakenAsThatObject) {
  EXPECT_EQ(Details(R"({"rawJson":" {\"a\": \"\\u00e9\\n\", \"n\":1E400}\n"})"),
            R"({"a": "\u00e9\n", "n":1E400,"headers":{}})");
  EXPECT_EQ(Details(R"({"rawJson":"{\"headers\":1}"})"), R"({"body_headers":1,"headers":{}})");
}

TEST_F(IncidentsTest, LastOfARepeatedKeyCountsAndTheTextStays) {
  const ParsedIncident& incident = Only(R"({"name":"a","name":"b","type":"c","type":5})");
  EXPECT_EQ(incident.name, "b");
  EXPECT_EQ(incident.type, "Unclassified");
  EXPECT_EQ(DetailsOf(incident), R"({"name":"a","name":"b","type":"c","type":5,"headers":{}})");
  EXPECT_EQ(Details(R"({"rawJson":{"a":1},"rawJson":{"b":2}})"), R"({"b":2,"headers":{}})");
  EXPECT_EQ(Details(R"({"rawJson":5,"rawJson":{"b":2}})"), R"({"b":2,"headers":{}})");
  EXPECT_EQ(Place(R"({"rawJson":{"b":2},"rawJson":5})"), "rawJson must be an object");
}

TEST_F(IncidentsTest, KeysMayBeWrittenWithEscapes) {
  const ParsedIncident& incident =
      Only(R"({"\u006eame":"a","r\u0061wJson":{"\u0068eaders":1,"b":2}})");
  EXPECT_EQ(incident.name, "a");
  EXPECT_EQ(DetailsOf(incident), R"({"body_headers":1,"b":2,"headers":{}})");
}

TEST_F(IncidentsTest, TextsAreUnescaped) {
  EXPECT_EQ(Only(R"({"name":"\u041f\ud83d\ude00\n\"x\" é"})").name, "П😀\n\"x\" é");
}

TEST_F(IncidentsTest, LongNameIsCutAtACharacterAndTheSenderIsTold) {
  limits_.name_bytes = 64;
  const ParsedIncident& incident = Only("{\"name\":\"" + std::string(63, 'a') + "éé\",\"type\":\"" +
                                        std::string(70, 't') + "\"}");
  EXPECT_EQ(incident.name, std::string(63, 'a'));
  EXPECT_EQ(incident.type, std::string(64, 't'));
  EXPECT_THAT(incident.warnings, ElementsAre("name was cut to 63 of its 67 bytes",
                                             "type was cut to 64 of its 70 bytes"));
}

TEST_F(IncidentsTest, OccurredIsGivenInUtc) {
  EXPECT_EQ(Only(R"({"occurred":"2024-05-01 12:00:00.500+02:00"})").occurred,
            "2024-05-01T10:00:00.5Z");
  EXPECT_EQ(Only(R"({"occurred":"2024-05-01"})").occurred, "2024-05-01T00:00:00Z");
}

TEST_F(IncidentsTest, OccurredThatIsNoTimeIsQuotedInAWarning) {
  const ParsedIncident& incident = Only(R"({"occurred":"yester\u0007day"})");
  EXPECT_EQ(incident.occurred, "2024-05-01T10:00:00.25Z");
  ASSERT_THAT(incident.warnings, SizeIs(1));
  EXPECT_THAT(std::string(incident.warnings[0]),
              StartsWith("occurred \"yester\\u0007day\" is neither a time of ISO-8601 nor"));
  EXPECT_THAT(std::string(Only("{\"occurred\":\"" + std::string(99, 'x') + "éé\"}").warnings[0]),
              HasSubstr("\"" + std::string(99, 'x') + "...\""));
}

TEST_F(IncidentsTest, WarningsStandAtTheirOwnIncident) {
  ASSERT_TRUE(Parse(R"([{"name":"a"},{"occurred":"x"},{},{"occurred":"y"}])").ok());
  ASSERT_THAT(out_.incidents(), SizeIs(4));
  EXPECT_THAT(out_.incidents()[0].warnings, IsEmpty());
  EXPECT_THAT(out_.incidents()[1].warnings, SizeIs(1));
  EXPECT_THAT(out_.incidents()[2].warnings, IsEmpty());
  EXPECT_THAT(std::string(out_.incidents()[3].warnings[0]), StartsWith("occurred \"y\""));
  EXPECT_EQ(DetailsOf(out_.incidents()[3]), R"({"occurred":"y","headers":{}})");
}

TEST_F(IncidentsTest, HeadersAreTheLastMemberAndSecretsAreNot) {
  headers_ = {{"Host", "h"}, {"X-Secret-Token", "s"}, {"Authorization", "a"}, {"Cookie", "c"}};
  EXPECT_EQ(Details(R"({"a":1})"), R"({"a":1,"headers":{"host":"h"}})");
  EXPECT_EQ(Details(" { } "), R"({ "headers":{"host":"h"}})");
}

TEST_F(IncidentsTest, HeadersOfTheBodyStayUnderAKeyThatIsFree) {
  headers_ = {{"Host", "h"}};
  EXPECT_EQ(Details(R"({ "headers" : {"x":1} , "b":2})"),
            R"({ "body_headers" : {"x":1} , "b":2,"headers":{"host":"h"}})");
  EXPECT_EQ(Details(R"({"headers":1,"body_headers":2,"body_headers_3":3,"headers":4})"),
            R"({"body_headers_2":1,"body_headers":2,"body_headers_3":3,"body_headers_2":4,)"
            R"("headers":{"host":"h"}})");
  EXPECT_EQ(
      Details(R"({"headers":1,"body_headers_2":2,"body\u005fheaders":2})"),
      R"({"body_headers_3":1,"body_headers_2":2,"body\u005fheaders":2,"headers":{"host":"h"}})");
  EXPECT_EQ(Details(R"({"rawJson":{"a":{"headers":1}},"headers":5})"),
            R"({"a":{"headers":1},"headers":{"host":"h"}})");
}

TEST_F(IncidentsTest, LiteralsKeepTheirBytes) {
  const std::string members =
      R"("z":1E5,"a":12345678901234567890123456789,"b":1e400,"c":"\u0041\/","d":-0.0)";
  EXPECT_EQ(Details("{" + members + "}"), "{" + members + ",\"headers\":{}}");
}

TEST_F(IncidentsTest, ByteOrderMarkIsSkipped) {
  EXPECT_EQ(Details("\xEF\xBB\xBF{\"a\":1}"), R"({"a":1,"headers":{}})");
}

TEST_F(IncidentsTest, ParserAndRequestAreReusedWithoutATrace) {
  IncidentParser parser(limits_);
  const Defaults defaults{"T", absl::UnixEpoch(), ""};
  const base::PaddedText large("[" + Repeat(R"({"rawJson":"{\"a\":1}","occurred":"x"},)", 9999) +
                               "{}]");
  const base::PaddedText broken(R"({"a":)");
  const base::PaddedText small(R"({"name":"n"})");
  ASSERT_TRUE(parser.Parse(large.view(), {}, defaults, out_).ok());
  EXPECT_THAT(out_.incidents(), SizeIs(10'000));
  EXPECT_FALSE(parser.Parse(broken.view(), {}, defaults, out_).ok());
  ASSERT_TRUE(parser.Parse(small.view(), {}, defaults, out_).ok());
  ASSERT_THAT(out_.incidents(), SizeIs(1));
  EXPECT_EQ(DetailsOf(out_.incidents()[0]), R"({"name":"n","headers":{}})");
  const ParsedRequest moved = std::move(out_);
  EXPECT_EQ(DetailsOf(moved.incidents()[0]), R"({"name":"n","headers":{}})");
}

TEST_F(IncidentsTest, MirrorMembersOfTheBodyStayUntouchedWithoutMirroring) {
  EXPECT_EQ(Details(R"({"mirror_direction":"Out","body_mirror_tags":1})"),
            R"({"mirror_direction":"Out","body_mirror_tags":1,"headers":{}})");
}

TEST_F(IncidentsTest, SenderCannotChooseWhatIsMirrored) {
  mirror_members_ = R"(,"mirror_direction":"In","mirror_instance":"webhook")";
  EXPECT_EQ(
      Details(R"({"mirror_direction":"Both","mirror\u005ftags":["x"],"mirror_instance":1,)"
              R"("body_mirror_instance":2,"headers":3,"mirror_direction":4})"),
      R"({"body_mirror_direction":"Both","body_mirror_tags":["x"],"body_mirror_instance_2":1,)"
      R"("body_mirror_instance":2,"body_headers":3,"body_mirror_direction":4,)"
      R"("headers":{},"mirror_direction":"In","mirror_instance":"webhook"})");
}

TEST_F(IncidentsTest, MirrorMembersJoinEveryIncidentsDetails) {
  mirror_members_ = R"(,"mirror_direction":"In")";
  EXPECT_EQ(Details("{}"), R"({"headers":{},"mirror_direction":"In"})");
  EXPECT_EQ(Details(R"({"rawJson":"{\"a\":1}"})"),
            R"({"a":1,"headers":{},"mirror_direction":"In"})");
  ASSERT_TRUE(Parse(R"([{"a":1},{"raw_json":{"b":2}}])").ok());
  EXPECT_EQ(DetailsOf(out_.incidents()[1]), R"({"b":2,"headers":{},"mirror_direction":"In"})");
}

TEST_F(IncidentsTest, WithoutADuplicationKeyThereAreNoDeliveryKeys) {
  EXPECT_EQ(Only(R"({"id":1})").delivery_key, "");
}

TEST_F(IncidentsTest, DeliveryKeysAreFoundInTheFinalDetails) {
  duplication_key_ = *ReadDuplicationKey("headers.x-request-id,event.id");
  ASSERT_TRUE(
      Parse(R"([{"event":{"id":"a"}},{"event":{"id":"x"},"rawJson":{"event":{"id":"b"}}},{}])")
          .ok());
  EXPECT_EQ(out_.incidents()[0].delivery_key, "\2is8:event.id:a");
  EXPECT_EQ(out_.incidents()[1].delivery_key, "\2is8:event.id:b");
  EXPECT_EQ(out_.incidents()[2].delivery_key, "");
  headers_ = {{"X-Request-ID", "7"}};
  EXPECT_EQ(Only(R"({"event":{"id":"a"}})").delivery_key, "\2rs20:headers.x-request-id:7");
  // A member of the body that is called headers is not the request's headers.
  headers_.clear();
  EXPECT_EQ(Only(R"({"headers":{"x-request-id":"7"}})").delivery_key, "");
}

TEST_F(IncidentsTest, IncidentsOfOneRequestHaveDeliveryKeysOfTheirOwnFromOneHeader) {
  duplication_key_ = *ReadDuplicationKey("headers.x-delivery");
  headers_ = {{"X-Delivery", "7"}};
  ASSERT_TRUE(Parse(R"([{"a":1},{"a":1},{"a":2}])").ok());
  EXPECT_EQ(out_.incidents()[0].delivery_key, "\2rs18:headers.x-delivery:7");
  EXPECT_EQ(out_.incidents()[1].delivery_key, "\2rs18:headers.x-delivery:7\n1");
  EXPECT_EQ(out_.incidents()[2].delivery_key, "\2rs18:headers.x-delivery:7\n2");
  EXPECT_EQ(Only(R"({"a":1})").delivery_key, "\2rs18:headers.x-delivery:7");
}

TEST_F(IncidentsTest, ContentIsThatOfTheIncidentInTheBodyAlone) {
  duplication_key_ = *ReadDuplicationKey("id");
  headers_ = {{"Date", "today"}};
  const std::string first(Only(R"({"id":1,"rawJson":{"id":1},"name":"a"})").content);
  EXPECT_THAT(first, SizeIs(32));
  headers_ = {{"Date", "tomorrow"}};
  EXPECT_EQ(Only(R"({"id":1,"rawJson":{"id":1},"name":"a"})").content, first);
  EXPECT_NE(Only(R"({"id":1,"rawJson":{"id":1},"name":"b"})").content, first);
  EXPECT_EQ(Only(R"({"a":1})").content, "");
}

TEST_F(IncidentsTest, LongDeliveryKeyStaysUnderItsLimit) {
  limits_.delivery_key_bytes = 64;
  duplication_key_ = *ReadDuplicationKey("id");
  EXPECT_EQ(Only("{\"id\":\"" + Repeat("a", 61) + "\"}").delivery_key,
            "\2is2:id:" + Repeat("a", 61));
  EXPECT_THAT(Only("{\"id\":\"" + Repeat("a", 62) + "\"}").delivery_key, SizeIs(64 + 5));
}

TEST_F(IncidentsTest, DeepDetailsHaveADeliveryKeyAsWell) {
  limits_.json_depth = 2;
  duplication_key_ = *ReadDuplicationKey("id");
  EXPECT_EQ(Only(R"({"id":1,"a":{}})").delivery_key, "\2in2:id:1");
}

}  // namespace
}  // namespace webhook::core
