// Takes any bytes as a body, with headers, a duplication key and mirroring made of the same bytes.
// If they are accepted, the details must be JSON in the eyes of another parser, too, and parsing
// them again must give the same incidents.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/testing/padded_text.h"
#include "plugin/core/answer.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/incidents.h"
#include "plugin/core/mirroring.h"
#include "plugin/core/samples.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

namespace {

using base::JsonReader;
using base::JsonValue;
using base::PaddedText;
using webhook::core::DuplicationKey;
using webhook::core::HeaderView;
using webhook::core::IncidentParser;
using webhook::core::MirrorMembers;
using webhook::core::ParsedIncident;
using webhook::core::ParsedRequest;
using webhook::core::ReadDuplicationKey;
using webhook::fuzz::MayBeJson;
using webhook::fuzz::Require;

// The configuration of an instance. Bit 0 of the first byte takes the duplication key from the
// body's bytes; bit 1 switches mirroring on.
struct Configured {
  explicit Configured(absl::string_view bytes) {
    const int choice = bytes.empty() ? 0 : bytes[0];
    auto key = ReadDuplicationKey(choice & 1 ? bytes.substr(0, 30)
                                             : "headers.x-id, a[].b, \"name\", name, id");
    if (key.ok()) duplication_key = *std::move(key);
    if ((choice & 2) == 0) return;
    auto members = MirrorMembers("Incoming And Outgoing", "a,\"b\"", "", "webhook");
    Require(members.ok());
    mirror_members = *std::move(members);
  }

  DuplicationKey duplication_key;
  std::string mirror_members;
};

std::string Joined(const ParsedIncident& incident) {
  std::string details;
  for (const absl::string_view slice : incident.details) details.append(slice.data(), slice.size());
  return details;
}

void CheckDetails(const std::string& details) {
  base::JsonReader reader(
      129, /*lone_surrogates=*/true);  // one level more, for a rawJson that was a string
  const base::PaddedText text(details);
  base::JsonValue value;
  Require(reader.Open(text.view()) && reader.Peek() == '{' && reader.ReadValue(value) &&
          reader.Finish());
  Require(!value.empty && MayBeJson(details));
}

void CheckSame(const ParsedIncident& one, const ParsedIncident& other) {
  Require(one.name == other.name && one.type == other.type && one.occurred == other.occurred);
  Require(one.delivery_key == other.delivery_key && Joined(one) == Joined(other));
}

// Everything made of incidents must be JSON as well.
void CheckTexts(const ParsedRequest& request) {
  webhook::core::TextBuffer answer;
  webhook::core::AnswerWriter writer(&answer, "Generic Webhook", "webhook");
  std::vector<webhook::core::SharedSample> samples;
  for (const ParsedIncident& incident : request.incidents()) {
    writer.Add({.id = "1",
                .name = incident.name,
                .type = incident.type,
                .occurred = incident.occurred,
                .created = incident.occurred,
                .duplicate = false,
                .warnings = incident.warnings});
    samples.push_back(webhook::core::MakeSample(incident.name, incident.type, incident.occurred,
                                                incident.details, 50));
  }
  writer.Finish();
  Require(MayBeJson(answer.text()));
  Require(MayBeJson(webhook::core::WriteSamples(samples, 1000)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const base::PaddedText body(bytes);
  const absl::string_view value = bytes.substr(0, 40);
  const HeaderView headers[] = {
      {"Host", value}, {value.substr(0, 5), "x"}, {"HOST", value}, {"X-Id", value}};
  const Configured configured(bytes);
  const webhook::Limits limits;
  IncidentParser parser(limits);
  const webhook::core::Defaults defaults{"type", absl::UnixEpoch(), "x-token",
                                         configured.mirror_members, &configured.duplication_key};
  ParsedRequest first;
  ParsedRequest second;
  if (const absl::Status status = parser.Parse(body.view(), headers, defaults, first);
      !status.ok()) {
    Require(first.incidents().empty());
    // The message is the answer's text.
    Require(!status.message().empty() && status.message().find('\n') == absl::string_view::npos);
    return 0;
  }
  Require(MayBeJson(bytes.substr(bytes.substr(0, 3) == "\xEF\xBB\xBF" ? 3 : 0)));
  Require(parser.Parse(body.view(), headers, defaults, second).ok());
  Require(first.incidents().size() == second.incidents().size());
  for (size_t i = 0; i < first.incidents().size(); ++i) {
    const ParsedIncident& incident = first.incidents()[i];
    Require(!incident.name.empty() && incident.occurred.size() >= 20);
    Require(incident.delivery_key.size() <= static_cast<size_t>(limits.delivery_key_bytes) + 9);
    Require(incident.content.size() == (incident.delivery_key.empty() ? 0 : 32));
    CheckSame(incident, second.incidents()[i]);
    const std::string details = Joined(incident);
    Require(details.size() == incident.details_bytes);
    CheckDetails(details);
  }
  CheckTexts(first);
  return 0;
}
