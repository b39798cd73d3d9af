// Turns a request's body and headers into the incidents that it asks for.
#ifndef PLUGIN_CORE_INCIDENTS_H_
#define PLUGIN_CORE_INCIDENTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/base/json_reader.h"
#include "plugin/core/details_object.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/header_view.h"
#include "plugin/core/occurred.h"
#include "plugin/core/stored_headers.h"
#include "plugin/core/text_memory.h"
#include "plugin/limits/limits.h"

namespace webhook::core {

// What an incident is given where the body says nothing.
struct Defaults {
  absl::string_view incident_type;                  // the parameter incidentType
  absl::Time trigger_time;                          // `occurred`; written with milliseconds at most
  absl::string_view secret_header;                  // Credentials::secret_header(): never stored
  absl::string_view mirror_members = {};            // of MirrorMembers: joins the details
  const DuplicationKey* duplication_key = nullptr;  // where their delivery keys are; may be null
  const KeptHeaders* kept_headers = nullptr;        // null: none
  // Further headers that are never stored, in lower case; in one that ends in #, that is a number.
  std::span<const std::string> secret_headers = {};
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
  absl::string_view content;       // where there is a key: the SHA-256 of the object in the body
  double severity = 0;             // as in the ABI; the documented body has none
};

// Owns what the views refer to; the parser keeps no reference to it. Use it again for the next
// request: a warm one allocates nothing. Moving it keeps the views valid.
class ParsedRequest {
 public:
  ParsedRequest() = default;
  ParsedRequest(ParsedRequest&&) = default;
  ParsedRequest& operator=(ParsedRequest&&) = default;

  std::span<const ParsedIncident> incidents() const { return incidents_; }
  std::span<ParsedIncident> mutable_incidents() { return incidents_; }

  // Of memory that only a large request needs, and of what its views become at both sides of the
  // ABI; 0 for an ordinary one.
  size_t large_bytes() const;

  // Removes all incidents and frees the memory that only a large request needs.
  void Clear();

 private:
  friend class IncidentParser;

  void Reset();

  struct Source {
    size_t first_slice;
    size_t first_warning;
    absl::string_view text;  // in the body
  };

  std::vector<ParsedIncident> incidents_;
  std::vector<Source> sources_;
  std::vector<absl::string_view> slices_;
  std::vector<absl::string_view> warnings_;
  Arena arena_;
};

// An incident whose parts somebody else has found in a body. Its texts live as long as the incident
// that is made of it.
struct FoundIncident {
  absl::string_view name;  // of any encoding; empty: the default, as with the next two
  absl::string_view type;
  absl::string_view occurred;
  absl::string_view details;      // JSON; what is no object, or an empty one, becomes {"value": it}
  base::JsonReader::Place place;  // of the details, in the reader
  // The details are an object with members, and none of them is one that may have to be renamed
  // (KnownKey::kHeaders and above): they need not be read again.
  bool plain = false;
  bool has_envelope = false;  // the details have a member of that name
};

// Holds the buffers that parsing needs, so use one again and again. Not thread-safe.
class IncidentParser {
 public:
  // Uses json_depth, incidents_of_a_request, stored_header_bytes, renamed_members, name_bytes and
  // delivery_key_bytes.
  explicit IncidentParser(const Limits& limits);
  IncidentParser(const IncidentParser&) = delete;
  IncidentParser& operator=(const IncidentParser&) = delete;

  // Readable bytes that must follow a body; what they hold does not matter.
  static constexpr size_t kPadding = base::JsonReader::kPadding;

  // Reads an object, or an array of objects, and validates all of it (RFC 8259, UTF-8, json_depth).
  // `body` is text that has kPadding readable bytes after its end.
  //   INVALID_ARGUMENT   the sender's mistake, HTTP 400: the message is the answer's text
  //   RESOURCE_EXHAUSTED a limit passed, HTTP 413: the message is the answer's text
  // After an error `out` has no incidents. Depends on nothing but its arguments.
  absl::Status Parse(absl::string_view body, std::span<const HeaderView> headers,
                     const Defaults& defaults, ParsedRequest& out);

  // The same for incidents that were found in the text that `reader` has open and has read whole,
  // so that it need not be read again. `envelope` is a JSON text that joins the details of each;
  // empty: there is none.
  absl::Status Take(std::span<const FoundIncident> found, absl::string_view envelope,
                    base::JsonReader& reader, std::span<const HeaderView> headers,
                    const Defaults& defaults, ParsedRequest& out);

 private:
  // The member `rawJson` or `raw_json`; the last one if it repeats.
  struct RawMember {
    const char* key;
    base::JsonValue value = {};
    DetailsObject object = {};
  };

  void Begin(std::span<const HeaderView> headers, const Defaults& defaults, ParsedRequest& out);
  absl::Status End(absl::Status status);
  absl::Status ParseText(absl::string_view body);
  absl::Status TakeAll(std::span<const FoundIncident> found, absl::string_view envelope,
                       base::JsonReader& reader);
  absl::string_view AsUtf8(absl::string_view text);
  absl::Status ParseArray();
  absl::Status ParseIncident(size_t incident);
  bool ReadMember(KnownKey key);
  bool ReadRaw(RawMember& raw);
  bool ReadDetails(base::JsonReader& reader, DetailsObject& object);
  bool CountRenamed(KnownKey key);
  absl::Status ReadRawString(RawMember& raw, size_t incident);
  size_t MostIncidents() const;
  absl::Status TooMany(size_t count) const;

  void AddIncident(DetailsObject& details, const FoundIncident* found = nullptr);
  void SetSpans();
  void AddDeliveryKeys();
  // The text that a string of the body stands for, followed by base::JsonReader::kPadding bytes.
  absl::string_view Unescaped(const base::JsonValue& string,
                              base::LoneSurrogate lone = base::LoneSurrogate::kReplace) {
    // Without escapes it is a part of the body, and the bytes that follow it are its padding.
    return string.escaped ? Unescape(string.inside(), lone) : string.inside();
  }
  absl::string_view Unescape(absl::string_view inside, base::LoneSurrogate lone);
  absl::string_view Text(const base::JsonValue& value, const char* what,
                         absl::string_view otherwise) {
    if (value.kind != base::JsonKind::kString) {
      return base::CountsAsAbsent(value) ? otherwise : NoText(what, otherwise);
    }
    return Tidy(Unescaped(value), value.escaped, what, otherwise);
  }
  absl::string_view Tidy(absl::string_view text, bool may_have_nul, const char* what,
                         absl::string_view otherwise) {
    text = absl::StripAsciiWhitespace(text);
    if (may_have_nul && absl::StrContains(text, '\0')) text = WithoutNul(text, what);
    if (text.size() > static_cast<size_t>(limits_.name_bytes)) text = CutText(text, what);
    return text.empty() ? otherwise : text;
  }
  absl::string_view NoText(const char* what, absl::string_view otherwise);
  absl::string_view WithoutNul(absl::string_view text, const char* what);
  absl::string_view CutText(absl::string_view text, const char* what);
  absl::string_view GivenTime(absl::string_view text, bool is_number);
  absl::string_view TriggerTime();
  void Warn(absl::string_view text) { out_->warnings_.push_back(out_->arena_.Copy(text)); }

  const Limits limits_;
  base::JsonReader body_;
  base::JsonReader string_;                      // of a rawJson that is a string
  std::optional<DeliveryKeyFinder> key_finder_;  // once it is needed
  StoredHeaders stored_headers_;
  TriggerTimes trigger_times_;
  TextBuffer tail_text_;

  // Of the request that is being parsed. The texts are in the memory of `out_`.
  const Defaults* defaults_ = nullptr;
  ParsedRequest* out_ = nullptr;
  absl::string_view incident_type_;
  absl::string_view trigger_time_;  // once it is needed
  absl::string_view tail_;          // the end of all details: see DetailsObject::AppendSlices
  size_t header_bytes_ = 0;         // of it, the headers; and of the envelope
  size_t may_be_renamed_ = 0;       // so many members more
  bool too_many_renamed_ = false;

  // Of the incident that is being read: the value of the last member with that key.
  base::JsonValue name_;
  base::JsonValue type_;
  base::JsonValue occurred_;
  RawMember raw_json_{"rawJson"};
  RawMember older_raw_json_{"raw_json"};
  DetailsObject whole_;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_INCIDENTS_H_
