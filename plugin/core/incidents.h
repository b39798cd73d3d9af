// A request's body and headers -> the incidents that it asks for.
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
#include "plugin/core/arena.h"
#include "plugin/core/header_view.h"
#include "plugin/limits/limits.h"

namespace webhook::core {

class DuplicationKey;

// What an incident gets where the body says nothing.
struct Defaults {
  absl::string_view incident_type;                  // the parameter incidentType
  absl::Time trigger_time;                          // `occurred`; written with milliseconds at most
  absl::string_view secret_header;                  // Credentials::secret_header(): never stored
  absl::string_view mirror_members = {};            // Mirroring::members(): joins the details
  const DuplicationKey* duplication_key = nullptr;  // what incidents are told apart by; may be null
};

// Every text is valid UTF-8. The views live as long as the body that was parsed, and until the
// ParsedRequest they came from is parsed into again, cleared or destroyed.
struct ParsedIncident {
  absl::string_view name;
  absl::string_view type;
  absl::string_view occurred;  // RFC 3339, UTC: 2024-05-01T10:00:00Z, a fraction only if there
  // The details: concatenated, the slices are one JSON object. Most are bytes of the body.
  std::span<const absl::string_view> details;
  size_t details_bytes = 0;
  // What the sender should know though the incident was made; one sentence each.
  std::span<const absl::string_view> warnings;
  absl::string_view delivery_key;  // as the duplication key finds it; empty: none
};

// Owned by whoever handles the request; reuse it, then nothing is allocated once it is warm.
// Needed only to outlive the views: the parser keeps no reference to it. Moving it keeps them.
class ParsedRequest {
 public:
  ParsedRequest() = default;
  ParsedRequest(ParsedRequest&&) = default;
  ParsedRequest& operator=(ParsedRequest&&) = default;

  std::span<const ParsedIncident> incidents() const { return incidents_; }

  // Forgets everything and gives back what a large request has taken.
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

// Holds the buffers that parsing needs: one for each thread, reused. Not thread-safe.
class IncidentParser {
 public:
  // json_depth, incidents_of_a_request, stored_header_bytes, name_bytes and delivery_key_bytes are
  // used.
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
