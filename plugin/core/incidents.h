// Turns a request's body and headers into the incidents that it asks for.
#ifndef PLUGIN_CORE_INCIDENTS_H_
#define PLUGIN_CORE_INCIDENTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/core/header_view.h"
#include "plugin/core/text_memory.h"
#include "plugin/limits/limits.h"

namespace webhook::core {

class DuplicationKey;

// What an incident is given where the body says nothing.
struct Defaults {
  absl::string_view incident_type;                  // the parameter incidentType
  absl::Time trigger_time;                          // `occurred`; written with milliseconds at most
  absl::string_view secret_header;                  // Credentials::secret_header(): never stored
  absl::string_view mirror_members = {};            // Mirroring::members(): joins the details
  const DuplicationKey* duplication_key = nullptr;  // where their delivery keys are; may be null
};

// Every text is valid UTF-8. The views are valid while the body lives and until the ParsedRequest
// is parsed into again, cleared or destroyed.
struct ParsedIncident {
  absl::string_view name;
  absl::string_view type;
  absl::string_view occurred;  // RFC 3339, UTC: 2024-05-01T10:00:00Z, with a fraction if given
  // The slices, joined, are one JSON object: the details. Most of them are parts of the body.
  std::span<const absl::string_view> details;
  size_t details_bytes = 0;
  // What the sender should know although the incident is created; one sentence each.
  std::span<const absl::string_view> warnings;
  absl::string_view delivery_key;  // as the duplication key finds it; empty: none
};

// Owns what the views refer to; the parser keeps no reference to it. Use it again for the next
// request: a warm one allocates nothing. Moving it keeps the views valid.
class ParsedRequest {
 public:
  ParsedRequest() = default;
  ParsedRequest(ParsedRequest&&) = default;
  ParsedRequest& operator=(ParsedRequest&&) = default;

  std::span<const ParsedIncident> incidents() const { return incidents_; }

  // Removes all incidents and frees the memory that only a large request needs.
  void Clear();

 private:
  friend class IncidentBuilder;

  void Reset();

  struct Ranges {
    size_t first_slice;
    size_t first_warning;
  };

  std::vector<ParsedIncident> incidents_;
  std::vector<Ranges> ranges_;
  std::vector<absl::string_view> slices_;
  std::vector<absl::string_view> warnings_;
  Arena arena_;
};

// Holds the buffers that parsing needs, so use one again and again. Not thread-safe.
class IncidentParser {
 public:
  // Uses json_depth, incidents_of_a_request, stored_header_bytes, name_bytes and
  // delivery_key_bytes.
  explicit IncidentParser(const Limits& limits);
  ~IncidentParser();
  IncidentParser(IncidentParser&&) noexcept;
  IncidentParser& operator=(IncidentParser&&) noexcept;

  // Readable bytes that must follow a body; what they hold does not matter.
  static constexpr size_t kPadding = 64;

  // Reads an object, or an array of objects, and validates all of it (RFC 8259, UTF-8, no lone
  // surrogates, json_depth). `body` is text that has kPadding readable bytes after its end.
  //   INVALID_ARGUMENT   the sender's mistake, HTTP 400: the message is the answer's text
  //   RESOURCE_EXHAUSTED a limit passed, HTTP 413: the message is the answer's text
  // After an error `out` has no incidents. Depends on nothing but its arguments.
  absl::Status Parse(absl::string_view body, std::span<const HeaderView> headers,
                     const Defaults& defaults, ParsedRequest& out);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_INCIDENTS_H_
