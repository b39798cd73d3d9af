#include "plugin/sources/evaluate.h"

#include <openssl/evp.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "gtest/gtest.h"
#include "plugin/core/incidents.h"
#include "plugin/sources/testing/to_incidents.h"

namespace webhook::sources {
namespace {

constexpr char kSecret[] = "a secret of sixteen octets";

// An instance and one request to it.
class EvaluateTest : public testing::Test {
 protected:
  void Configure(absl::string_view profile, absl::string_view rules = "") {
    settings_.profile =
        profile.substr(0, 1) == "{" ? ReadProfile(profile).value() : FindProfile(profile).value();
    if (!rules.empty()) settings_.rules = ReadRules(rules, *settings_.profile).value();
    Create();
  }
  void Create() {
    absl::StatusOr<std::shared_ptr<const Source>> source = Source::Create(settings_);
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);
  }

  void Head() { evaluator_.EvaluateHead(*source_, MakeRequest(), result_); }

  void Send(std::string body) {
    body_ = std::move(body);
    const size_t size = body_.size();
    body_ += std::string(base::JsonReader::kPadding, '"');
    const absl::string_view view(body_.data(), size);
    const auto decode = [&](size_t most_bytes) -> absl::StatusOr<absl::string_view> {
      if (!decode_status_.ok()) return decode_status_;
      if (decoded_.empty()) return view;
      asked_.push_back(most_bytes);
      if (decoded_.size() - base::JsonReader::kPadding <= most_bytes) {
        return absl::string_view(decoded_).substr(0, decoded_.size() - base::JsonReader::kPadding);
      }
      return absl::ResourceExhaustedError("it is longer");
    };
    evaluator_.Evaluate(*source_, MakeRequest(), Body{view, decode}, result_);
  }

  void SendSigned(std::string body) {
    const absl::string_view view = body;
    Set("X-Hub-Signature-256",
        absl::StrCat("sha256=",
                     absl::BytesToHexString(Hmac(Hash::kSha256, kSecret, std::span(&view, 1)))));
    Send(std::move(body));
  }

  void Set(std::string name, std::string value) {
    for (auto& [known, its] : headers_) {
      if (known == name) {
        its = std::move(value);
        return;
      }
    }
    headers_.emplace_back(std::move(name), std::move(value));
  }

  Request MakeRequest() {
    views_.clear();
    for (const auto& [name, value] : headers_) views_.push_back({name, value});
    return {method_, query_, views_, now_, is_trial_};
  }

  std::string Incidents() {
    std::string buffer;
    return std::string(ToIncidents(result_, buffer));
  }

  Settings settings_;
  std::shared_ptr<const Source> source_;
  Limits limits_;
  Evaluator evaluator_{limits_};
  Result result_;
  std::string method_ = "POST";
  std::string query_;
  std::vector<std::pair<std::string, std::string>> headers_ = {
      {"Content-Type", "application/json"}};
  std::vector<core::HeaderView> views_;
  absl::Time now_ = absl::FromUnixSeconds(1'760'000'000);
  bool is_trial_ = false;
  absl::Status decode_status_;
  std::string decoded_;        // what a body is decoded to, with padding; empty: it is not encoded
  std::vector<size_t> asked_;  // the most bytes of each decoding of that

 private:
  std::string body_;
};

class GitHubTest : public EvaluateTest {
 protected:
  void SetUp() override {
    settings_.signing_secrets = {{"another secret, older"}, {kSecret}};
    Configure("github");
  }
};

TEST_F(GitHubTest, AHeadWithoutItsSignatureIsRefusedAtOnce) {
  Head();
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
  EXPECT_EQ(result_.answer.status, 401);
  EXPECT_EQ(result_.explanation, "authenticate[0] (hmac): header X-Hub-Signature-256 is missing");
  EXPECT_EQ(result_.message, "");
}

TEST_F(GitHubTest, AHeadWithASignatureAsksForItsBody) {
  Set("X-Hub-Signature-256", "sha256=00");
  Head();
  EXPECT_EQ(result_.outcome, Outcome::kContinue);
  headers_.emplace_back("x-hub-signature-256", "sha256=00");
  Head();
  EXPECT_EQ(result_.explanation,
            "authenticate[0] (hmac): header X-Hub-Signature-256 occurs more than once");
}

TEST_F(GitHubTest, AnotherMethodIs405) {
  method_ = "PUT";
  Head();
  EXPECT_EQ(result_.answer.status, 405);
  EXPECT_EQ(result_.step, Step::kMethod);
  EXPECT_EQ(result_.answer.headers[0].second, "POST");
}

TEST_F(GitHubTest, TheSecretThatFitsIsTold) {
  SendSigned("{}");
  EXPECT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
  EXPECT_EQ(result_.secret, 2);
  EXPECT_EQ(result_.kind, Kind::kHmac);
}

TEST_F(GitHubTest, AnExpiredSecretIsRefused) {
  settings_.signing_secrets[1].expires = now_;
  Create();
  SendSigned("{}");
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
  EXPECT_EQ(result_.step, Step::kSignature);
  now_ -= absl::Seconds(1);
  SendSigned("{}");
  EXPECT_EQ(result_.outcome, Outcome::kAccept);
}

TEST_F(GitHubTest, AReplayIsTheSameUnderAnotherDelivery) {
  Set("X-GitHub-Delivery", "one");
  SendSigned("{\"a\":1}");
  ASSERT_TRUE(result_.replay.has_value());
  const auto first = *result_.replay;
  EXPECT_EQ(result_.delivery, "one");
  Set("X-GitHub-Delivery", "two");
  SendSigned("{\"a\":1}");
  EXPECT_EQ(*result_.replay, first);
  SendSigned("{\"a\":2}");
  EXPECT_NE(*result_.replay, first);
  settings_.replay_check = false;
  Create();
  SendSigned("{\"a\":2}");
  EXPECT_FALSE(result_.replay.has_value());
}

TEST_F(GitHubTest, WhatIsSignedAndNoJsonIs400AndNamed) {
  for (const char* const bad : {"{", "", "[1", "\"text\"", "1", "{\"a\":\"\xFF\"}", "{}}"}) {
    SendSigned(bad);
    EXPECT_EQ(result_.outcome, Outcome::kRefuse) << bad;
    EXPECT_EQ(result_.answer.status, 400) << bad;
    EXPECT_EQ(result_.step, Step::kBody);
    EXPECT_TRUE(absl::StrContains(result_.message, "Content-Type: application/json")) << bad;
  }
  Set("Content-Type", "text/xml");
  SendSigned("<a/>");
  EXPECT_EQ(result_.answer.status, 415);
  EXPECT_EQ(result_.message,
            "The Content-Type text/xml is not taken; send application/json or "
            "application/x-www-form-urlencoded");
}

TEST_F(GitHubTest, WhatCannotBeDecodedIsRefusedAfterItsSignature) {
  const std::pair<absl::Status, int> kinds[] = {{absl::InvalidArgumentError("cut"), 400},
                                                {absl::ResourceExhaustedError("long"), 413},
                                                {absl::UnimplementedError("br"), 415},
                                                {absl::UnavailableError("full"), 503}};
  for (const auto& [status, code] : kinds) {
    decode_status_ = status;
    SendSigned("{}");
    EXPECT_EQ(result_.answer.status, code);
    EXPECT_EQ(result_.message, status.message());
    Send("{ }");
    EXPECT_EQ(result_.answer.status, 401);
  }
}

TEST_F(GitHubTest, BytesOfTheElementAreKept) {
  Set("X-GitHub-Event", "push");
  const std::string body =
      "{ \"n\": 1e400, \"big\": 12345678901234567890123, \"d\": 1, \"d\": 2, \"s\": \"\\ud800\" }";
  SendSigned(body);
  ASSERT_EQ(result_.events.size(), 1) << result_.explanation;
  EXPECT_EQ(DetailsOf(result_, result_.events[0]), body);
  EXPECT_EQ(
      Incidents(),
      absl::StrCat("[{\"name\":\"GitHub push\",\"type\":\"GitHub push\",\"rawJson\":", body, "}]"));
}

TEST_F(GitHubTest, NestingHasTheLimitOfOtherBodies) {
  const std::string deep(static_cast<size_t>(limits_.json_depth) + 1, '[');
  SendSigned("{\"a\":" + deep);
  EXPECT_EQ(result_.answer.status, 400);
  EXPECT_TRUE(absl::StrContains(result_.message, "nested deeper")) << result_.message;
}

// ---- Events of an array.

class AlertsTest : public EvaluateTest {
 protected:
  void SetUp() override {
    settings_.signing_secrets = {{kSecret}};
    Set("Authorization", absl::StrCat("Bearer ", kSecret));
    Configure("alertmanager");
  }
};

constexpr char kAlerts[] = R"({"status":"firing", "alerts": [
  {"labels":{"alertname":"Down","severity":"page"},"startsAt":"2025-10-09T08:53:20Z"},
  {"envelope":1,"labels":{"alertname":"Slow"}}, {}, 7 ] , "version":"4"})";

TEST_F(AlertsTest, TheEnvelopeJoinsEachWithoutTheArray) {
  Send(kAlerts);
  ASSERT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
  ASSERT_EQ(result_.events.size(), 4);
  EXPECT_EQ(result_.envelope, R"({"status":"firing",  "version":"4"})");
  EXPECT_EQ(result_.events[0].name, "Down");
  EXPECT_EQ(result_.events[0].severity, 4);
  EXPECT_EQ(result_.events[0].occurred, "2025-10-09T08:53:20Z");
  EXPECT_EQ(DetailsOf(result_, result_.events[0]),
            R"({"labels":{"alertname":"Down","severity":"page"},"startsAt":"2025-10-09T08:53:20Z",)"
            R"("envelope":{"status":"firing",  "version":"4"}})");
  EXPECT_TRUE(
      absl::StrContains(DetailsOf(result_, result_.events[1]), "\"envelope\":1,\"labels\""));
  EXPECT_TRUE(
      absl::StrContains(DetailsOf(result_, result_.events[1]), "\"envelope_of_request\":{"));
  EXPECT_TRUE(absl::StartsWith(DetailsOf(result_, result_.events[2]), "{\"value\":{},"));
  EXPECT_TRUE(absl::StartsWith(DetailsOf(result_, result_.events[3]), "{\"value\":7,"));
  EXPECT_EQ(result_.events[2].name, "Prometheus Alertmanager");
}

TEST_F(AlertsTest, TheArrayMayStandAnywhereInItsEnvelope) {
  for (const auto& [body, envelope] : std::vector<std::pair<std::string, std::string>>{
           {R"({"alerts":[{"a":1}]})", "{}"},
           {R"({"alerts":[{"a":1}],"b":2})", R"({"b":2})"},
           {R"({"b":2,"alerts":[{"a":1}]})", R"({"b":2})"},
           {R"({"b":2 , "alerts" : {"a":1} , "c":3})", R"({"b":2 ,  "c":3})"},
           {R"({"alerts":[{"x":0}],"b":2,"alerts":[{"a":1}]})", R"({"alerts":[{"x":0}],"b":2})"}}) {
    Send(body);
    EXPECT_EQ(result_.envelope, envelope) << body;
    ASSERT_EQ(result_.events.size(), 1) << body;
    EXPECT_EQ(result_.events[0].element, R"({"a":1})") << body;
  }
}

TEST_F(AlertsTest, MoreThanTheLimitIs413) {
  limits_.incidents_of_a_request = 3;
  Evaluator evaluator(limits_);
  std::string body = R"({"alerts":[1,2,3]})";
  for (const int status : {200, 413}) {
    const std::string padded = body + std::string(64, ' ');
    const absl::string_view view(padded.data(), body.size());
    const auto decode = [&](size_t) -> absl::StatusOr<absl::string_view> { return view; };
    evaluator.Evaluate(*source_, MakeRequest(), Body{view, decode}, result_);
    EXPECT_EQ(result_.answer.status, status);
    body = R"({"alerts":[1,2,3,4]})";
  }
  EXPECT_EQ(result_.reason, Reason::kTooManyIncidents);
}

TEST_F(AlertsTest, AnEnvelopeCannotBeMultipliedWithoutEnd) {
  std::string body = "{\"text\":\"" + std::string(100'000, 'a') + "\",\"alerts\":[{}";
  for (int i = 0; i < 5'000; ++i) body += ",{}";
  Send(body + "]}");
  EXPECT_EQ(result_.answer.status, 413);
  EXPECT_EQ(result_.reason, Reason::kBodyTooLarge);
}

TEST_F(AlertsTest, ALongTextIsCutAndALongDeliveryIsNone) {
  const std::string text(10'000, 'x');
  Send(absl::StrCat(R"({"alerts":[{"labels":{"alertname":")", text, "\\u00e4",
                    R"("},"fingerprint":")", text, R"(","startsAt":"a","status":"b"}]})"));
  ASSERT_EQ(result_.events.size(), 1) << result_.explanation;
  EXPECT_EQ(result_.events[0].name, text.substr(0, kMostTextBytes));
  EXPECT_EQ(result_.events[0].delivery, "");
}

TEST_F(AlertsTest, RulesDecideInTheirOrderAndAreCounted) {
  Configure("alertmanager", R"([
      {"when": {"item:labels.alertname": "Slow"}, "do": "drop"},
      {"when": {"event:severity": "4", "event:name": {"prefix": "Do"}},
       "do": {"set": {"type": "Outage", "severity": 3}}},
      {"when": {"item:labels": true}, "do": "keep"},
      {"when": {"json:version": {"matches": "[0-9]"}}, "do": {"set": {"name": "Other"}}}])");
  Send(kAlerts);
  ASSERT_EQ(result_.events.size(), 4) << result_.explanation;
  EXPECT_EQ(result_.rule_counts, (std::vector<uint32_t>{1, 1, 0, 2}));
  EXPECT_EQ(result_.events[0].type, "Outage");
  EXPECT_EQ(result_.events[0].severity, 3);
  EXPECT_TRUE(result_.events[1].dropped);
  EXPECT_EQ(result_.events[2].name, "Other");
  EXPECT_EQ(result_.events[3].rule, 3);
  EXPECT_FALSE(absl::StrContains(Incidents(), "Slow"));
}

TEST_F(AlertsTest, ATokenMustBeWholeAndOnlyOnce) {
  Set("Authorization", absl::StrCat("Bearer ", kSecret, "x"));
  Head();
  EXPECT_EQ(result_.explanation,
            "authenticate[1] (token): header Authorization equals no secret that is set");
  Set("Authorization", absl::StrCat("bearer ", kSecret));
  Head();
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
  Set("Authorization", "");
  query_ = absl::StrCat("token=", "a+secret+of+sixteen%20octets");
  Head();
  EXPECT_EQ(result_.outcome, Outcome::kContinue);
  query_ += "&token=1";
  Head();
  EXPECT_EQ(result_.explanation,
            "authenticate[2] (token): query parameter token occurs more than once");
}

TEST_F(AlertsTest, BasicNeedsItsNameAndNoOtherSecret) {
  settings_.credentials = core::Credentials::Create("u", "p").value();
  Create();
  Set("Authorization", "Basic dTpw");
  Send(kAlerts);
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
  settings_.signing_secrets.clear();
  Create();
  Send(kAlerts);
  EXPECT_EQ(result_.outcome, Outcome::kAccept);
  EXPECT_EQ(result_.kind, Kind::kBasic);
  Set("Authorization", "Basic dTpx");
  Send(kAlerts);
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
}

TEST_F(AlertsTest, WithoutAnySecretNobodyMaySend) {
  settings_.signing_secrets.clear();
  Create();
  EXPECT_FALSE(source_->can_authenticate());
  Head();
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
  settings_.unauthenticated = true;
  Create();
  Send(kAlerts);
  EXPECT_EQ(result_.outcome, Outcome::kAccept);
}

// Others than the first cost as much as the first, and are a stranger's.
TEST_F(EvaluateTest, OfAPublicKeyFourSignaturesAreTried) {
  unsigned char seed[32] = {1}, key[32];
  size_t size = sizeof(key);
  EVP_PKEY* const pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed, 32);
  EVP_PKEY_get_raw_public_key(pair, key, &size);
  unsigned char signature[64];
  size = sizeof(signature);
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestSignInit(context, nullptr, nullptr, nullptr, pair);
  EVP_DigestSign(context, signature, &size, reinterpret_cast<const unsigned char*>("{}"), 2);
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(pair);
  const auto hex = [](const unsigned char* bytes, size_t count) {
    return absl::BytesToHexString({reinterpret_cast<const char*>(bytes), count});
  };
  settings_.signing_secrets = {{hex(key, 32)}};
  const std::string right = hex(signature, 64), wrong(128, '0');
  const auto outcome = [&](int wrong_before) {
    std::string list;
    for (int i = 0; i < wrong_before; ++i) absl::StrAppend(&list, wrong, ",");
    Set("S", list + right);
    for (int i = 1; i <= wrong_before; ++i) Set(absl::StrCat("N-", i), wrong);
    Set(absl::StrCat("N-", wrong_before + 1), right);
    Send("{}");
    return result_.outcome;
  };
  for (const char* const from : {R"("header:S", "list": ",")", R"("header:N-#")"}) {
    Configure(absl::StrCat(R"({"profile": 1, "name": "mine", "authenticate": [
        {"kind": "ed25519", "signed": "{body}", "key": {"as": "hex"}, "from": )",
                           from, "}]}"));
    EXPECT_EQ(outcome(3), Outcome::kAccept) << result_.explanation;
    EXPECT_EQ(outcome(4), Outcome::kRefuse);
  }
}

// ---- Requests that somebody has captured, and sends again.

class ReplayTest : public EvaluateTest {
 protected:
  void SetUp() override { settings_.signing_secrets = {{kSecret}}; }

  std::string Hex(absl::string_view bytes) {
    return absl::BytesToHexString(
        Hmac(Hash::kSha256, settings_.signing_secrets.back().text, std::span(&bytes, 1)));
  }
  // What the request is known by, besides its delivery.
  std::string Replay() {
    EXPECT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
    return result_.replay.has_value() ? std::string(result_.replay->data(), 32) : "";
  }
};

TEST_F(ReplayTest, ADeliveryThatIsNotSignedDoesNotStandForWhatIs) {
  Configure("linear");
  const std::string body = R"({"type":"Issue","webhookTimestamp":1760000000000})";
  Set("Linear-Signature", Hex(body));
  Set("Linear-Delivery", "one");
  Send(body);
  const std::string first = Replay();
  EXPECT_TRUE(result_.has_signed_time);
  EXPECT_NE(first, "");
  Set("Linear-Delivery", "two");
  Send(body);
  EXPECT_EQ(result_.delivery, "two");
  EXPECT_EQ(Replay(), first);
}

TEST_F(ReplayTest, ATimeThatIsNotSignedIsNone) {
  Configure("linear");
  const std::string body = R"({"type":"Issue"})";
  Set("Linear-Signature", Hex(body));
  Set("Linear-Timestamp", "1760000000000");
  Send(body);
  const std::string first = Replay();
  EXPECT_FALSE(result_.has_signed_time);
  EXPECT_NE(first, "");
  now_ += absl::Hours(1);
  Set("Linear-Timestamp", "1760003600000");
  Send(body);
  EXPECT_EQ(Replay(), first);
}

TEST_F(ReplayTest, ATimeThatIsTooFarAwayIsAFaultOfTheSignature) {
  Configure("linear");
  const std::string body = R"({"type":"Issue","webhookTimestamp":1760000000000})";
  Set("Linear-Signature", Hex(body));
  for (const absl::Duration away : {-absl::Hours(1), absl::Hours(1)}) {
    now_ = absl::FromUnixSeconds(1'760'000'000) + away;
    Send(body);
    EXPECT_EQ(result_.outcome, Outcome::kRefuse);
    EXPECT_EQ(result_.step, Step::kSignature) << result_.explanation;
    EXPECT_EQ(result_.reason, Reason::kCredentials);
    EXPECT_TRUE(
        absl::EndsWith(result_.explanation,
                       absl::StrCat(away > absl::ZeroDuration() ? "is 1h behind" : "is 1h ahead of",
                                    " this host's clock, and 1m are permitted")))
        << result_.explanation;
  }
}

TEST_F(EvaluateTest, HowAPersonCouldSendIsToldOfWhatIsConfigured) {
  const auto by_hand = [&](const char* profile, Settings settings) {
    settings.profile = FindProfile(profile).value();
    const auto source = Source::Create(std::move(settings));
    EXPECT_TRUE(source.ok()) << source.status();
    const Source::ByHand hand = (*source)->by_hand();
    return absl::StrCat(hand.header, ": ", hand.prefix, "|", hand.parameter, "|", hand.is_signed);
  };
  const std::vector<Secret> secrets = {{kSecret}};
  EXPECT_EQ(by_hand("github", {.signing_secrets = secrets}), ": ||1");
  EXPECT_EQ(by_hand("alertmanager", {.signing_secrets = secrets}), "Authorization: Bearer ||0");
  EXPECT_EQ(by_hand("splunk", {.signing_secrets = secrets}), ": |token|0");
  EXPECT_EQ(by_hand("alertmanager", {.credentials = core::Credentials::Create("u", "p").value()}),
            ": ||0");
  // In the body, which is the sender's.
  EXPECT_EQ(by_hand("microsoft-graph", {.signing_secrets = secrets}), ": ||1");
  // It signs in one version, and is sent a token in another.
  EXPECT_EQ(by_hand("gitlab", {.signing_secrets = secrets}), "X-Gitlab-Token: ||0");
  EXPECT_EQ(by_hand("gitlab", {.signing_secrets = {{"whsec_c2l4dGVlbiBvY3RldHMhIQ=="}}}), ": ||1");
  EXPECT_EQ(by_hand("github", {.unauthenticated = true}), ": ||0");
}

TEST_F(ReplayTest, AnotherSecretOfTheSenderChangesNothing) {
  Set("X-Hub-Signature-256", absl::StrCat("sha256=", Hex("{}")));
  Configure("github");
  Send("{}");
  const std::string first = Replay();
  settings_.signing_secrets.push_back({"the secret after the next rotation"});
  Set("X-Hub-Signature-256", absl::StrCat("sha256=", Hex("{}")));
  Create();
  Send("{}");
  EXPECT_EQ(result_.secret, 2);
  EXPECT_EQ(Replay(), first);
}

TEST_F(ReplayTest, NorDoesASignatureThatIsLeftOut) {
  Configure(R"({"profile": 1, "name": "mine", "authenticate": [
      {"kind": "hmac", "from": "header:A", "signed": "{body}", "hash": "sha512"},
      {"kind": "hmac", "from": "header:B", "signed": "{body}"}]})");
  const absl::string_view body = "{}";
  Set("B", Hex(body));
  Set("A", absl::BytesToHexString(Hmac(Hash::kSha512, kSecret, std::span(&body, 1))));
  Send("{}");
  EXPECT_EQ(result_.entry, 0);
  const std::string first = Replay();
  headers_.pop_back();
  Send("{}");
  EXPECT_EQ(result_.entry, 1);
  EXPECT_EQ(Replay(), first);
}

TEST_F(ReplayTest, ASignedTimeAndDeliveryNeedNoHash) {
  constexpr char kProfile[] = R"({"profile": 1, "name": "mine", "delivery": $0,
      "authenticate": [{"kind": "hmac", "from": "header:S", "signed": "{id}.{ts}.{body}",
      "id": "header:Id", "timestamp": {"from": "header:T", "tolerance_s": 60}}]})";
  Set("Id", "7");
  Set("T", "1760000000");
  Set("S", Hex("7.1760000000.{}"));
  for (const auto& [delivery, is_signed] :
       {std::pair(R"("{header:id}")", true), std::pair(R"(["{header:Id}", "{header:X}"])", false),
        std::pair(R"("{json:id}")", false), std::pair("[]", false)}) {
    Configure(absl::Substitute(kProfile, delivery));
    Send("{}");
    EXPECT_EQ(Replay() == "", is_signed) << delivery;
    EXPECT_TRUE(result_.has_signed_time);
  }
}

TEST_F(ReplayTest, ATrialShowsNothingThatIsMadeWithASecret) {
  const std::string body =
      R"({"event":"endpoint.url_validation","payload":{"plainToken":"a challenge"}})";
  Set("x-zm-request-timestamp", "1760000000");
  Set("x-zm-signature", absl::StrCat("v0=", Hex(absl::StrCat("v0:1760000000:", body))));
  Configure("zoom");
  for (is_trial_ = false;; is_trial_ = true) {
    Send(body);
    ASSERT_EQ(result_.outcome, Outcome::kHandshake) << result_.explanation;
    EXPECT_EQ(result_.answer.body, absl::StrCat(R"({"plainToken":"a challenge","encryptedToken":")",
                                                is_trial_ ? "<mac>" : Hex("a challenge"), "\"}"));
    if (is_trial_) break;
  }
}

// ---- Custom profiles.

TEST_F(EvaluateTest, ADocumentedBodyCanBeSigned) {
  settings_.signing_secrets = {{kSecret}};
  Configure(R"({"profile": 1, "name": "mine", "incidents": "documented", "authenticate": [
      {"kind": "hmac", "from": "header:X-Hub-Signature-256", "prefix": "sha256=",
       "signed": "{body}"}]})");
  const std::string body = R"([{"name":"a","rawJson":{"b":1}},{"type":"t"}])";
  SendSigned(body);
  ASSERT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
  EXPECT_TRUE(result_.documented);
  EXPECT_EQ(Incidents(), body);
  settings_.rules = ReadRules(R"([{"when": {"item:name": "a"}, "do": {"set": {"type": "T"}}}])",
                              *settings_.profile)
                        .value();
  Create();
  SendSigned(body);
  EXPECT_EQ(Incidents(), R"([{"name":"a","type":"T","rawJson":{"b":1}},{"type":"t"}])");
}

TEST_F(EvaluateTest, TemplatesLeaveOutWhatIsAbsent) {
  settings_.signing_secrets = {{kSecret}};
  query_ = "k=a%20secret+of+sixteen+octets&q=%C3%A4";
  const auto name = [&](absl::string_view text, const char* body) {
    Configure(absl::StrCat(
        R"({"profile": 1, "name": "mine", "title": "T", "config": {"c": "C"}, "authenticate": [)",
        R"({"kind": "token", "from": "query:k"}], "incidents": {"name": [")", text, R"("]}})"));
    Send(body);
    return result_.events.empty() ? result_.explanation : std::string(result_.events[0].name);
  };
  EXPECT_EQ(name("{item:a}-{item:b.c}", R"({"a":1.50,"b":{"c":true}})"), "1.50-true");
  EXPECT_EQ(name("{item:a}-{item:b}", R"({"a":1})"), "T");
  EXPECT_EQ(name("{item:a}-{item:b?}", R"({"a":1})"), "1-");
  EXPECT_EQ(name("{item:a}[-{item:b}][+{item:a}]", R"({"a":1})"), "1+1");
  EXPECT_EQ(name("{{}}[[]]{item:a}", R"({"a":1})"), "{}[]1");
  EXPECT_EQ(name("{item:a}", R"({"a":null})"), "T");
  EXPECT_EQ(name("{item:a}", R"({"a":{"x": [1, 2]}})"), R"({"x":[1,2]})");
  EXPECT_EQ(name("{item:a\\\\.b[1]}", R"({"a.b":[1,"z"]})"), "z");
  EXPECT_EQ(name("{item:a}", R"({"a":1,"\u0061":"last"})"), "last");
  EXPECT_EQ(name("{config:c}{method}{query:q|hex}", "{}"), "CPOSTc3a4");
  EXPECT_EQ(name("{body|sha256|hex}{item:a|lower|base64}", R"({"a":"AB"})").substr(64), "YWI=");
  EXPECT_EQ(name("{json:[0].a}", R"([{"a":5}])"), "5");
}

TEST_F(EvaluateTest, AStrangersLargeBodyIsNotRead) {
  settings_.signing_secrets = {{kSecret}};
  Configure("microsoft-graph");
  const auto body = [](size_t size) {
    return absl::StrCat(R"({"value":[{"clientState":")", kSecret, R"(","x":")",
                        std::string(size, 'x'), "\"}]}");
  };
  Send(body(200'000));
  EXPECT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
  Send(body(300'000));
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
  EXPECT_EQ(result_.answer.status, 413);
}

TEST_F(EvaluateTest, ALargeBodyHidesNoWrongCredential) {
  settings_.signing_secrets = {{kSecret}};
  settings_.certificates = std::make_shared<const Certificates>();
  settings_.config["topic_arn"] = "arn:aws:sns:us-east-1:1:topic";
  Configure("aws-sns");
  const std::string body = absl::StrCat("{\"Message\":\"", std::string(300'000, 'x'), "\"}");
  query_ = "token=a+guess";
  Send(body);
  EXPECT_EQ(result_.answer.status, 401);
  EXPECT_EQ(result_.reason, Reason::kCredentials);
  EXPECT_EQ(result_.explanation,
            "authenticate[1] (token): query parameter token equals no secret that is set");
  query_.clear();
  Send(body);
  EXPECT_EQ(result_.answer.status, 413);
}

TEST_F(EvaluateTest, AStrangersBodyIsNotExpandedFurther) {
  settings_.signing_secrets = {{kSecret}};
  Configure("microsoft-graph");
  decoded_ = absl::StrCat(R"({"value":[{"clientState":")", kSecret, R"(","x":")",
                          std::string(300'000, 'x'), "\"}]}",
                          std::string(base::JsonReader::kPadding, ' '));
  Send("deflated");
  EXPECT_EQ(result_.answer.status, 413);
  EXPECT_EQ(result_.reason, Reason::kBodyTooLarge);
  EXPECT_EQ(asked_, std::vector<size_t>{kMostUnknownBytes});
  // A sender that another entry knows may have sent as much.
  asked_.clear();
  query_ = "token=a+secret+of+sixteen+octets";
  settings_.certificates = std::make_shared<const Certificates>();
  settings_.config["topic_arn"] = "arn:aws:sns:us-east-1:1:topic";
  Configure("aws-sns");
  Send("deflated");
  EXPECT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
  EXPECT_EQ(asked_, (std::vector<size_t>{kMostUnknownBytes, std::numeric_limits<size_t>::max()}));
}

TEST_F(EvaluateTest, AnEchoIsNeverMoreThanText) {
  Configure("dropbox");
  method_ = "GET";
  query_ = "challenge=%3Cb%3E";
  Head();
  EXPECT_EQ(result_.outcome, Outcome::kHandshake);
  EXPECT_EQ(result_.answer.body, "<b>");
  EXPECT_EQ(result_.answer.headers.size(), 3);
  for (const std::string& bad :
       {std::string("a%0d%0ab"), std::string("%FF"), std::string(5'000, 'a')}) {
    query_ = "challenge=" + bad;
    Head();
    EXPECT_EQ(result_.outcome, Outcome::kRefuse);
    EXPECT_EQ(result_.answer.status, 400);
    EXPECT_EQ(result_.answer.body, "");
  }
}

TEST_F(EvaluateTest, AStrangersTokenIsShownOnlyWhileNoSecretIsSet) {
  Configure("notion");
  Send(R"({"verification_token":"t"})");
  EXPECT_EQ(result_.outcome, Outcome::kHandshake);
  EXPECT_EQ(result_.show, "t");
  settings_.signing_secrets = {{kSecret}};
  Create();
  Send(R"({"verification_token":"t"})");
  EXPECT_EQ(result_.outcome, Outcome::kHandshake);
  EXPECT_EQ(result_.show, "");
}

TEST_F(EvaluateTest, TheIncidentsIdJoinsTheAnswer) {
  settings_.signing_secrets = {{kSecret}};
  query_ = absl::StrCat("t=", "a+secret+of+sixteen+octets");
  Configure(
      R"x({"profile": 1, "name": "mine", "authenticate": [{"kind": "token", "from": "query:t"}],
      "answer": {"accepted": {"status": 202, "body": {"json":
        {"a": [1, "({incident:id}, {json:b})"], "c": "{incident:id}"}}}}})x");
  Send(R"({"b":"\"x\""})");
  ASSERT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
  EXPECT_FALSE(result_.answers_incidents);
  EXPECT_EQ(result_.answer.status, 202);
  EXPECT_EQ(result_.answer.BodyWith("INC-1"), R"x({"a":[1,"(INC-1, \"x\")"],"c":"INC-1"})x");
}

TEST_F(EvaluateTest, MembersThatAreOursAreRenamedInTheEventsOfASource) {
  settings_.signing_secrets = {{kSecret}};
  Configure("github");
  Set("X-GitHub-Event", "push");
  SendSigned(R"([{"headers":1,"a":2},{"a":{"headers":1}},{"h\u0065aders":3},{}])");
  ASSERT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
  core::IncidentParser parser(limits_);
  core::ParsedRequest parsed;
  ASSERT_TRUE(evaluator_.Parse(result_, parser, {}, {}, parsed).ok());
  std::vector<std::string> details;
  for (const core::ParsedIncident& incident : parsed.incidents()) {
    details.push_back(absl::StrJoin(incident.details, ""));
  }
  EXPECT_EQ(details, (std::vector<std::string>{
                         R"({"body_headers":1,"a":2,"headers":{}})",
                         R"({"a":{"headers":1},"headers":{}})",
                         R"({"body_headers":3,"headers":{}})",
                         R"({"value":{},"headers":{}})",
                     }));
}

TEST_F(EvaluateTest, AnIdThatIsSignedMayStandInTheBody) {
  settings_.signing_secrets = {{kSecret}};
  Configure(R"({"profile": 1, "name": "mine", "authenticate": [{"kind": "hmac",
      "from": "header:S", "signed": "{id}.{body}", "id": "json:id"}]})");
  const absl::string_view signed_pieces[] = {"7.", R"({"id":7})"};
  Set("S", absl::BytesToHexString(Hmac(Hash::kSha256, kSecret, signed_pieces)));
  Send(R"({"id":8})");
  EXPECT_EQ(result_.outcome, Outcome::kRefuse);
  Send(R"({"id":7})");
  EXPECT_EQ(result_.outcome, Outcome::kAccept) << result_.explanation;
}

TEST_F(EvaluateTest, TextInTextIsUnwrappedAndWhatIsNoneStays) {
  settings_.signing_secrets = {{kSecret}};
  query_ = "token=a+secret+of+sixteen+octets";
  Configure("google-pubsub");
  Send(R"({"message":{"data":"eyJuYW1lIjoiQ1BVIn0=","messageId":"1"}})");
  ASSERT_EQ(result_.events.size(), 1) << result_.explanation;
  EXPECT_EQ(result_.events[0].name, "CPU");
  EXPECT_EQ(DetailsOf(result_, result_.events[0]),
            R"({"message":{"data":{"name":"CPU"},"messageId":"1"}})");
  for (const char* const data : {"eyJ9", "MTI=", "no base64", ""}) {
    const std::string body =
        absl::StrCat(R"({"message":{"data":")", data, R"(","messageId":"1"}})");
    Send(body);
    ASSERT_EQ(result_.events.size(), 1) << data;
    EXPECT_EQ(DetailsOf(result_, result_.events[0]), body);
  }
}

TEST_F(EvaluateTest, AutoReadsFormsLinesPartsAndEvents) {
  settings_.signing_secrets = {{kSecret}};
  query_ = "token=a+secret+of+sixteen+octets";
  Configure("tines");
  const auto names = [&](std::string type, std::string body) {
    Set("Content-Type", std::move(type));
    Send(std::move(body));
    std::string all = result_.explanation;
    for (const Event& event : result_.events) absl::StrAppend(&all, event.name, ";");
    return all;
  };
  EXPECT_EQ(names("application/x-www-form-urlencoded", "name=a+b"), "a b;");
  EXPECT_EQ(names("application/x-ndjson", "{\"name\":\"a\"}\n{\"name\":\"b\"}\n"), "a;b;");
  EXPECT_EQ(names("multipart/form-data; boundary=x",
                  "--x\r\nContent-Type: application/json\r\n\r\n{\"name\":\"p\"}\r\n--x--\r\n"),
            "p;");
  EXPECT_EQ(names("text/plain", "{\"name\":\"j\"}"), "j;");
  Set("ce-specversion", "1.0");
  EXPECT_TRUE(absl::StrContains(names("application/json", "{}"), "the header ce-id is missing"));
}

// ---- What is configured.

TEST(SourceTest, WhatIsWrongIsNamed) {
  const auto reason = [](const char* profile, const auto& change) {
    Settings settings;
    settings.profile = FindProfile(profile).value();
    change(settings);
    return std::string(Source::Create(settings).status().message());
  };
  EXPECT_EQ(reason("github", [](Settings& s) { s.config["public_url"] = "x"; }),
            "public_url: the source github has no such parameter");
  EXPECT_TRUE(absl::StartsWith(
      reason("twilio", [](Settings& s) { s.config["public_url"] = "ftp://x"; }), "public_url: "));
  EXPECT_EQ(reason("generic", [](Settings& s) { s.config["header_name"] = "a b"; }),
            "header_name: expected the name of a header");
  EXPECT_EQ(reason("github", [](Settings& s) { s.signing_secrets = {{""}}; }),
            "signing_secrets[0]: it is empty");
  EXPECT_EQ(reason("github", [](Settings& s) { s.signing_secrets.resize(9, {"x"}); }),
            "signing_secrets: at most 8 are taken");
  EXPECT_EQ(reason("github", [](Settings& s) { s.named_secrets["verify_token"] = {{"x"}}; }),
            "verify_token: the source github has no such secret");
  EXPECT_EQ(reason("meta", [](Settings& s) { s.named_secrets["verify_token"] = {{"x"}}; }), "");
}

TEST(SourceTest, WeakSecretsAreWarnedOf) {
  Settings settings;
  settings.profile = FindProfile("twilio").value();
  settings.signing_secrets = {{"short"}};
  settings.config["public_url"] = "https://host.example/hook";
  const auto twilio = Source::Create(settings).value();
  ASSERT_EQ(twilio->warnings().size(), 2);  // it is short, and both entries sign with SHA-1
  settings.config.clear();
  settings.profile = FindProfile("svix").value();
  settings.signing_secrets = {{"whsec_this is no base64"}, {"whsec_c2l4dGVlbiBvY3RldHMhIQ=="}};
  const auto svix = Source::Create(settings).value();
  EXPECT_TRUE(svix->can_authenticate());
  ASSERT_EQ(svix->warnings().size(), 1);
  EXPECT_EQ(svix->warnings()[0],
            "signing_secrets[0]: it has not the form that svix needs (base64, not beginning with "
            "whpk_, or base64 after whpk_), so nothing can match it");
}

// Else `unauthenticated` would take everything, although a secret is set.
TEST(SourceTest, SecretsOfWhichNoneCanBeUsedAreRefused) {
  Settings settings;
  const auto refusal = [&](absl::string_view profile, std::vector<Secret> secrets) {
    settings.profile =
        profile.substr(0, 1) == "{" ? ReadProfile(profile).value() : FindProfile(profile).value();
    settings.signing_secrets = std::move(secrets);
    return std::string(Source::Create(settings).status().message());
  };
  for (const bool unauthenticated : {true, false}) {
    settings.unauthenticated = unauthenticated;
    EXPECT_EQ(refusal("adyen", {{"this is no hexadecimal"}}),
              "signing_secrets[0]: it has not the form that adyen needs (hexadecimal), so nothing "
              "can match it");
    EXPECT_TRUE(
        absl::StartsWith(refusal("svix", {{"whsec_this is no base64"}, {"whpk_neither is this"}}),
                         "signing_secrets[0]: it has not the form that svix needs (base64, "));
    EXPECT_EQ(refusal("paypal", {{"a secret of sixteen octets"}}),
              "signing_secrets[0]: the source paypal uses none");
    EXPECT_EQ(refusal("adyen", {}), "");
    settings.named_secrets["mine"] = {{"zz this is no hexadecimal"}};
    EXPECT_TRUE(
        absl::StartsWith(refusal(R"({"profile": 1, "name": "mine", "authenticate": [{"kind": "hmac",
                 "from": "header:S", "signed": "{body}", "key": {"as": "hex"}, "secret": "mine"}]})",
                                 {}),
                         "mine[0]: it has not the form that mine needs (hexadecimal)"));
    settings.named_secrets.clear();
  }
}

TEST(SourceTest, WhatMustNotBeWrittenIsListed) {
  Settings settings;
  settings.profile = FindProfile("grafana").value();
  settings.config["signature_header"] = "X-Sig";
  const auto source = Source::Create(settings).value();
  EXPECT_EQ(
      std::vector<std::string>(source->secret_headers().begin(), source->secret_headers().end()),
      (std::vector<std::string>{"authorization", "x-sig"}));
  EXPECT_EQ(source->secret_parameters()[0], "token");
  EXPECT_EQ(source->tolerance(), absl::Minutes(5));
}

}  // namespace
}  // namespace webhook::sources
