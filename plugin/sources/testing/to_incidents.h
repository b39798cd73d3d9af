// What was accepted as JSON text: Evaluator::Parse must make the same incidents without writing it.
#ifndef PLUGIN_SOURCES_TESTING_TO_INCIDENTS_H_
#define PLUGIN_SOURCES_TESTING_TO_INCIDENTS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "plugin/sources/evaluate.h"

namespace webhook::sources {

// The details of an event as JSON text: the element's own bytes, with the envelope. A value that is
// no object becomes {"value": it}.
std::string DetailsOf(const Result& result, const Event& event);

// What was accepted, for core::IncidentParser: the document itself where it is the documented body,
// else [{"name", "type", "occurred", "rawJson"}, ...] in `buffer`, without dropped events.
// base::JsonReader::kPadding readable bytes follow it.
absl::string_view ToIncidents(const Result& result, std::string& buffer);

}  // namespace webhook::sources

#endif  // PLUGIN_SOURCES_TESTING_TO_INCIDENTS_H_
