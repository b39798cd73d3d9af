#include "plugin/core/incidents.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugin/core/details_object.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/incident_builder.h"
#include "plugin/core/json_reader.h"
#include "plugin/core/stored_headers.h"
#include "plugin/core/text_buffer.h"
#include "plugin/core/texts.h"

namespace webhook::core {
namespace {

static_assert(IncidentParser::kPadding >= JsonReader::kPadding);

constexpr size_t kKeptTailBytes = 64 * 1024;
constexpr size_t kSingle = SIZE_MAX;  // the incident of a body that is one object

absl::Status NotJson(absl::string_view place) {
  return absl::InvalidArgumentError(absl::StrCat(kNotJson, ": ", place));
}

absl::Status NotJson(const JsonFault& fault) {
  return NotJson(absl::StrCat("byte ", fault.byte, ": ", fault.what));
}

absl::Status NotJson(size_t incident, absl::string_view what) {
  if (incident == kSingle) return NotJson(what);
  return NotJson(absl::StrCat("incident ", incident, ": ", what));
}

// The member `rawJson` or `raw_json`: of a repeated one, the last.
struct RawMember {
  explicit RawMember(const char* key) : key(key) {}
  const char* const key;
  JsonValue value;
  DetailsObject object;
};

// Reads an object. Calls read_value(KnownKey) -> bool for each member, to read its value.
template <typename ReadValue>
bool ReadObject(JsonReader& reader, DetailsObject& object, ReadValue read_value) {
  object.Clear();
  const char* const begin = reader.position();
  JsonValue key;
  JsonNext next = reader.EnterObject() ? reader.NextMember(key) : JsonNext::kFault;
  for (; next == JsonNext::kItem; next = reader.NextMember(key)) {
    const KnownKey known = WhichKey(key);
    object.NoteKey(known, key);
    if (!read_value(known)) return false;
  }
  if (next == JsonNext::kFault) return false;
  object.SetText(absl::string_view(begin, static_cast<size_t>(reader.bracket_end() - begin)));
  return true;
}

}  // namespace

class IncidentParser::Impl {
 public:
  explicit Impl(const Limits& limits)
      : limits_(limits),
        body_(static_cast<int>(limits.json_depth)),
        string_(static_cast<int>(limits.json_depth)) {}

  absl::Status Parse(absl::string_view body, std::span<const HeaderView> headers,
                     const Defaults& defaults, ParsedRequest& out);

 private:
  absl::Status ParseText(absl::string_view body, IncidentBuilder& builder);
  absl::Status ParseArray(IncidentBuilder& builder);
  absl::Status ParseIncident(size_t incident, IncidentBuilder& builder);
  bool ReadMembers();
  bool ReadMember(KnownKey key);
  bool ReadRaw(RawMember& raw);
  size_t MostIncidents() const;
  absl::Status TooMany(size_t count) const;
  absl::Status ReadRawString(RawMember& raw, size_t incident, IncidentBuilder& builder);
  DeliveryKeyFinder& KeyFinder();
  static bool ReadDetails(JsonReader& reader, DetailsObject& object);

  const Limits limits_;
  JsonReader body_;
  JsonReader string_;                            // of a rawJson that is a string
  std::optional<DeliveryKeyFinder> key_finder_;  // once it is needed
  StoredHeaders stored_headers_;
  TriggerTimes trigger_times_;
  TextBuffer tail_;          // `,"headers":{...}}`, with mirror_ members where they are set
  size_t header_bytes_ = 0;  // of it, the headers

  // Of the incident being read.
  JsonValue name_;
  JsonValue type_;
  JsonValue occurred_;
  RawMember raw_json_{"rawJson"};
  RawMember older_raw_json_{"raw_json"};
  DetailsObject whole_;
};

absl::Status IncidentParser::Impl::Parse(absl::string_view body,
                                         std::span<const HeaderView> headers,
                                         const Defaults& defaults, ParsedRequest& out) {
  tail_.Clear();
  tail_.Append(",\"headers\":");
  const size_t before = tail_.size();
  stored_headers_.Append(headers, defaults.secret_header, &tail_);
  header_bytes_ = tail_.size() - before;
  tail_.Append(defaults.mirror_members);
  tail_.Append("}");
  IncidentBuilder builder(limits_, defaults, tail_.text(), trigger_times_, out);
  const absl::Status status = ParseText(body, builder);
  if (status.ok()) {
    builder.Finish();
    const DuplicationKey* const key = defaults.duplication_key;
    if (key != nullptr && !key->empty()) builder.AddDeliveryKeys(*key, KeyFinder());
  } else {
    out.Clear();
  }
  tail_.ReleaseAbove(kKeptTailBytes);  // the incidents have a copy
  body_.ReleaseLarge();
  string_.ReleaseLarge();
  if (key_finder_.has_value()) key_finder_->ReleaseLarge();
  return status;
}

absl::Status IncidentParser::Impl::ParseText(absl::string_view body, IncidentBuilder& builder) {
  if (!body_.Open(body)) return NotJson(body_.fault());
  switch (body_.Peek()) {
    case '{':
      if (MostIncidents() == 0) return TooMany(1);
      if (absl::Status status = ParseIncident(kSingle, builder); !status.ok()) return status;
      break;
    case '[':
      if (absl::Status status = ParseArray(builder); !status.ok()) return status;
      break;
    default:
      return NotJson("the top level must be an object or an array of objects");
  }
  return body_.Finish() ? absl::OkStatus() : NotJson(body_.fault());
}

absl::Status IncidentParser::Impl::ParseArray(IncidentBuilder& builder) {
  if (!body_.EnterArray()) return NotJson(body_.fault());
  const size_t most = MostIncidents();
  for (size_t incident = 0;; ++incident) {
    switch (body_.NextItem()) {
      case JsonNext::kFault:
        return NotJson(body_.fault());
      case JsonNext::kEnd:
        return absl::OkStatus();
      case JsonNext::kItem:
        break;
    }
    if (incident >= most) return TooMany(incident + 1);
    if (absl::Status status = ParseIncident(incident, builder); !status.ok()) return status;
  }
}

// Every incident stores the headers, so a small body with large headers could ask for very much.
size_t IncidentParser::Impl::MostIncidents() const {
  return std::min(static_cast<size_t>(limits_.incidents_of_a_request),
                  static_cast<size_t>(limits_.stored_header_bytes) / header_bytes_);
}

absl::Status IncidentParser::Impl::TooMany(size_t count) const {
  if (count > static_cast<size_t>(limits_.incidents_of_a_request)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("A request may have ", limits_.incidents_of_a_request, " incidents at most"));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("Headers of ", header_bytes_, " bytes, stored with each of ", count,
                   " incidents or more, are more than ", limits_.stored_header_bytes, " bytes"));
}

absl::Status IncidentParser::Impl::ParseIncident(size_t incident, IncidentBuilder& builder) {
  if (body_.Peek() != '{') {
    return body_.SkipValue() ? NotJson(incident, "must be an object") : NotJson(body_.fault());
  }
  if (!ReadMembers()) return NotJson(body_.fault());
  DetailsObject* details = nullptr;
  for (RawMember* const raw : {&raw_json_, &older_raw_json_}) {
    if (details != nullptr || CountsAsAbsent(raw->value)) continue;
    if (raw->value.kind != JsonKind::kObject) {
      if (absl::Status status = ReadRawString(*raw, incident, builder); !status.ok()) return status;
    }
    if (!raw->object.empty()) details = &raw->object;
  }
  builder.Add(name_, type_, occurred_, details != nullptr ? *details : whole_);
  return absl::OkStatus();
}

bool IncidentParser::Impl::ReadMembers() {
  // A null counts as absent; the other members of a value mean nothing then.
  name_.kind = type_.kind = occurred_.kind = JsonKind::kNull;
  raw_json_.value.kind = older_raw_json_.value.kind = JsonKind::kNull;
  return ReadObject(body_, whole_, [this](KnownKey key) { return ReadMember(key); });
}

// RFC 8259 section 4 leaves repeated keys open; here the last of them counts, as in Python.
bool IncidentParser::Impl::ReadMember(KnownKey key) {
  switch (key) {
    case KnownKey::kName:
      return body_.ReadValue(name_);
    case KnownKey::kType:
      return body_.ReadValue(type_);
    case KnownKey::kOccurred:
      return body_.ReadValue(occurred_);
    case KnownKey::kRawJson:
      return ReadRaw(raw_json_);
    case KnownKey::kOlderRawJson:
      return ReadRaw(older_raw_json_);
    default:
      return body_.SkipValue();
  }
}

bool IncidentParser::Impl::ReadRaw(RawMember& raw) {
  if (body_.Peek() != '{') return body_.ReadValue(raw.value);
  if (!ReadDetails(body_, raw.object)) return false;
  raw.value.kind = JsonKind::kObject;
  raw.value.empty = raw.object.empty();
  return true;
}

bool IncidentParser::Impl::ReadDetails(JsonReader& reader, DetailsObject& object) {
  return ReadObject(reader, object, [&reader](KnownKey) { return reader.SkipValue(); });
}

absl::Status IncidentParser::Impl::ReadRawString(RawMember& raw, size_t incident,
                                                 IncidentBuilder& builder) {
  if (raw.value.kind != JsonKind::kString) {
    return NotJson(incident, absl::StrCat(raw.key, " must be an object"));
  }
  if (!string_.Open(builder.Unescaped(raw.value)) || !ReadDetails(string_, raw.object) ||
      !string_.Finish()) {
    return NotJson(incident,
                   absl::StrCat(raw.key, " must be an object; the text in it is not one (", "byte ",
                                string_.fault().byte, ": ", string_.fault().what, ")"));
  }
  return absl::OkStatus();
}

DeliveryKeyFinder& IncidentParser::Impl::KeyFinder() {
  if (!key_finder_.has_value()) {
    // The headers that we add are nested two deep, whatever the limit for the body is.
    key_finder_.emplace(static_cast<int>(std::max<int64_t>(limits_.json_depth, 2)),
                        static_cast<size_t>(limits_.delivery_key_bytes));
  }
  return *key_finder_;
}

void ParsedRequest::Reset() {
  incidents_.clear();
  ranges_.clear();
  slices_.clear();
  warnings_.clear();
  arena_.Clear();
}

void ParsedRequest::Clear() {
  constexpr size_t kKept = 256;
  Reset();
  if (slices_.capacity() > kKept || warnings_.capacity() > kKept) *this = ParsedRequest();
}

IncidentParser::IncidentParser(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
IncidentParser::~IncidentParser() = default;
IncidentParser::IncidentParser(IncidentParser&&) noexcept = default;
IncidentParser& IncidentParser::operator=(IncidentParser&&) noexcept = default;

absl::Status IncidentParser::Parse(absl::string_view body, std::span<const HeaderView> headers,
                                   const Defaults& defaults, ParsedRequest& out) {
  return impl_->Parse(body, headers, defaults, out);
}

}  // namespace webhook::core
