// Writes incidents into a ParsedRequest, with defaults and warnings. Internal to IncidentParser.
#ifndef PLUGIN_CORE_INCIDENT_BUILDER_H_
#define PLUGIN_CORE_INCIDENT_BUILDER_H_

#include "absl/strings/string_view.h"
#include "plugin/core/details_object.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/incidents.h"
#include "plugin/core/json_reader.h"
#include "plugin/core/occurred.h"
#include "plugin/limits/limits.h"

namespace webhook::core {

// Lives as long as one request is parsed. After the last Add, Finish; without it there are no
// incidents.
class IncidentBuilder {
 public:
  // `tail` is what the details of each incident end with: see DetailsObject::AppendSlices. It is
  // copied.
  IncidentBuilder(const Limits& limits, const Defaults& defaults, absl::string_view tail,
                  TriggerTimes& trigger_times, ParsedRequest& out);

  // The values are those of the last member of that key; any but a string counts as absent.
  void Add(const JsonValue& name, const JsonValue& type, const JsonValue& occurred,
           DetailsObject& details);
  void Finish();
  // After Finish, where incidents are told apart by a key.
  void AddDeliveryKeys(const DuplicationKey& key, DeliveryKeyFinder& finder);

  size_t count() const { return out_.ranges_.size(); }

  // A text that a string of the body stands for, with JsonReader::kPadding bytes after it.
  absl::string_view Unescaped(const JsonValue& string) {
    // Without escapes it is a part of the body, and what follows it there is its padding.
    return string.escaped ? Unescape(string.inside()) : string.inside();
  }

 private:
  absl::string_view Unescape(absl::string_view inside);
  absl::string_view Text(const JsonValue& value, const char* what, absl::string_view otherwise);
  absl::string_view CutText(absl::string_view text, const char* what);
  absl::string_view Occurred(const JsonValue& value);
  absl::string_view GivenTime(const JsonValue& value);
  absl::string_view TriggerTime();
  void Warn(absl::string_view text) { out_.warnings_.push_back(out_.arena_.Copy(text)); }

  const Limits& limits_;
  const Defaults& defaults_;
  TriggerTimes& trigger_times_;
  ParsedRequest& out_;
  absl::string_view incident_type_;
  absl::string_view trigger_time_;  // once it is needed
  absl::string_view tail_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_INCIDENT_BUILDER_H_
