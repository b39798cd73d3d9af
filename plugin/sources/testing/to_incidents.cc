#include "plugin/sources/testing/to_incidents.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"

namespace webhook::sources {
namespace {

// A text of a request as a JSON string, in whatever encoding it came.
void AppendText(absl::string_view text, std::string* out) {
  out->push_back('"');
  const size_t before = out->size();
  out->resize(before + base::MostEscapedBytes(text.size()));
  bool beyond_ascii = false;
  char* const end = base::WriteJsonEscapedBytes(text, out->data() + before, beyond_ascii);
  out->resize(static_cast<size_t>(end - out->data()));
  out->push_back('"');
}

bool IsFullObject(absl::string_view json) {
  if (!absl::StartsWith(json, "{")) return false;
  return absl::StripLeadingAsciiWhitespace(json.substr(1)).front() != '}';
}

void AppendDetails(const Result& result, const Event& event, std::string* out) {
  const bool is_object = IsFullObject(event.details);
  if (is_object) {
    out->append(event.details.data(), event.details.size() - 1);
  } else {
    absl::StrAppend(out, "{\"value\":", event.details);
  }
  if (!result.envelope.empty()) {
    const bool taken = is_object && event.has_envelope;
    absl::StrAppend(out, taken ? ",\"envelope_of_request\":" : ",\"envelope\":", result.envelope);
  }
  out->push_back('}');
}

}  // namespace

std::string DetailsOf(const Result& result, const Event& event) {
  std::string details;
  AppendDetails(result, event, &details);
  return details;
}

absl::string_view ToIncidents(const Result& result, std::string& out) {
  if (result.documented && result.rule_counts.empty()) return result.document;
  out.clear();
  size_t size = 2 + base::JsonReader::kPadding;
  for (const Event& event : result.events) {
    size += 64 + event.name.size() + event.type.size() + event.occurred.size() +
            event.element.size() + result.envelope.size();
  }
  out.reserve(size);
  out.push_back('[');
  for (const Event& event : result.events) {
    if (event.dropped) continue;
    if (out.size() > 1) out.push_back(',');
    if (result.documented && !event.set) {
      absl::StrAppend(&out, event.element);
      continue;
    }
    out.push_back('{');
    const auto member = [&](absl::string_view name, absl::string_view text) {
      if (text.empty()) return;
      absl::StrAppend(&out, "\"", name, "\":");
      AppendText(text, &out);
      out.push_back(',');
    };
    member("name", event.name);
    member("type", event.type);
    member("occurred", event.occurred);
    absl::StrAppend(&out, "\"rawJson\":");
    AppendDetails(result, event, &out);
    out.push_back('}');
  }
  out.push_back(']');
  out.reserve(out.size() + base::JsonReader::kPadding);
  return out;  // its room is its padding
}

}  // namespace webhook::sources
