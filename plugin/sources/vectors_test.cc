// Requests as senders sign them, most of them published by senders or made by their libraries, and
// what must happen to each.
#include <simdjson.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plugin/base/json_reader.h"
#include "plugin/core/incidents.h"
#include "plugin/limits/limits.h"
#include "plugin/sources/evaluate.h"
#include "plugin/sources/testing/to_incidents.h"

namespace webhook::sources {
namespace {

using simdjson::dom::element;

struct Vector {
  std::string name;
  std::string json;
};

std::vector<Vector> ReadVectors() {
  std::ifstream file("plugin/sources/testdata/vectors.jsonl");
  std::vector<Vector> vectors;
  for (std::string line; std::getline(file, line);) {
    simdjson::dom::parser parser;
    const element json = parser.parse(line);
    vectors.push_back({std::string(json["name"].get_string().value()), line});
  }
  return vectors;
}

std::string TextOf(element json, const char* name) {
  std::string_view text;
  return json[name].get(text) == simdjson::SUCCESS ? std::string(text) : "";
}

// A request of a vector, with what it needs to be judged.
class Played {
 public:
  explicit Played(const Vector& vector) : line_(vector.json) {
    json_ = parser_.parse(line_);
    absl::StatusOr<std::shared_ptr<const Profile>> profile = FindProfile(TextOf(json_, "source"));
    EXPECT_TRUE(profile.ok()) << profile.status();
    Settings settings;
    settings.profile = *std::move(profile);
    simdjson::dom::array list;
    if (json_["signing_secrets"].get(list) == simdjson::SUCCESS) {
      for (const element one : list) settings.signing_secrets.push_back({std::string(one)});
    }
    simdjson::dom::object object;
    if (json_["named_secrets"].get(object) == simdjson::SUCCESS) {
      for (const auto [name, values] : object) {
        for (const element one : simdjson::dom::array(values)) {
          settings.named_secrets[std::string(name)].push_back({std::string(one)});
        }
      }
    }
    if (json_["config"].get(object) == simdjson::SUCCESS) {
      for (const auto [name, value] : object) {
        settings.config[std::string(name)] = std::string(value);
      }
    }
    if (json_["basic"].get(list) == simdjson::SUCCESS) {
      settings.credentials =
          core::Credentials::Create(std::string(list.at(0)), std::string(list.at(1))).value();
    }
    if (json_["certificates"].get(object) == simdjson::SUCCESS) {
      absl::StatusOr<Certificates> certificates = Certificates::Create(simdjson::minify(object));
      EXPECT_TRUE(certificates.ok()) << certificates.status();
      settings.certificates = std::make_shared<const Certificates>(*std::move(certificates));
    }
    absl::StatusOr<std::shared_ptr<const Source>> source = Source::Create(std::move(settings));
    EXPECT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);

    method_ = TextOf(json_, "method");
    query_ = TextOf(json_, "query");
    std::string encoded = TextOf(json_, "body_base64");
    if (!encoded.empty()) {
      EXPECT_TRUE(absl::Base64Unescape(encoded, &body_));
    } else {
      body_ = TextOf(json_, "body");
    }
    for (const element header : simdjson::dom::array(json_["headers"])) {
      headers_text_.emplace_back(std::string(header.at(0)), std::string(header.at(1)));
    }
    now_ = absl::FromUnixSeconds(json_["now"].get_int64().value());
  }

  void Judge(Evaluator& evaluator, Result& result) {
    padded_ = body_ + std::string(base::JsonReader::kPadding, ' ');
    const absl::string_view body(padded_.data(), body_.size());
    headers_.clear();
    for (const auto& [name, value] : headers_text_) headers_.push_back({name, value});
    const Request request{method_, query_, headers_, now_};
    evaluator.EvaluateHead(*source_, request, result);
    if (result.outcome != Outcome::kContinue) return;
    const auto decode = [&](size_t) -> absl::StatusOr<absl::string_view> { return body; };
    evaluator.Evaluate(*source_, request, Body{body, decode}, result);
  }

  element json() const { return json_; }
  std::string& body() { return body_; }
  const std::vector<std::pair<std::string, std::string>>& headers() const { return headers_text_; }

 private:
  std::string line_;
  simdjson::dom::parser parser_;
  element json_;
  std::shared_ptr<const Source> source_;
  std::string method_, query_, body_, padded_;
  std::vector<std::pair<std::string, std::string>> headers_text_;
  std::vector<core::HeaderView> headers_;
  absl::Time now_;
};

class VectorTest : public testing::TestWithParam<Vector> {
 protected:
  Limits limits_;
  Evaluator evaluator_{limits_};
  Result result_;
};

std::string HeaderOf(const Answer& answer, absl::string_view name) {
  for (const auto& [known, value] : answer.headers) {
    if (absl::EqualsIgnoreCase(known, name)) return value;
  }
  return "";
}

TEST_P(VectorTest, HasItsOutcome) {
  Played played(GetParam());
  played.Judge(evaluator_, result_);
  const element json = played.json();
  std::string outcome = NameOf(result_.outcome);
  bool authenticates_alone = false;
  if (json["body_is_no_json"].get(authenticates_alone) == simdjson::SUCCESS) {
    EXPECT_GE(result_.entry, 0) << result_.explanation;  // who sent it was known
    return;
  }
  ASSERT_EQ(outcome, TextOf(json, "outcome")) << result_.explanation;
  int64_t status = 0;
  if (json["status"].get(status) == simdjson::SUCCESS) {
    EXPECT_EQ(result_.answer.status, status) << result_.explanation;
  }
  if (result_.outcome == Outcome::kRefuse) {
    EXPECT_NE(result_.explanation, "");
  }
  element answer;
  if (json["answer"].get(answer) == simdjson::SUCCESS) {
    EXPECT_EQ(result_.answer.status, answer["status"].get_int64().value());
    element body;
    if (answer["json"].get(body) == simdjson::SUCCESS) {
      EXPECT_EQ(result_.answer.body, simdjson::minify(body));
    } else {
      EXPECT_EQ(result_.answer.body, TextOf(answer, "text"));
    }
    if (const std::string type = TextOf(answer, "type"); !type.empty()) {
      EXPECT_EQ(HeaderOf(result_.answer, "Content-Type"), type);
    }
    simdjson::dom::object headers;
    if (answer["headers"].get(headers) == simdjson::SUCCESS) {
      for (const auto [name, value] : headers) {
        EXPECT_EQ(HeaderOf(result_.answer, std::string(name)), std::string(value));
      }
    }
  }
  if (const std::string delivery = TextOf(json, "delivery"); !delivery.empty()) {
    EXPECT_EQ(result_.delivery, delivery);
  }
  simdjson::dom::array incidents;
  if (json["incidents"].get(incidents) != simdjson::SUCCESS) return;
  ASSERT_EQ(result_.events.size(), incidents.size());
  size_t i = 0;
  for (const element incident : incidents) {
    const Event& event = result_.events[i++];
    EXPECT_EQ(event.name, TextOf(incident, "name"));
    EXPECT_EQ(event.type, TextOf(incident, "type"));
    EXPECT_EQ(event.occurred, TextOf(incident, "occurred"));
    EXPECT_EQ(event.delivery, TextOf(incident, "delivery"));
    double severity = 0;
    if (incident["severity"].get(severity) == simdjson::SUCCESS) {
      EXPECT_EQ(event.severity, severity);
    }
  }
}

std::string TextOf(const core::ParsedRequest& request) {
  std::string text;
  for (const core::ParsedIncident& incident : request.incidents()) {
    absl::StrAppend(&text, incident.name, "|", incident.type, "|", incident.occurred, "|");
    for (const absl::string_view slice : incident.details) absl::StrAppend(&text, slice);
    text.push_back('\n');
  }
  return text;
}

TEST_P(VectorTest, BecomesIncidentsIfItIsAccepted) {
  Played played(GetParam());
  played.Judge(evaluator_, result_);
  if (result_.outcome != Outcome::kAccept) {
    EXPECT_TRUE(result_.events.empty());
    return;
  }
  std::string buffer;
  const absl::string_view json = ToIncidents(result_, buffer);
  core::IncidentParser parser(limits_);
  core::ParsedRequest parsed;
  const absl::Status status =
      parser.Parse(json, {}, core::Defaults{.trigger_time = absl::UnixEpoch()}, parsed);
  ASSERT_TRUE(status.ok()) << status << " " << json;
  core::ParsedRequest taken;
  ASSERT_TRUE(
      evaluator_
          .Parse(result_, parser, {}, core::Defaults{.trigger_time = absl::UnixEpoch()}, taken)
          .ok());
  EXPECT_EQ(TextOf(taken), TextOf(parsed));
  if (result_.documented) return;
  ASSERT_EQ(parsed.incidents().size(), result_.events.size());
  for (size_t i = 0; i < result_.events.size(); ++i) {
    EXPECT_EQ(parsed.incidents()[i].name, result_.events[i].name);
  }
}

TEST_P(VectorTest, IsRefusedWithOneByteOfItsSignedBodyChanged) {
  Played played(GetParam());
  played.Judge(evaluator_, result_);
  const bool over_whole_body = result_.kind == Kind::kHmac || result_.kind == Kind::kEd25519 ||
                               result_.kind == Kind::kEcdsaP256;
  // Twilio signs decoded parameters and Adyen some members; PayPal a checksum.
  const std::string source = TextOf(played.json(), "source");
  if (result_.outcome == Outcome::kRefuse || !over_whole_body || result_.entry < 0 ||
      source == "twilio" || source == "adyen") {
    return;
  }
  // A handshake that needs no signature stays one.
  const Outcome otherwise = result_.outcome == Outcome::kHandshake && source == "notion"
                                ? Outcome::kHandshake
                                : Outcome::kRefuse;
  const std::string body = played.body();
  for (size_t i = 0; i < body.size(); ++i) {
    played.body() = body;
    played.body()[i] ^= static_cast<char>(1 << (i % 7));
    played.Judge(evaluator_, result_);
    ASSERT_TRUE(result_.outcome == Outcome::kRefuse || result_.outcome == otherwise)
        << "byte " << i;
  }
  for (const std::string& other : {body + " ", body.substr(0, body.size() - 1), std::string()}) {
    played.body() = other;
    if (other == body) continue;
    played.Judge(evaluator_, result_);
    EXPECT_TRUE(result_.outcome == Outcome::kRefuse || result_.outcome == otherwise) << other;
  }
}

TEST_P(VectorTest, TellsNothingOfItsSecrets) {
  Played played(GetParam());
  played.Judge(evaluator_, result_);
  simdjson::dom::array secrets;
  if (played.json()["signing_secrets"].get(secrets) != simdjson::SUCCESS) return;
  for (const element one : secrets) {
    const std::string secret(one);
    if (secret.size() < 8) continue;
    EXPECT_FALSE(absl::StrContains(result_.explanation, secret));
    EXPECT_FALSE(absl::StrContains(result_.message, secret));
  }
}

INSTANTIATE_TEST_SUITE_P(Senders, VectorTest, testing::ValuesIn(ReadVectors()),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// The delivery, or else what was signed: what tells a request from another.
std::string IdentityOf(const Result& result) {
  if (!result.delivery.empty()) return absl::StrCat("delivery ", result.delivery);
  return result.replay.has_value() ? std::string(result.replay->begin(), result.replay->end()) : "";
}

TEST(DuplicateTest, RedeliveriesAndReplaysAreTheirFirst) {
  std::map<std::string, std::string> identities;
  Limits limits;
  Evaluator evaluator(limits);
  Result result;
  size_t duplicates = 0;
  for (const Vector& vector : ReadVectors()) {
    Played played(vector);
    played.Judge(evaluator, result);
    const std::string identity = IdentityOf(result);
    identities[vector.name] = identity;
    if (const std::string first = TextOf(played.json(), "duplicate_of"); !first.empty()) {
      EXPECT_NE(identity, "") << vector.name;
      EXPECT_EQ(identity, identities[first]) << vector.name;
      ++duplicates;
    }
  }
  EXPECT_EQ(duplicates, 5);
}

}  // namespace
}  // namespace webhook::sources
