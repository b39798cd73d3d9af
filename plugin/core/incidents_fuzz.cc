// Any bytes as a body, with headers made of the same bytes: whatever is accepted must give
// details that are JSON objects again, and give the same incidents when parsed once more.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "plugin/core/incidents.h"
#include "plugin/core/json_reader.h"
#include "plugin/core/padded_text.h"

namespace {

using webhook::core::HeaderView;
using webhook::core::IncidentParser;
using webhook::core::JsonReader;
using webhook::core::JsonValue;
using webhook::core::PaddedText;
using webhook::core::ParsedIncident;
using webhook::core::ParsedRequest;

std::string Joined(const ParsedIncident& incident) {
  std::string details;
  for (const absl::string_view slice : incident.details) details.append(slice.data(), slice.size());
  return details;
}

void Require(bool holds) {
  if (!holds) std::abort();
}

void CheckDetails(const std::string& details, JsonReader& reader) {
  const PaddedText text(details);
  JsonValue value;
  Require(reader.Open(text.view()) && reader.Peek() == '{' && reader.ReadValue(value) &&
          reader.Finish());
  Require(!value.empty);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const PaddedText body(bytes);
  const absl::string_view value = bytes.substr(0, 40);
  const HeaderView headers[] = {{"Host", value}, {value.substr(0, 5), "x"}, {"HOST", value}};
  IncidentParser parser{webhook::Limits()};
  const webhook::core::Defaults defaults{"type", absl::UnixEpoch(), "x-token"};
  ParsedRequest first;
  ParsedRequest second;
  if (!parser.Parse(body.view(), headers, defaults, first).ok()) {
    Require(first.incidents().empty());
    return 0;
  }
  Require(parser.Parse(body.view(), headers, defaults, second).ok());
  Require(first.incidents().size() == second.incidents().size());
  JsonReader reader(129);  // one more for a rawJson that a string held
  for (size_t i = 0; i < first.incidents().size(); ++i) {
    const ParsedIncident& incident = first.incidents()[i];
    Require(!incident.name.empty() && incident.occurred.size() >= 20);
    const std::string details = Joined(incident);
    Require(details.size() == incident.details_bytes);
    Require(details == Joined(second.incidents()[i]));
    CheckDetails(details, reader);
  }
  return 0;
}
