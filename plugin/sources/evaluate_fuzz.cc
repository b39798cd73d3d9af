// Takes any bytes as a profile, its rules and a request. A profile is refused in words, or judges
// every request without harm: what it accepts becomes JSON that is read as incidents, a secret
// never shows, and a stranger is never accepted.
//
// The input: the number of a built-in profile, or one beyond them for a profile of its own, which
// ends in a NUL; a byte of switches; the method, the query and the rules, each of them ending in a
// line feed; headers up to an empty line; the body.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/testing/padded_text.h"
#include "plugin/core/decode.h"
#include "plugin/core/incidents.h"
#include "plugin/sources/evaluate.h"
#include "plugin/sources/testing/to_incidents.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

namespace {

namespace sources = webhook::sources;
using webhook::fuzz::MayBeJson;
using webhook::fuzz::Require;

// No input can guess it, nor what is made with it.
constexpr char kSecret[] = "whsec_3q2+7wAAqmPq8dLJ0nYB1F0l9Zkx7c2Yb4R6Q8s1T0U=";
constexpr absl::string_view kPart = "3q2+7wAAqm";

std::string TextOf(const webhook::core::ParsedRequest& request) {
  std::string text;
  for (const webhook::core::ParsedIncident& incident : request.incidents()) {
    absl::StrAppend(&text, incident.name, "|", incident.type, "|", incident.occurred, "|");
    for (const absl::string_view slice : incident.details) absl::StrAppend(&text, slice);
    text.push_back('\n');
  }
  return text;
}

void CheckAccepted(sources::Evaluator& evaluator, const sources::Result& result,
                   const webhook::Limits& limits,
                   std::span<const webhook::core::HeaderView> headers) {
  std::string buffer;
  const absl::string_view incidents = sources::ToIncidents(result, buffer);
  for (const sources::Event& event : result.events) {
    Require(event.name.size() <= sources::kMostTextBytes);
    Require(event.delivery.size() <= sources::kMostTextBytes);
    if (incidents.size() < 4'096) Require(MayBeJson(sources::DetailsOf(result, event)));
  }
  webhook::core::IncidentParser parser(limits);
  webhook::core::ParsedRequest parsed, taken;
  const absl::Status status = parser.Parse(incidents, headers, {}, parsed);
  const absl::Status of_taken = evaluator.Parse(result, parser, headers, {}, taken);
  if (status.ok() && of_taken.ok()) Require(TextOf(parsed) == TextOf(taken));
  if (result.documented) return;  // and may be refused as any documented body
  Require(of_taken.ok() || absl::IsResourceExhausted(of_taken));
  const auto kept = std::count_if(result.events.begin(), result.events.end(),
                                  [](const sources::Event& event) { return !event.dropped; });
  if (status.ok()) Require(parsed.incidents().size() == static_cast<size_t>(kept));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  webhook::fuzz::Input input(data, size);
  const auto built_in = sources::BuiltInProfiles();
  const size_t which = input.Byte();
  const auto profile = which < built_in.size() ? sources::ReadProfile(built_in[which].json)
                                               : sources::ReadProfile(input.UpTo('\0'));
  if (!profile.ok()) {
    Require(absl::IsInvalidArgument(profile.status()) && !profile.status().message().empty());
    return 0;
  }
  Require(!sources::DescribeProfile(**profile).empty());
  const uint8_t switches = input.Byte();
  const absl::string_view method = input.UpTo('\n');
  const absl::string_view query = input.UpTo('\n');
  const absl::string_view rules_text = input.UpTo('\n');

  sources::Settings settings;
  settings.profile = *profile;
  const bool anybody = (switches & 1) != 0;
  settings.unauthenticated = anybody;
  if (!anybody) settings.signing_secrets = {{kSecret}, {std::string(kSecret + 6)}};
  if (!rules_text.empty()) {
    const auto rules = sources::ReadRules(rules_text, **profile);
    Require(rules.ok() || absl::StartsWith(rules.status().message(), "rules"));
    if (rules.ok()) settings.rules = *rules;
  }
  for (const auto& [name, value] : (*profile)->config) {
    if ((switches & 2) != 0 && name != "public_url") settings.config[name] = "X-Config";
  }
  const auto source = sources::Source::Create(std::move(settings));
  if (!source.ok()) return 0;  // a default of its own is no name of a header

  std::vector<webhook::core::HeaderView> headers;
  while (!input.empty()) {
    const absl::string_view line = input.UpTo('\n');
    if (line.empty()) break;
    const size_t colon = std::min(line.find(':'), line.size());
    headers.push_back({line.substr(0, colon), line.substr(std::min(colon + 1, line.size()))});
  }
  const base::PaddedText body(input.Rest());
  webhook::Limits limits;
  limits.incidents_of_a_request = 50;
  limits.expanded_body_bytes = 64 * 1024;
  webhook::core::DecodedBody decoded;
  const auto decode = [&](size_t most_bytes) -> absl::StatusOr<absl::string_view> {
    if (!webhook::core::IsEncoded(body.view(), headers)) return body.view();
    webhook::Limits bounded = limits;
    bounded.expanded_body_bytes = std::min(
        bounded.expanded_body_bytes, static_cast<int64_t>(std::min<size_t>(most_bytes, 1 << 30)));
    auto text = webhook::core::DecodeBody(body.view(), headers, bounded);
    if (!text.ok()) return text.status();
    decoded = *std::move(text);
    return decoded.text();
  };
  const sources::Request request{method, query, headers, absl::FromUnixSeconds(1'760'000'000)};
  sources::Evaluator evaluator(limits);
  sources::Result result;
  evaluator.EvaluateHead(**source, request, result);
  const sources::Outcome of_head = result.outcome;
  const int status_of_head = result.answer.status;
  evaluator.Evaluate(**source, request, sources::Body{body.view(), decode}, result);
  Require(result.outcome != sources::Outcome::kContinue);
  // What the head has decided, the body does not change.
  if (of_head != sources::Outcome::kContinue) {
    Require(result.outcome == of_head && result.answer.status == status_of_head);
  }
  Require(result.answer.status != 500);
  for (const absl::string_view text :
       {absl::string_view(result.explanation), absl::string_view(result.message),
        absl::string_view(result.show), absl::string_view(result.answer.body)}) {
    Require(!absl::StrContains(text, kPart) || absl::StrContains(query, kPart));
  }
  if (result.outcome == sources::Outcome::kRefuse) Require(!result.explanation.empty());
  if (result.outcome == sources::Outcome::kAccept) {
    Require(anybody);
    CheckAccepted(evaluator, result, limits, headers);
  }
  return 0;
}
