#include "plugin/core/incident_builder.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "plugin/core/json_chars.h"
#include "plugin/core/texts.h"

namespace webhook::core {
namespace {

constexpr size_t kMostQuotedBytes = 100;

bool IsText(const JsonValue& value) { return value.kind == JsonKind::kString && !value.empty; }

// At most `most` bytes of `text`, cut at a character's boundary (RFC 3629 section 3).
absl::string_view Cut(absl::string_view text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

// For people and for logs: bounded, and without control characters (C0, DEL, C1).
std::string Quoted(absl::string_view text) {
  const absl::string_view shown = Cut(text, kMostQuotedBytes);
  std::string quoted = "\"";
  for (size_t i = 0; i < shown.size(); ++i) {
    const auto c = static_cast<unsigned char>(shown[i]);
    const bool c1 = c == 0xC2 && static_cast<unsigned char>(shown[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F || c1) {
      absl::StrAppend(&quoted, "\\u00", absl::Hex(c1 ? shown[++i] & 0xFF : c, absl::kZeroPad2));
    } else {
      quoted.push_back(shown[i]);
    }
  }
  quoted += shown.size() < text.size() ? "...\"" : "\"";
  return quoted;
}

}  // namespace

IncidentBuilder::IncidentBuilder(const Limits& limits, const Defaults& defaults,
                                 absl::string_view tail, TriggerTimes& trigger_times,
                                 ParsedRequest& out)
    : limits_(limits), defaults_(defaults), trigger_times_(trigger_times), out_(out) {
  out_.Reset();
  incident_type_ = out_.arena_.Copy(defaults.incident_type);
  tail_ = out_.arena_.Copy(tail);
}

// The vectors have stopped growing, so spans of them stay valid.
void IncidentBuilder::Finish() {
  const std::span<const absl::string_view> slices = out_.slices_;
  const std::span<const absl::string_view> warnings = out_.warnings_;
  size_t slices_end = slices.size();
  size_t warnings_end = warnings.size();
  for (size_t i = out_.incidents_.size(); i-- > 0;) {
    ParsedIncident& incident = out_.incidents_[i];
    const ParsedRequest::Ranges& ranges = out_.ranges_[i];
    incident.details = slices.subspan(ranges.first_slice, slices_end - ranges.first_slice);
    incident.warnings = warnings.subspan(ranges.first_warning, warnings_end - ranges.first_warning);
    for (const absl::string_view slice : incident.details) incident.details_bytes += slice.size();
    slices_end = ranges.first_slice;
    warnings_end = ranges.first_warning;
  }
}

void IncidentBuilder::AddDeliveryKeys(const DuplicationKey& key, DeliveryKeyFinder& finder) {
  for (ParsedIncident& incident : out_.incidents_) {
    incident.delivery_key = out_.arena_.Copy(finder.Find(key, incident.details));
  }
}

absl::string_view IncidentBuilder::Unescape(absl::string_view inside) {
  char* const text = out_.arena_.Allocate(inside.size() + JsonReader::kPadding);
  const size_t size = JsonUnescape(inside, text);
  out_.arena_.GiveBack(inside.size() - size);
  return {text, size};
}

inline absl::string_view IncidentBuilder::Text(const JsonValue& value, const char* what,
                                               absl::string_view otherwise) {
  if (!IsText(value)) return otherwise;
  const absl::string_view text = Unescaped(value);
  return text.size() <= static_cast<size_t>(limits_.name_bytes) ? text : CutText(text, what);
}

absl::string_view IncidentBuilder::CutText(absl::string_view text, const char* what) {
  const absl::string_view kept = Cut(text, static_cast<size_t>(limits_.name_bytes));
  Warn(absl::StrCat(what, " was cut to ", kept.size(), " of its ", text.size(), " bytes"));
  return kept;
}

inline absl::string_view IncidentBuilder::Occurred(const JsonValue& value) {
  if (IsText(value)) return GivenTime(value);
  return trigger_time_.empty() ? TriggerTime() : trigger_time_;
}

absl::string_view IncidentBuilder::GivenTime(const JsonValue& value) {
  const absl::string_view text = Unescaped(value);
  if (const auto time = NormalizeOccurred(text); time.has_value()) {
    return time->text() == text ? text : out_.arena_.Copy(time->text());
  }
  Warn(absl::StrCat("occurred ", Quoted(text),
                    " is not an ISO-8601 time, so the time of the trigger is used"));
  return TriggerTime();
}

absl::string_view IncidentBuilder::TriggerTime() {
  if (trigger_time_.empty()) {
    trigger_time_ = out_.arena_.Copy(trigger_times_.Format(defaults_.trigger_time).text());
  }
  return trigger_time_;
}

void IncidentBuilder::Add(const JsonValue& name, const JsonValue& type, const JsonValue& occurred,
                          DetailsObject& details) {
  out_.ranges_.push_back({out_.slices_.size(), out_.warnings_.size()});
  ParsedIncident& incident = out_.incidents_.emplace_back();
  incident.name = Text(name, "name", kDefaultIncidentName);
  incident.type = Text(type, "type", incident_type_);
  incident.occurred = Occurred(occurred);
  details.AppendSlices(tail_, !defaults_.mirror_members.empty(), out_.arena_, out_.slices_);
}

}  // namespace webhook::core
