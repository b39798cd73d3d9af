#include "plugin/sources/profile.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "plugin/sources/body.h"

namespace webhook::sources {
namespace {

std::string Reason(absl::string_view json) {
  return std::string(ReadProfile(json).status().message());
}

// A good profile with one entry of it in other words.
std::string With(absl::string_view member) {
  return absl::StrCat(R"({"profile": 1, "name": "mine", )",
                      R"("authenticate": [{"kind": "token", "from": "header:X-Token"}], )", member,
                      "}");
}
std::string WithEntry(absl::string_view entry) {
  return absl::StrCat(R"({"profile": 1, "name": "mine", "config": {"place": ""}, )",
                      R"("authenticate": [)", entry, "]}");
}

struct Refused {
  const char* name;
  std::string json;
  const char* message;  // its beginning
};

class RefusedProfileTest : public testing::TestWithParam<Refused> {};

TEST_P(RefusedProfileTest, NamesThePlace) {
  const std::string message = Reason(GetParam().json);
  EXPECT_TRUE(absl::StartsWith(message, GetParam().message)) << message;
}

INSTANTIATE_TEST_SUITE_P(
    Profiles, RefusedProfileTest,
    testing::Values(
        Refused{"no_json", "{", "line 1, column 2: "}, Refused{"list", "[]", "expected an object"},
        Refused{"no_version", R"({"name": "a", "authenticate": []})", "\"profile\": 1 is missing"},
        Refused{"other_version", R"({"profile": 2})", "profile: expected a whole number"},
        Refused{"no_name", R"({"profile": 1})", "name is missing"},
        Refused{"no_authenticate", R"({"profile": 1, "name": "a"})", "authenticate is missing"},
        Refused{"unknown_word", With(R"("colour": 1)"), "colour: unknown word"},
        Refused{"word_twice", With(R"("title": "a", "title": "b")"), "title: it is there twice"},
        Refused{"unknown_word_inside", With(R"("body": {"typs": {}})"), "body.typs: unknown word"},
        Refused{"decoder", With(R"("body": {"other": "xml"})"), "body.other: expected one of auto"},
        Refused{"method", With(R"("methods": ["PO ST"])"), "methods: no method"},
        Refused{"deep", With(R"("body": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]})"), "line 1"},
        Refused{"unwrap", With(R"("body": {"unwrap": [{"at": "a", "as": "xml"}]})"),
                "body.unwrap[0]: unwrap has at"},
        Refused{"path", With(R"("delivery": "{json:a..b}")"), "delivery: the path \"a..b\""},
        Refused{"path_index", With(R"("delivery": "{json:a[x]}")"), "delivery: the path"},
        Refused{"path_end", With(R"("delivery": "{json:a.}")"), "delivery: the path"},
        Refused{"brace", With(R"("delivery": "{json:a")"), "delivery: a brace is not closed"},
        Refused{"bracket", With(R"("delivery": "[a")"), "delivery: a bracket is not closed"},
        Refused{"closed", With(R"("delivery": "a]")"), "delivery: a bracket is closed that"},
        Refused{"function", With(R"("delivery": "{json:a|md5}")"), "delivery: unknown function"},
        Refused{"reference", With(R"("delivery": "{cookie:a}")"), "delivery: unknown reference"},
        Refused{"secret_reference", With(R"("delivery": "{secret}")"),
                "delivery: unknown reference"},
        Refused{"signed_time_outside", With(R"("delivery": "{ts}")"),
                "delivery: unknown reference"},
        Refused{"incident_outside", With(R"("delivery": "{incident:id}")"),
                "delivery: unknown reference"},
        Refused{"config", With(R"("delivery": "{config:a}")"), "delivery: config has no such"},
        Refused{"header", With(R"("delivery": "{header:a b}")"), "delivery: no name of a header"},
        Refused{"severity",
                With(R"("incidents": {"severity": {"from": "item:a", "map": {"x": 5}}})"),
                "incidents.severity.map.x: a severity is"},
        Refused{"each", With(R"("incidents": {"each": "item:a"})"),
                "incidents.each: expected json:"},
        Refused{"test", With(R"("incidents": {"when": {"method": 1}})"),
                "incidents.when.method: expected true"},
        Refused{"redact_of_a_body", With(R"("redact": ["header:A", "json:token"])"),
                "redact[1]: expected header: or query:, for bodies are kept"},
        Refused{"pattern", With(R"x("incidents": {"when": {"method": {"matches": "("}}})x"),
                "incidents.when.method.matches: no regular expression"},
        Refused{"status", With(R"("answer": {"refused": 99})"), "answer.refused: expected a whole"},
        Refused{"handshake", With(R"("handshake": [{"auth": "none"}])"),
                "handshake[0]: when is missing"},
        Refused{"handshake_auth", With(R"("handshake": [{"when": {}, "auth": "maybe"}])"),
                "handshake[0].auth: expected same"},
        Refused{"kind", WithEntry(R"({"kind": "md5"})"), "authenticate[0].kind: expected one of"},
        Refused{"no_from", WithEntry(R"({"kind": "token"})"), "authenticate[0]: from is missing"},
        Refused{"no_signed", WithEntry(R"({"kind": "hmac", "from": "header:S"})"),
                "authenticate[0]: signed is missing"},
        Refused{"nothing_signed",
                WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "x{config:place}"})"),
                "authenticate[0]: signed has nothing of the request"},
        Refused{"time_not_there",
                WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "{ts}{body}"})"),
                "authenticate[0]: signed has {ts}, but"},
        Refused{"id_not_there",
                WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "{id}{body}"})"),
                "authenticate[0]: signed has {id}, but"},
        Refused{"tolerance",
                WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "{ts}{body}",
                            "timestamp": {"from": "header:T"}})"),
                "authenticate[0].timestamp: tolerance_s is missing"},
        Refused{"time_not_signed",
                WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "{body}",
                            "timestamp": {"from": ["header:T", "json:t"], "tolerance_s": 60}})"),
                "authenticate[0].timestamp: the time is not signed"},
        Refused{
            "time_in_one_alternative",
            WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": ["{ts}{body}", "{body}"],
                            "timestamp": {"from": "header:T", "tolerance_s": 60}})"),
            "authenticate[0].timestamp: the time is not signed"},
        Refused{"time_in_a_checksum",
                WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "{body|crc32}",
                            "timestamp": {"from": "json:t", "tolerance_s": 60}})"),
                "authenticate[0].timestamp: the time is not signed"},
        Refused{
            "time_that_another_value_takes_away",
            WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "{body}[{ts}{header:O}]",
                            "timestamp": {"from": "header:T", "tolerance_s": 60}})"),
            "authenticate[0].timestamp: the time is not signed"},
        Refused{"time_that_a_header_can_be",
                absl::StrCat(R"({"profile": 1, "name": "mine", "body": {"other": "auto"}, )",
                             R"("authenticate": [{"kind": "hmac", "from": "header:S", )",
                             R"("signed": "{body}", )",
                             R"("timestamp": {"from": "json:t", "tolerance_s": 60}}]})"),
                "authenticate[0].timestamp: the time is not signed"},
        Refused{"time_of_a_handshake",
                With(R"("handshake": [{"when": {"query:c": true}, "auth": {"kind": "hmac",
                     "from": "header:S", "signed": "{query:c}",
                     "timestamp": {"from": "header:T", "tolerance_s": 60}}}])"),
                "handshake[0].auth.timestamp: the time is not signed"},
        Refused{"public_key_that_is_a_secret",
                WithEntry(R"({"kind": "hmac", "from": "header:S", "signed": "{body}"},
                            {"kind": "ed25519", "from": "header:S", "signed": "{body}"})"),
                "authenticate[1]: its public keys would be secrets of authenticate[0]: "},
        Refused{"public_key_that_is_a_token",
                WithEntry(R"({"kind": "ecdsa-p256", "from": "header:S", "signed": "{body}",
                            "key": {"only": "pk_"}},
                            {"kind": "token", "from": "header:T", "key": {"not": "pk_live_"}})"),
                "authenticate[0]: its public keys would be secrets of authenticate[1]: "},
        Refused{"public_key_that_is_a_token_of_a_handshake",
                absl::StrCat(
                    R"({"profile": 1, "name": "mine", "handshake": [{"when": {"query:c": true}, )",
                    R"("auth": {"kind": "token", "from": "query:t"}}], "authenticate": [)",
                    R"({"kind": "ed25519", "from": "header:S", "signed": "{body}"}]})"),
                "authenticate[0]: its public keys would be secrets of handshake[0].auth: "},
        Refused{"certificate",
                WithEntry(R"({"kind": "certificate", "from": "header:S", "signed": "{body}"})"),
                "authenticate[0]: certificate has url, host and path"},
        Refused{"jwt", WithEntry(R"({"kind": "jwt", "from": "header:A"})"),
                "authenticate[0]: a jwt needs the claims"},
        Refused{"checks_of_basic", WithEntry(R"({"kind": "basic", "checks": {"header:A": "b"}})"),
                "authenticate[0]: only a signature or a token has checks"},
        Refused{"checks_of_a_jwt",
                WithEntry(R"({"kind": "jwt", "from": "header:A", "claims": {"iss": "i", "aud": "a"},
                            "checks": {"header:A": "b"}})"),
                "authenticate[0]: only a signature or a token has checks"},
        Refused{"item", WithEntry(R"({"kind": "token", "from": "item:a"})"),
                "authenticate[0]: item: needs each"},
        Refused{"too_large", With(absl::StrCat("\"title\": \"", std::string(65'536, 'a'), "\"")),
                "it has "}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ProfileTest, PublicKeysMayStandBesideSecretsThatArePrefixedOtherwise) {
  const auto reason = [](absl::string_view of_token, absl::string_view of_key) {
    return Reason(WithEntry(absl::StrCat(
        R"({"kind": "token", "from": "header:T", )", of_token,
        R"(}, {"kind": "ed25519", "from": "header:S", "signed": "{body}", )", of_key, "}")));
  };
  EXPECT_EQ(reason(R"("key": {"not": "pk_"})", R"("key": {"only": "pk_live_"})"), "");
  EXPECT_EQ(reason(R"("key": {"only": "sk_"})", R"("key": {"only": "pk_"})"), "");
  EXPECT_EQ(reason(R"("secret": "mine")", R"("key": {})"), "");
  EXPECT_NE(reason(R"("key": {"only": "pk_"})", R"("key": {"only": "pk_live_"})"), "");
}

TEST(ProfileTest, SeventeenEntriesAreRefused) {
  std::string entries;
  for (int i = 0; i < 17; ++i) {
    absl::StrAppend(&entries, i == 0 ? "" : ",", R"({"kind": "token", "from": "header:X"})");
  }
  EXPECT_EQ(Reason(WithEntry(entries)), "authenticate: at most 16 are taken");
}

TEST(ProfileTest, AllBuiltInOnesAreReadAndDescribed) {
  EXPECT_EQ(BuiltInProfiles().size(), 57);
  for (const BuiltInProfile& one : BuiltInProfiles()) {
    const absl::StatusOr<std::shared_ptr<const Profile>> profile = FindProfile(one.name);
    ASSERT_TRUE(profile.ok()) << one.name << ": " << profile.status();
    EXPECT_EQ((*profile)->name, one.name);
    EXPECT_NE((*profile)->setup, "") << one.name;
    const std::string text = DescribeProfile(**profile);
    EXPECT_TRUE(absl::StrContains(text, "What to configure")) << one.name;
    EXPECT_TRUE(
        absl::StrContains(text, (*profile)->authenticate[0].kind == Kind::kHmac ? "hmac sha" : ""));
  }
}

TEST(ProfileTest, AnUnknownNameIsToldItsNeighbours) {
  const absl::Status status = FindProfile("hub").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "github")) << status;
}

TEST(TimeTest, IsReadInItsForm) {
  const auto unix = [](absl::string_view text, TimeForm form) {
    const std::optional<absl::Time> time = ReadTime(text, form);
    return time.has_value() ? absl::ToUnixMillis(*time) : -1;
  };
  EXPECT_EQ(unix("1760000000", TimeForm::kUnix), 1'760'000'000'000);
  EXPECT_EQ(unix("1760000000123", TimeForm::kUnixMs), 1'760'000'000'123);
  EXPECT_EQ(unix("1760000000123", TimeForm::kUnixAuto), 1'760'000'000'123);
  EXPECT_EQ(unix("1760000000", TimeForm::kUnixAuto), 1'760'000'000'000);
  EXPECT_EQ(unix("2025-10-09T08:53:20.5+00:00", TimeForm::kRfc3339), 1'760'000'000'500);
  EXPECT_EQ(unix("2025-10-09T10:53:20+0200", TimeForm::kRfc3339OrUnix), 1'760'000'000'000);
  for (const char* const bad : {"", "-1", "+1", " 1", "1.5", "0x1", "12345678901234567"}) {
    EXPECT_EQ(unix(bad, TimeForm::kUnix), -1) << bad;
  }
  for (const char* const bad :
       {"2025-10-09", "2025-10-09T08:53:20", "2025-10-09T08:53Z", "2025-13-09T08:53:20Z",
        "2025-10-09T08:53:20.Z", "2025-10-09T08:53:20+0", "2025-10-09T08:53:20Zx", "1760000000"}) {
    EXPECT_EQ(unix(bad, TimeForm::kRfc3339), -1) << bad;
  }
}

TEST(RulesTest, WhatIsWrongIsNamed) {
  const std::shared_ptr<const Profile> profile = FindProfile("alertmanager").value();
  const auto reason = [&](absl::string_view json) {
    return std::string(ReadRules(json, *profile).status().message());
  };
  EXPECT_EQ(reason("{}"), "rules: expected a list");
  EXPECT_EQ(reason("[{}]"), "rules[0]: do is missing");
  EXPECT_TRUE(absl::StartsWith(reason(R"([{"do": "hide"}])"), "rules[0].do: expected drop"));
  EXPECT_EQ(reason(R"([{"do": {"set": {}}}])"), "rules[0].do: set needs name, type or severity");
  EXPECT_EQ(reason(R"([{"do": {"set": {"severity": 7}}}])"),
            "rules[0].do.set.severity: a severity is 0, 0.5, 1, 2, 3 or 4");
  EXPECT_EQ(reason(R"([{"when": {"cookie:a": true}, "do": "drop"}])"),
            "rules[0].when.cookie:a: unknown reference: \"cookie:a\"");
  std::string many = "[";
  for (int i = 0; i < 101; ++i) absl::StrAppend(&many, i == 0 ? "" : ",", R"({"do": "keep"})");
  EXPECT_EQ(reason(many + "]"), "rules: at most 100 are taken");
  EXPECT_TRUE(ReadRules("[]", *profile).ok());
}

TEST(FormTest, IsWrittenAsAnObject) {
  const auto json = [](absl::string_view body) { return JsonOfFields(ReadForm(body).value()); };
  EXPECT_EQ(json(""), "{}");
  EXPECT_EQ(json("a=1&b=x+y%26&a=2&c&=d"), R"({"a":["1","2"],"b":"x y&","c":"","":"d"})");
  EXPECT_EQ(json("a=%41%zz%4"), R"({"a":"A%zz%4"})");
  EXPECT_EQ(json("%C3%A4=\"%0A"), "{\"\xC3\xA4\":\"\\\"\\n\"}");
  EXPECT_FALSE(ReadForm("a=%FF").ok());
  std::string many;
  for (int i = 0; i < 1001; ++i) many += "a=1&";
  EXPECT_EQ(ReadForm(many).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(MultipartTest, TheOneJsonPartIsFound) {
  const auto part = [](std::string body, absl::string_view type) {
    body += std::string(64, ' ');
    const auto found = FindJsonPart(absl::string_view(body).substr(0, body.size() - 64), type);
    return found.ok() ? std::string(*found) : absl::StrCat("! ", found.status().message());
  };
  const std::string kText = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n";
  const std::string kJson = "--b\r\nContent-Type: application/json\r\n\r\n{\"a\":\"\r\n-\"}\r\n";
  const std::string kAlike =
      "--b\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n{\"b\":2}\r\n";
  const std::string kFile =
      "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n{\"c\":3}\r\n";
  const char kType[] = "multipart/form-data; boundary=b";
  EXPECT_EQ(part(kText + kJson + kAlike + "--b--\r\n", kType), "{\"a\":\"\r\n-\"}");
  EXPECT_EQ(part("preamble\r\n" + kAlike + kFile + "--b--", "multipart/form-data; boundary=\"b\""),
            "{\"b\":2}");
  EXPECT_TRUE(absl::StartsWith(part(kJson + kJson + "--b--", kType), "! expected one part"));
  EXPECT_TRUE(absl::StartsWith(part(kFile + "--b--", kType), "! expected one part"));
  EXPECT_EQ(part(kJson, kType), "! part 1 is cut short");
  EXPECT_EQ(part("--b\r\n--b--", kType), "! part 1 is cut short");
  EXPECT_EQ(part("--b\r\n\r\n--b--", kType), "! part 1 has no empty line");
  EXPECT_TRUE(absl::StartsWith(part(kJson, "multipart/form-data"), "! the Content-Type names no"));
  EXPECT_TRUE(absl::StartsWith(part("{}", kType), "! the boundary that"));
  std::string many;
  for (int i = 0; i < 65; ++i) many += kText;
  EXPECT_TRUE(absl::StartsWith(part(many + "--b--", kType), "! A multipart body may have 64"));
}

TEST(CloudEventTest, ABodyCannotAddMembers) {
  const core::HeaderView headers[] = {{"ce-id", "1"},
                                      {"ce-source", "/s"},
                                      {"ce-type", "t"},
                                      {"ce-specversion", "1.0"},
                                      {"content-type", "application/json"}};
  const auto event = [&](std::string body) {
    body += std::string(64, ' ');
    return JsonOfCloudEvent(headers, absl::string_view(body).substr(0, body.size() - 64), 16);
  };
  EXPECT_EQ(event(" {\"a\": 1} ").value(),
            R"({"id":"1","source":"/s","type":"t","specversion":"1.0",)"
            R"("datacontenttype":"application/json","data":{"a": 1}})");
  EXPECT_FALSE(event(R"(1,"type":"other")").ok());
  EXPECT_FALSE(event("{").ok());
}

}  // namespace
}  // namespace webhook::sources
