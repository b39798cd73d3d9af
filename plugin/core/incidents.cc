#include "plugin/core/incidents.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "plugin/base/characters.h"
#include "plugin/base/counted.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"

namespace webhook::core {
namespace {

constexpr size_t kKeptTailBytes = 64 * 1024;
constexpr size_t kMostQuotedBytes = 100;
constexpr size_t kSingle = SIZE_MAX;  // the index of the incident if the body is one object

// Texts that senders and playbooks know from the integration that this one replaces.
constexpr char kNotJson[] = "Request, and rawJson field if exists must be in JSON format";
constexpr char kHeadersBeyondAscii[] =
    "a header is not ASCII; it is stored as UTF-8, and was read as ISO-8859-1 if it was none";
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

// Reads an object. Calls read_value(KnownKey) -> bool for each member, to read its value.
template <typename ReadValue>
bool ReadObject(base::JsonReader& reader, DetailsObject& object, ReadValue read_value) {
  object.Clear();
  const char* const begin = reader.position();
  const bool good = reader.EachMember([&](const base::JsonValue& key) {
    const KnownKey known = WhichKey(key);
    object.NoteKey(known, key);
    return read_value(known);
  });
  if (!good) return false;
  object.SetText(absl::string_view(begin, static_cast<size_t>(reader.bracket_end() - begin)));
  return true;
}

// What the body is where it is no JSON at all; empty where that is not known.
std::string OtherFormat(absl::string_view body, std::span<const HeaderView> headers) {
  const absl::string_view begin = absl::StripLeadingAsciiWhitespace(body.substr(0, 64));
  if (begin.substr(0, 4).find('\0') != absl::string_view::npos)
    return "UTF-16 or UTF-32, not UTF-8";
  if (absl::StartsWith(begin, "<")) return "XML or HTML";
  if (begin.empty() || begin[0] == '{' || begin[0] == '[') return "";
  for (const HeaderView& header : headers) {
    if (!header.IsNamed("content-type")) continue;
    const absl::string_view type = header.value.substr(0, header.value.find(';'));
    for (const absl::string_view form :
         {"application/x-www-form-urlencoded", "multipart/form-data"}) {
      if (absl::EqualsIgnoreCase(base::WithoutBlanks(type), form)) {
        return absl::StrCat("a form (", form, ")");
      }
    }
  }
  return "";
}

// A text for people and logs: of bounded length and without control characters (C0, DEL, C1).
std::string Quoted(absl::string_view text) {
  absl::string_view shown = base::CutAtCharacter(text, kMostQuotedBytes);
  const char* const end = shown.size() < text.size() ? "...\"" : "\"";
  std::string quoted = "\"";
  while (!shown.empty()) {
    const base::Character c = base::FirstCharacter(shown);
    if (c.code_point < 0x20 || (c.code_point >= 0x7F && c.code_point < 0xA0)) {
      absl::StrAppend(&quoted, "\\u", absl::Hex(c.code_point, absl::kZeroPad4));
    } else {
      quoted.append(shown.data(), c.bytes);
    }
    shown.remove_prefix(c.bytes);
  }
  return quoted + end;
}

}  // namespace

void ParsedRequest::Reset() {
  incidents_.clear();
  sources_.clear();
  slices_.clear();
  warnings_.clear();
  arena_.Clear();
}

size_t ParsedRequest::large_bytes() const {
  constexpr size_t kOrdinary = 1024 * 1024;
  constexpr size_t kCopies = 3;  // ours, the ABI's and the host's
  const size_t views = kCopies * (slices_.size() + warnings_.size()) * sizeof(absl::string_view);
  const size_t bytes = views + arena_.bytes();
  return bytes <= kOrdinary ? 0 : bytes;
}

void ParsedRequest::Clear() {
  constexpr size_t kKept = 256;
  Reset();
  if (slices_.capacity() > kKept || warnings_.capacity() > kKept) *this = ParsedRequest();
}

IncidentParser::IncidentParser(const Limits& limits)
    : limits_(limits),
      body_(static_cast<int>(limits.json_depth), /*lone_surrogates=*/true),
      string_(static_cast<int>(limits.json_depth), /*lone_surrogates=*/true) {}

absl::Status IncidentParser::Parse(absl::string_view body, std::span<const HeaderView> headers,
                                   const Defaults& defaults, ParsedRequest& out) {
  Begin(headers, defaults, out);
  absl::Status status = ParseText(body);
  if (absl::IsInvalidArgument(status)) {
    const std::string format = OtherFormat(body, headers);
    if (!format.empty()) status = NotJson(absl::StrCat("the body is ", format, "; send JSON"));
  }
  status = End(std::move(status));
  body_.ReleaseLarge();
  string_.ReleaseLarge();
  return status;
}

absl::Status IncidentParser::Take(std::span<const FoundIncident> found, absl::string_view envelope,
                                  base::JsonReader& reader, std::span<const HeaderView> headers,
                                  const Defaults& defaults, ParsedRequest& out) {
  Begin(headers, defaults, out);
  header_bytes_ += envelope.size();
  return End(found.size() > MostIncidents() ? TooMany(found.size())
                                            : TakeAll(found, out.arena_.Copy(envelope), reader));
}

void IncidentParser::Begin(std::span<const HeaderView> headers, const Defaults& defaults,
                           ParsedRequest& out) {
  tail_text_.Clear();
  tail_text_.Append(",\"headers\":");
  const size_t before = tail_text_.size();
  static const KeptHeaders kNoneKept;
  stored_headers_.Append(headers, defaults.secret_header, defaults.secret_headers,
                         defaults.kept_headers == nullptr ? kNoneKept : *defaults.kept_headers,
                         &tail_text_);
  header_bytes_ = tail_text_.size() - before;
  tail_text_.Append(defaults.mirror_members);
  tail_text_.Append("}");
  out.Reset();
  defaults_ = &defaults;
  out_ = &out;
  incident_type_ = out.arena_.Copy(defaults.incident_type);
  trigger_time_ = {};
  may_be_renamed_ = static_cast<size_t>(limits_.renamed_members);
  too_many_renamed_ = false;
  tail_ = out.arena_.Copy(tail_text_.text());
}

absl::Status IncidentParser::End(absl::Status status) {
  if (too_many_renamed_) {
    status = absl::ResourceExhaustedError(absl::StrCat(
        "More than ", limits_.renamed_members,
        " members are called headers, or by another name that is kept for the webhook"));
  }
  if (status.ok()) {
    SetSpans();
    if (defaults_->duplication_key != nullptr && !defaults_->duplication_key->empty()) {
      AddDeliveryKeys();
    }
  } else {
    out_->Clear();
  }
  tail_text_.ReleaseAbove(kKeptTailBytes);
  if (key_finder_.has_value()) key_finder_->ReleaseLarge();
  return status;
}

// Text that is no UTF-8 is taken as Latin-1.
absl::string_view IncidentParser::AsUtf8(absl::string_view text) {
  if (base::IsUtf8(text)) return text;
  const size_t most = 2 * text.size();
  char* const utf8 = out_->arena_.Allocate(most);
  char* end = utf8;
  for (const char c : text) end = base::WriteUtf8(static_cast<unsigned char>(c), end);
  const auto size = static_cast<size_t>(end - utf8);
  out_->arena_.GiveBack(most - size);
  return {utf8, size};
}

absl::Status IncidentParser::TakeAll(std::span<const FoundIncident> found,
                                     absl::string_view envelope, base::JsonReader& reader) {
  for (const FoundIncident& one : found) {
    whole_.Clear();
    if (one.plain) {
      whole_.NoteKey(KnownKey::kOther, {});
      whole_.SetText(one.details);
    } else if (absl::StartsWith(one.details, "{")) {
      reader.Return(one.place);
      if (!ReadDetails(reader, whole_)) return NotJson(reader.fault());
    }
    if (whole_.empty()) {
      whole_.NoteKey(KnownKey::kOther, {});
      whole_.SetText(out_->arena_.Copy(absl::StrCat("{\"value\":", one.details, "}")));
    }
    AddIncident(whole_, &one);
    if (envelope.empty()) continue;
    std::vector<absl::string_view>& slices = out_->slices_;
    slices.insert(slices.end() - 1,
                  {one.has_envelope ? ",\"envelope_of_request\":" : ",\"envelope\":", envelope});
  }
  return absl::OkStatus();
}

absl::Status IncidentParser::ParseText(absl::string_view body) {
  if (!body_.Open(body)) return NotJson(body_.fault());
  const char first = body_.Peek();
  if (first != '{' && first != '[') {
    return NotJson("the top level must be an object or an array of objects");
  }
  if (first == '{' && MostIncidents() == 0) return TooMany(1);
  const absl::Status status = first == '{' ? ParseIncident(kSingle) : ParseArray();
  if (!status.ok()) return status;
  return body_.Finish() ? absl::OkStatus() : NotJson(body_.fault());
}

absl::Status IncidentParser::ParseArray() {
  if (!body_.EnterArray()) return NotJson(body_.fault());
  const size_t most = MostIncidents();
  for (size_t incident = 0;; ++incident) {
    const base::JsonNext next = body_.NextItem();
    if (next == base::JsonNext::kFault) return NotJson(body_.fault());
    if (next == base::JsonNext::kEnd) return absl::OkStatus();
    if (incident >= most) return TooMany(incident + 1);
    if (absl::Status status = ParseIncident(incident); !status.ok()) return status;
  }
}

// Every incident stores the headers, so a small body with large headers could take much memory.
size_t IncidentParser::MostIncidents() const {
  return std::min(static_cast<size_t>(limits_.incidents_of_a_request),
                  static_cast<size_t>(limits_.stored_header_bytes) / header_bytes_);
}

absl::Status IncidentParser::TooMany(size_t count) const {
  if (count > static_cast<size_t>(limits_.incidents_of_a_request)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("A request may have ",
                     base::Counted(limits_.incidents_of_a_request, "incident", "incidents"),
                     " at most (incidents_of_a_request)"));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("Headers of ", header_bytes_, " bytes, stored with each of ",
                   base::Counted(count, "incident", "incidents"), " or more, are more than ",
                   limits_.stored_header_bytes, " bytes"));
}

absl::Status IncidentParser::ParseIncident(size_t incident) {
  if (body_.Peek() != '{') {
    return body_.SkipValue() ? NotJson(incident, "must be an object") : NotJson(body_.fault());
  }
  // A null counts as absent; the other members of such a value have no meaning.
  name_.kind = type_.kind = occurred_.kind = base::JsonKind::kNull;
  raw_json_.value.kind = older_raw_json_.value.kind = base::JsonKind::kNull;
  if (!ReadObject(body_, whole_, [this](KnownKey key) { return ReadMember(key); })) {
    return NotJson(body_.fault());
  }
  DetailsObject* details = nullptr;
  for (RawMember* const raw : {&raw_json_, &older_raw_json_}) {
    if (details != nullptr || base::CountsAsAbsent(raw->value)) continue;
    if (raw->value.kind != base::JsonKind::kObject) {
      if (absl::Status status = ReadRawString(*raw, incident); !status.ok()) return status;
    }
    if (!raw->object.empty()) details = &raw->object;
  }
  AddIncident(details != nullptr ? *details : whole_);
  return absl::OkStatus();
}

// RFC 8259 section 4 leaves repeated keys open. Here the last one counts, as in Python.
bool IncidentParser::ReadMember(KnownKey key) {
  if (!CountRenamed(key)) return false;
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

bool IncidentParser::ReadRaw(RawMember& raw) {
  if (body_.Peek() != '{') return body_.ReadValue(raw.value);
  if (!ReadDetails(body_, raw.object)) return false;
  raw.value.kind = base::JsonKind::kObject;
  raw.value.empty = raw.object.empty();
  return true;
}

bool IncidentParser::ReadDetails(base::JsonReader& reader, DetailsObject& object) {
  return ReadObject(reader, object,
                    [&](KnownKey key) { return CountRenamed(key) && reader.SkipValue(); });
}

// Each of them takes more memory than it has bytes in the body.
bool IncidentParser::CountRenamed(KnownKey key) {
  if (key < KnownKey::kHeaders) return true;
  too_many_renamed_ = may_be_renamed_ == 0;
  if (!too_many_renamed_) --may_be_renamed_;
  return !too_many_renamed_;
}

absl::Status IncidentParser::ReadRawString(RawMember& raw, size_t incident) {
  if (raw.value.kind != base::JsonKind::kString) {
    return NotJson(incident, absl::StrCat(raw.key, " must be an object"));
  }
  if (string_.Open(Unescaped(raw.value, base::LoneSurrogate::kKeepEscape)) &&
      ReadDetails(string_, raw.object) && string_.Finish()) {
    return absl::OkStatus();
  }
  return NotJson(incident,
                 absl::StrCat(raw.key, " must be an object; the text in it is not one (", "byte ",
                              string_.fault().byte, ": ", string_.fault().what, ")"));
}

// With the texts of `found`, or else those that were read last.
void IncidentParser::AddIncident(DetailsObject& details, const FoundIncident* found) {
  out_->sources_.push_back({out_->slices_.size(), out_->warnings_.size(), whole_.text()});
  ParsedIncident& incident = out_->incidents_.emplace_back();
  if (found != nullptr) {
    incident.name = Tidy(AsUtf8(found->name), true, "name", kDefaultIncidentName);
    incident.type = Tidy(AsUtf8(found->type), true, "type", incident_type_);
  } else {
    incident.name = Text(name_, "name", kDefaultIncidentName);
    incident.type = Text(type_, "type", incident_type_);
  }
  if (found != nullptr && !found->occurred.empty()) {
    incident.occurred = GivenTime(AsUtf8(found->occurred), /*is_number=*/false);
  } else if (found == nullptr && !base::CountsAsAbsent(occurred_)) {
    const bool is_text = occurred_.kind == base::JsonKind::kString;
    incident.occurred = GivenTime(is_text ? Unescaped(occurred_) : occurred_.text,
                                  occurred_.kind == base::JsonKind::kNumber);
  } else {
    incident.occurred = trigger_time_.empty() ? TriggerTime() : trigger_time_;
  }
  if (stored_headers_.beyond_ascii()) out_->warnings_.push_back(kHeadersBeyondAscii);
  details.AppendSlices(tail_, !defaults_->mirror_members.empty(), out_->arena_, out_->slices_);
}

// The vectors have stopped growing, so spans of them stay valid.
void IncidentParser::SetSpans() {
  const std::span<const absl::string_view> slices = out_->slices_;
  const std::span<const absl::string_view> warnings = out_->warnings_;
  size_t slices_end = slices.size();
  size_t warnings_end = warnings.size();
  for (size_t i = out_->incidents_.size(); i-- > 0;) {
    ParsedIncident& incident = out_->incidents_[i];
    const ParsedRequest::Source& source = out_->sources_[i];
    incident.details = slices.subspan(source.first_slice, slices_end - source.first_slice);
    incident.warnings = warnings.subspan(source.first_warning, warnings_end - source.first_warning);
    for (const absl::string_view slice : incident.details) incident.details_bytes += slice.size();
    slices_end = source.first_slice;
    warnings_end = source.first_warning;
  }
}

void IncidentParser::AddDeliveryKeys() {
  if (!key_finder_.has_value()) {
    // The headers that we add are nested two deep, even where the limit for the body is lower.
    key_finder_.emplace(static_cast<int>(std::max<int64_t>(limits_.json_depth, 2)),
                        static_cast<size_t>(limits_.delivery_key_bytes));
  }
  key_finder_->SetHeaders(tail_);
  for (size_t i = 0; i < out_->incidents_.size(); ++i) {
    ParsedIncident& incident = out_->incidents_[i];
    const auto own_details = incident.details.first(incident.details.size() - 1);
    const absl::string_view key = key_finder_->Find(*defaults_->duplication_key, own_details, i);
    if (key.empty()) continue;
    incident.delivery_key = out_->arena_.Copy(key);
    const auto hash = Sha256(out_->sources_[i].text);
    incident.content = out_->arena_.Copy({hash.data(), hash.size()});
  }
}

absl::string_view IncidentParser::Unescape(absl::string_view inside, base::LoneSurrogate lone) {
  char* const text = out_->arena_.Allocate(inside.size() + base::JsonReader::kPadding);
  const size_t size = base::JsonUnescape(inside, text, lone);
  out_->arena_.GiveBack(inside.size() - size);
  return {text, size};
}

absl::string_view IncidentParser::NoText(const char* what, absl::string_view otherwise) {
  Warn(absl::StrCat(what, " is no text, so the default is used"));
  return otherwise;
}

// Some readers would take it for the end.
absl::string_view IncidentParser::WithoutNul(absl::string_view text, const char* what) {
  Warn(absl::StrCat(what, " has a NUL, which became U+FFFD"));
  return out_->arena_.Copy(
      absl::StrReplaceAll(text, {{absl::string_view("\0", 1), "\xEF\xBF\xBD"}}));
}

absl::string_view IncidentParser::CutText(absl::string_view text, const char* what) {
  const absl::string_view kept =
      base::CutAtCharacter(text, static_cast<size_t>(limits_.name_bytes));
  Warn(absl::StrCat(what, " was cut to ", kept.size(), " of its ", text.size(), " bytes"));
  return kept;
}

absl::string_view IncidentParser::GivenTime(absl::string_view text, bool is_number) {
  text = absl::StripAsciiWhitespace(text);
  const std::optional<OccurredText> time =
      is_number ? OccurredOfUnixTime(text) : NormalizeOccurred(text);
  if (time.has_value()) return time->text() == text ? text : out_->arena_.Copy(time->text());
  if (text.empty()) return TriggerTime();  // blanks
  Warn(absl::StrCat(
      "occurred ", Quoted(text),
      " is neither a time of ISO-8601 nor Unix time, of the years 2 to 9999, so the time "
      "of the trigger is used"));
  return TriggerTime();
}

absl::string_view IncidentParser::TriggerTime() {
  if (trigger_time_.empty()) {
    trigger_time_ = out_->arena_.Copy(trigger_times_.Format(defaults_->trigger_time).text());
  }
  return trigger_time_;
}

}  // namespace webhook::core
