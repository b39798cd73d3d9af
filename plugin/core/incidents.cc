#include "plugin/core/incidents.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/utf8.h"
#include "plugin/core/details_object.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/occurred.h"
#include "plugin/core/stored_headers.h"
#include "plugin/core/text_memory.h"

namespace webhook::core {
namespace {

static_assert(IncidentParser::kPadding >= base::JsonReader::kPadding);

constexpr size_t kKeptTailBytes = 64 * 1024;
constexpr size_t kMostQuotedBytes = 100;
constexpr size_t kSingle = SIZE_MAX;  // the index of the incident if the body is one object

// Texts that senders and playbooks know from the integration that this one replaces.
constexpr char kNotJson[] = "Request, and rawJson field if exists must be in JSON format";
constexpr char kDefaultIncidentName[] = "Generic webhook triggered incident";

absl::Status NotJson(absl::string_view place) {
  return absl::InvalidArgumentError(absl::StrCat(kNotJson, ": ", place));
}

absl::Status NotJson(const base::JsonFault& fault) {
  return NotJson(absl::StrCat("byte ", fault.byte, ": ", fault.what));
}

absl::Status NotJson(size_t incident, absl::string_view what) {
  if (incident == kSingle) return NotJson(what);
  return NotJson(absl::StrCat("incident ", incident, ": ", what));
}

// The member `rawJson` or `raw_json`; the last one if it repeats.
struct RawMember {
  explicit RawMember(const char* key) : key(key) {}
  const char* const key;
  base::JsonValue value;
  DetailsObject object;
};

// Reads an object. Calls read_value(KnownKey) -> bool for each member, to read its value.
template <typename ReadValue>
bool ReadObject(base::JsonReader& reader, DetailsObject& object, ReadValue read_value) {
  object.Clear();
  const char* const begin = reader.position();
  base::JsonValue key;
  base::JsonNext next = reader.EnterObject() ? reader.NextMember(key) : base::JsonNext::kFault;
  for (; next == base::JsonNext::kItem; next = reader.NextMember(key)) {
    const KnownKey known = WhichKey(key);
    object.NoteKey(known, key);
    if (!read_value(known)) return false;
  }
  if (next == base::JsonNext::kFault) return false;
  object.SetText(absl::string_view(begin, static_cast<size_t>(reader.bracket_end() - begin)));
  return true;
}

bool IsText(const base::JsonValue& value) {
  return value.kind == base::JsonKind::kString && !value.empty;
}

// A text for people and logs: of bounded length and without control characters (C0, DEL, C1).
std::string Quoted(absl::string_view text) {
  const absl::string_view shown = base::CutAtCharacter(text, kMostQuotedBytes);
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

// Writes incidents into a ParsedRequest, with defaults and warnings. Lives while one request is
// parsed. Call Finish after the last Add; without it there are no incidents.
class IncidentBuilder {
 public:
  // `tail` is the end of the details of each incident (see DetailsObject::AppendSlices). It is
  // copied.
  IncidentBuilder(const Limits& limits, const Defaults& defaults, absl::string_view tail,
                  TriggerTimes& trigger_times, ParsedRequest& out);

  // Each value is that of the last member with that key; anything but a string counts as absent.
  void Add(const base::JsonValue& name, const base::JsonValue& type,
           const base::JsonValue& occurred, DetailsObject& details);
  void Finish();
  // Call after Finish, if the instance has a duplication key.
  void AddDeliveryKeys(const DuplicationKey& key, DeliveryKeyFinder& finder);

  size_t count() const { return out_.ranges_.size(); }

  // The text that a string of the body stands for, followed by base::JsonReader::kPadding bytes.
  absl::string_view Unescaped(const base::JsonValue& string) {
    // Without escapes it is a part of the body, and the bytes that follow it are its padding.
    return string.escaped ? Unescape(string.inside()) : string.inside();
  }

 private:
  absl::string_view Unescape(absl::string_view inside);
  absl::string_view Text(const base::JsonValue& value, const char* what,
                         absl::string_view otherwise);
  absl::string_view CutText(absl::string_view text, const char* what);
  absl::string_view Occurred(const base::JsonValue& value);
  absl::string_view GivenTime(const base::JsonValue& value);
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
  size_t position = 0;
  for (ParsedIncident& incident : out_.incidents_) {
    incident.delivery_key = out_.arena_.Copy(finder.Find(key, incident.details, position++));
  }
}

absl::string_view IncidentBuilder::Unescape(absl::string_view inside) {
  char* const text = out_.arena_.Allocate(inside.size() + base::JsonReader::kPadding);
  const size_t size = base::JsonUnescape(inside, text);
  out_.arena_.GiveBack(inside.size() - size);
  return {text, size};
}

inline absl::string_view IncidentBuilder::Text(const base::JsonValue& value, const char* what,
                                               absl::string_view otherwise) {
  if (!IsText(value)) return otherwise;
  const absl::string_view text = Unescaped(value);
  return text.size() <= static_cast<size_t>(limits_.name_bytes) ? text : CutText(text, what);
}

absl::string_view IncidentBuilder::CutText(absl::string_view text, const char* what) {
  const absl::string_view kept =
      base::CutAtCharacter(text, static_cast<size_t>(limits_.name_bytes));
  Warn(absl::StrCat(what, " was cut to ", kept.size(), " of its ", text.size(), " bytes"));
  return kept;
}

inline absl::string_view IncidentBuilder::Occurred(const base::JsonValue& value) {
  if (IsText(value)) return GivenTime(value);
  return trigger_time_.empty() ? TriggerTime() : trigger_time_;
}

absl::string_view IncidentBuilder::GivenTime(const base::JsonValue& value) {
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

void IncidentBuilder::Add(const base::JsonValue& name, const base::JsonValue& type,
                          const base::JsonValue& occurred, DetailsObject& details) {
  out_.ranges_.push_back({out_.slices_.size(), out_.warnings_.size()});
  ParsedIncident& incident = out_.incidents_.emplace_back();
  incident.name = Text(name, "name", kDefaultIncidentName);
  incident.type = Text(type, "type", incident_type_);
  incident.occurred = Occurred(occurred);
  details.AppendSlices(tail_, !defaults_.mirror_members.empty(), out_.arena_, out_.slices_);
}

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
  static bool ReadDetails(base::JsonReader& reader, DetailsObject& object);

  const Limits limits_;
  base::JsonReader body_;
  base::JsonReader string_;                      // of a rawJson that is a string
  std::optional<DeliveryKeyFinder> key_finder_;  // once it is needed
  StoredHeaders stored_headers_;
  TriggerTimes trigger_times_;
  TextBuffer tail_;          // `,"headers":{...}}`, with mirror_ members where they are set
  size_t header_bytes_ = 0;  // of it, the headers

  // Of the incident being read.
  base::JsonValue name_;
  base::JsonValue type_;
  base::JsonValue occurred_;
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
      case base::JsonNext::kFault:
        return NotJson(body_.fault());
      case base::JsonNext::kEnd:
        return absl::OkStatus();
      case base::JsonNext::kItem:
        break;
    }
    if (incident >= most) return TooMany(incident + 1);
    if (absl::Status status = ParseIncident(incident, builder); !status.ok()) return status;
  }
}

// Every incident stores the headers, so a small body with large headers could take much memory.
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
    if (details != nullptr || base::CountsAsAbsent(raw->value)) continue;
    if (raw->value.kind != base::JsonKind::kObject) {
      if (absl::Status status = ReadRawString(*raw, incident, builder); !status.ok()) return status;
    }
    if (!raw->object.empty()) details = &raw->object;
  }
  builder.Add(name_, type_, occurred_, details != nullptr ? *details : whole_);
  return absl::OkStatus();
}

bool IncidentParser::Impl::ReadMembers() {
  // A null counts as absent; the other members of such a value have no meaning.
  name_.kind = type_.kind = occurred_.kind = base::JsonKind::kNull;
  raw_json_.value.kind = older_raw_json_.value.kind = base::JsonKind::kNull;
  return ReadObject(body_, whole_, [this](KnownKey key) { return ReadMember(key); });
}

// RFC 8259 section 4 leaves repeated keys open. Here the last one counts, as in Python.
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
  raw.value.kind = base::JsonKind::kObject;
  raw.value.empty = raw.object.empty();
  return true;
}

bool IncidentParser::Impl::ReadDetails(base::JsonReader& reader, DetailsObject& object) {
  return ReadObject(reader, object, [&reader](KnownKey) { return reader.SkipValue(); });
}

absl::Status IncidentParser::Impl::ReadRawString(RawMember& raw, size_t incident,
                                                 IncidentBuilder& builder) {
  if (raw.value.kind != base::JsonKind::kString) {
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
    // The headers that we add are nested two deep, even where the limit for the body is lower.
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
