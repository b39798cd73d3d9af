#include "plugin/sources/evaluate.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"
#include "plugin/sources/body.h"

namespace webhook::sources {
namespace {

constexpr size_t kPadding = base::JsonReader::kPadding;
constexpr absl::string_view kNul("\0", 1);

// Stands for an id that only the store knows; told from other texts by its address.
constexpr char kIncidentId[] = "incident";

// The longest part of an escaped text, of `most` bytes or fewer, that does not end in an escape.
absl::string_view CutAtEscape(absl::string_view inside, size_t most) {
  size_t at = 0;
  while (at < inside.size()) {
    const size_t next = at + (inside[at] != '\\' ? 1 : inside[at + 1] == 'u' ? 6 : 2);
    if (next > most) break;
    at = next;
  }
  return inside.substr(0, at);
}

// The host and the path of an https URL without user or port; false for any other.
bool SplitHttps(absl::string_view url, absl::string_view& host, absl::string_view& path) {
  if (!absl::ConsumePrefix(&url, "https://")) return false;
  const size_t end = std::min(url.find_first_of("/?#"), url.size());
  host = url.substr(0, end);
  path = url.substr(end);
  path = path.substr(0, path.find_first_of("?#"));
  return !host.empty() && host.find_first_of("@:") == absl::string_view::npos;
}

// Calls each(part) for the parts of a list of signatures, without their blanks; without a
// separator, for the value as it is.
template <typename Each>
void EachOf(absl::string_view separator, absl::string_view value, const Each& each) {
  if (separator.empty()) return each(value);
  for (const absl::string_view part : absl::StrSplit(value, separator)) {
    each(base::WithoutBlanks(part));
  }
}

// Why an entry accepts nothing. Texts are made of it only when it is told.
struct Failure {
  // The later, the nearer the request came to be accepted.
  enum class Rank : uint8_t { kNothing, kNotConfigured, kMissing, kForm, kWrong };
  Rank rank = Rank::kNothing;
  int entry = -1;
  Step step = Step::kCredentials;
  const char* what = "no way to authenticate applies to this request";
  const Reference* reference = nullptr;
  std::string detail;
};

enum class Attempt : uint8_t { kRefused, kAccepted, kNeedsBody };

}  // namespace

struct Evaluator::Buffers {
  explicit Buffers(int max_depth)
      : reader(max_depth, /*lone_surrogates=*/true), other(max_depth, /*lone_surrogates=*/true) {}

  base::JsonReader reader;  // of the document
  base::JsonReader other;   // of JSON in a text
  FoundValues root, item, rule_root, rule_item;
  std::vector<absl::string_view> pieces, text_pieces;
  std::vector<absl::string_view> candidates, values;
  std::vector<std::string> signatures;
  Fields form;
  std::vector<core::FoundIncident> found;
  std::string incidents;  // of what cannot be found in the document
};

class Evaluator::Run {
 public:
  Run(Buffers& buffers, const Limits& limits, const Source& source, const Request& request,
      const Body* body, Result& result)
      : buffers_(buffers),
        limits_(limits),
        source_(source),
        profile_(source.profile()),
        request_(request),
        body_(body),
        result_(result),
        arena_(result.arena_) {
    buffers_.form.clear();  // of the request before
  }

  void Judge();

 private:
  using Entry = Source::Entry;
  using Rank = Failure::Rank;

  // Values.
  absl::string_view NameIn(const Reference& reference) const {
    return reference.from_config ? source_.ConfigValue(reference.name)
                                 : absl::string_view(reference.name);
  }
  // Most of what is looked for in an element is not there.
  std::optional<absl::string_view> Get(const Reference& reference) {
    if (!reference.is_in_document()) return GetOther(reference);
    const FoundValue* const found = Find(reference);
    return found == nullptr ? std::nullopt : JsonText(*found);
  }
  std::optional<absl::string_view> GetOther(const Reference& reference);
  std::optional<absl::string_view> Header(absl::string_view name);
  std::optional<absl::string_view> JsonText(const FoundValue& found);
  absl::string_view SortedForm();
  int CountOf(const Reference& reference);
  bool GetOnce(const Reference& reference, std::optional<absl::string_view>& value);
  const FoundValue* Find(const Reference& reference) const {
    const FoundValues* const values = reference.from == From::kItem ? item_ : root_;
    return values == nullptr ? nullptr : values->At(reference.slot);
  }
  bool Present(const Reference& reference);
  bool Holds(const Condition& condition);
  bool HoldsTest(const Condition::Test& test);
  absl::string_view Joined(std::span<const absl::string_view> pieces);
  bool AppendParts(const std::vector<Template::Part>& parts, std::vector<absl::string_view>& out);
  std::optional<absl::string_view> Apply(Function function, absl::string_view value);
  std::optional<absl::string_view> Text(const Template& one);
  absl::string_view FirstText(const std::vector<Template>& templates, bool whole);
  absl::string_view FirstOf(const std::vector<Reference>& references);

  // The body.
  bool Load(bool known);
  bool LoadText(absl::string_view text);
  bool ReadDocument(absl::string_view text);
  absl::string_view Keep(absl::string_view text);
  bool FailLoad(int status, Reason reason, std::string text);
  bool FailBody(const absl::Status& status);
  bool FailDecoded(const absl::Status& status, absl::string_view expected);
  bool Unwrap();

  // Who sends.
  bool Fail(Rank rank, const char* what, const Reference* reference = nullptr,
            std::string detail = "", Step step = Step::kCredentials);
  bool FailSignature(Rank rank, const char* what, const Reference& from, std::string detail = "") {
    return Fail(rank, what, &from, std::move(detail), Step::kSignature);
  }
  Attempt Authenticate();
  Attempt Try(const Entry& entry, int index);
  Attempt TryEach(const Entry& entry);
  Attempt TryOne(const Entry& entry);
  bool FindCandidates(const sources::Authenticate& what);
  bool CheckTime(const sources::Authenticate& what);
  Attempt CheckChecks(const sources::Authenticate& what);
  bool CheckToken(const Entry& entry);
  bool CheckJwt(const Entry& entry);
  Attempt CheckSignature(const Entry& entry);
  bool CheckCertificate(const sources::Authenticate& what, absl::string_view message);
  void SetReplay();

  // What becomes of it.
  bool ShakeHands(bool of_head, Attempt attempt);
  void AnswerHandshake(const Handshake& handshake);
  bool AppendAnswer(const AnswerBody& body, absl::string_view* fault);
  void Refuse(int status, Step step, Reason reason, std::string explanation);
  void RefuseCredentials(int status);
  void RefuseLoad();
  bool MakeEvents();
  void AddEvent(const IncidentsForm& form, std::optional<absl::string_view> type);
  void ApplyRules(Event& event);

  Buffers& buffers_;
  const Limits& limits_;
  const Source& source_;
  const Profile& profile_;
  const Request& request_;
  const Body* const body_;  // null: not there yet
  Result& result_;
  core::Arena& arena_;

  const FoundValues* root_ = nullptr;
  const FoundValues* item_ = nullptr;
  const Reference* header_reference_ = nullptr;
  std::optional<absl::string_view> header_;  // of it
  absl::string_view timestamp_, id_;
  bool bounded_ = false;  // texts are cut to kMostTextBytes
  bool was_cut_ = false;  // one was
  const Event* event_ = nullptr;
  bool loaded_ = false;
  bool load_failed_ = false;
  int load_status_ = 0;
  Reason load_reason_ = Reason::kNone;
  std::string load_text_;
  base::JsonKind document_kind_ = base::JsonKind::kNull;

  int trying_ = -1;
  Failure failure_;
  bool unread_ = false;  // an entry failed because the body could not be read
  absl::string_view accepted_secret_;
  bool replayable_ = false;     // the pieces are what was signed
  bool time_is_signed_ = true;  // of each element
  std::string each_signed_;
  size_t made_bytes_ = 0;
};

std::optional<absl::string_view> Evaluator::Run::Header(absl::string_view name) {
  if (name.empty()) return std::nullopt;
  const core::HeaderView* first = nullptr;
  std::string joined;
  for (const core::HeaderView& header : request_.headers) {
    if (!header.IsNamed(name)) continue;
    if (first == nullptr) {
      first = &header;
      continue;
    }
    if (joined.empty()) joined = std::string(base::WithoutBlanks(first->value));
    absl::StrAppend(&joined, ", ", base::WithoutBlanks(header.value));
  }
  if (first == nullptr) return std::nullopt;
  return joined.empty() ? base::WithoutBlanks(first->value) : arena_.Copy(joined);
}

std::optional<absl::string_view> Evaluator::Run::JsonText(const FoundValue& found) {
  const base::JsonValue& value = found.value;
  switch (value.kind) {
    case base::JsonKind::kNull:
      return std::nullopt;
    case base::JsonKind::kString: {
      absl::string_view inside = value.inside();
      if (!value.escaped) return inside;
      if (bounded_ && inside.size() > 6 * kMostTextBytes) {
        inside = CutAtEscape(inside, 6 * kMostTextBytes);
        was_cut_ = true;
      }
      char* const text = arena_.Allocate(inside.size());
      const size_t size = base::JsonUnescape(inside, text);
      arena_.GiveBack(inside.size() - size);
      return absl::string_view(text, size);
    }
    case base::JsonKind::kObject:
    case base::JsonKind::kArray:
      if (bounded_ && value.text.size() > kMostTextBytes) {
        was_cut_ = true;
        return std::nullopt;
      }
      return arena_.Copy(base::CompactJson(value.text));
    default:
      return value.text;
  }
}

absl::string_view Evaluator::Run::SortedForm() {
  std::set<std::pair<absl::string_view, absl::string_view>> sorted;
  for (const auto& [name, value] : buffers_.form) sorted.emplace(name, value);
  std::string text;
  for (const auto& [name, value] : sorted) absl::StrAppend(&text, name, value);
  return arena_.Copy(text);
}

std::optional<absl::string_view> Evaluator::Run::GetOther(const Reference& reference) {
  const auto full = [](absl::string_view text) {
    return text.empty() ? std::nullopt : std::optional<absl::string_view>(text);
  };
  switch (reference.from) {
    case From::kHeader:
    case From::kHeaderNumbers:
      // The templates of events ask for the same one again and again.
      if (header_reference_ != &reference) {
        header_ = Header(NameIn(reference));
        header_reference_ = &reference;
      }
      return header_;
    case From::kQuery: {
      const absl::string_view name = NameIn(reference);
      if (name.empty()) return std::nullopt;
      const FoundParameter found = FindParameter(request_.query, name);
      if (found.count == 0) return std::nullopt;
      return arena_.Copy(found.value);
    }
    case From::kForm:
      for (const auto& [name, value] : buffers_.form) {
        if (name == reference.name) return arena_.Copy(value);
      }
      return std::nullopt;
    case From::kConfig:
      return full(source_.ConfigValue(reference.name));
    case From::kMethod:
      return request_.method;
    case From::kBody:
      return body_ == nullptr ? std::nullopt : std::optional(body_->raw);
    case From::kUrl:
    case From::kUrlWithPort: {
      const std::string& url = reference.from == From::kUrl ? source_.url_ : source_.url_with_port_;
      if (url.empty() || request_.query.empty()) return full(url);
      return arena_.Copy(absl::StrCat(url, "?", request_.query));
    }
    case From::kTimestamp:
      return full(timestamp_);
    case From::kId:
      return full(id_);
    case From::kSortedForm:
      return SortedForm();
    case From::kIncidentId:
      return absl::string_view(kIncidentId, 0);
    case From::kEventName:
      return event_ == nullptr ? std::nullopt : full(event_->name);
    case From::kEventType:
      return event_ == nullptr ? std::nullopt : full(event_->type);
    case From::kEventSeverity:
      if (event_ == nullptr || !event_->severity.has_value()) return std::nullopt;
      return arena_.Copy(absl::StrCat(*event_->severity));
    default:
      return std::nullopt;
  }
}

// How often a value occurs that must occur once.
int Evaluator::Run::CountOf(const Reference& reference) {
  int count = 0;
  switch (reference.from) {
    case From::kHeader:
      for (const core::HeaderView& header : request_.headers) {
        count += header.IsNamed(NameIn(reference)) ? 1 : 0;
      }
      return count;
    case From::kQuery:
      return FindParameter(request_.query, NameIn(reference)).count;
    case From::kForm:
      for (const auto& [name, value] : buffers_.form) count += name == reference.name ? 1 : 0;
      return count;
    default:
      return 1;
  }
}

// False where there are several values of which one would have to count.
bool Evaluator::Run::GetOnce(const Reference& reference, std::optional<absl::string_view>& value) {
  if (CountOf(reference) > 1) return Fail(Rank::kWrong, "occurs more than once", &reference);
  value = Get(reference);
  return true;
}

bool Evaluator::Run::Present(const Reference& reference) {
  if (reference.is_in_document()) {
    const FoundValue* const found = Find(reference);
    if (found == nullptr || found->value.kind == base::JsonKind::kNull) return false;
    return found->value.kind != base::JsonKind::kString || !found->value.empty;
  }
  const std::optional<absl::string_view> text = Get(reference);
  return text.has_value() && !text->empty();
}

bool Evaluator::Run::HoldsTest(const Condition::Test& test) {
  using TestKind = Condition::Test::Kind;
  if (test.kind == TestKind::kPresent) return Present(test.reference);
  if (test.kind == TestKind::kAbsent) return !Present(test.reference);
  const std::optional<absl::string_view> text = Get(test.reference);
  if (!text.has_value()) return false;
  if (test.kind == TestKind::kPrefix) return absl::StartsWith(*text, test.texts[0]);
  if (test.kind == TestKind::kMatches) return test.pattern[0].Matches(*text);
  return std::find(test.texts.begin(), test.texts.end(), *text) != test.texts.end();
}

bool Evaluator::Run::Holds(const Condition& condition) {
  if (condition.alternatives.empty()) return true;
  return std::any_of(condition.alternatives.begin(), condition.alternatives.end(),
                     [&](const std::vector<Condition::Test>& tests) {
                       return std::all_of(tests.begin(), tests.end(),
                                          [&](const auto& test) { return HoldsTest(test); });
                     });
}

std::optional<absl::string_view> Evaluator::Run::Apply(Function function, absl::string_view value) {
  switch (function) {
    case Function::kHex:
      return arena_.Copy(absl::BytesToHexString(value));
    case Function::kBase64:
      return arena_.Copy(absl::Base64Escape(value));
    case Function::kSha256:
      return arena_.Copy(Digest(Hash::kSha256, std::span(&value, 1)));
    case Function::kCrc32:
      return arena_.Copy(
          absl::StrCat(crc32_z(0, reinterpret_cast<const Bytef*>(value.data()), value.size())));
    case Function::kLower:
      return arena_.Copy(absl::AsciiStrToLower(value));
    case Function::kHmacSha256:
      if (accepted_secret_.empty()) return std::nullopt;
      return arena_.Copy(Hmac(Hash::kSha256, accepted_secret_, std::span(&value, 1)));
  }
  return std::nullopt;
}

// Appends the texts, one after another; false where one is absent.
bool Evaluator::Run::AppendParts(const std::vector<Template::Part>& parts,
                                 std::vector<absl::string_view>& out) {
  using PartKind = Template::Part::Kind;
  for (const Template::Part& part : parts) {
    if (part.kind == PartKind::kText) {
      out.push_back(part.text);
      continue;
    }
    if (part.kind == PartKind::kGroup) {
      const size_t before = out.size();
      if (!AppendParts(part.group, out)) out.resize(before);
      continue;
    }
    std::optional<absl::string_view> value = Get(part.reference);
    if (!value.has_value() && part.reference.optional) value.emplace();
    for (const Function function : part.functions) {
      if (value.has_value()) value = Apply(function, *value);
      // Nor what is made of it.
      if (function == Function::kHmacSha256 && value.has_value() && request_.is_trial) {
        value = "<mac>";
        break;
      }
    }
    if (!value.has_value()) return false;
    out.push_back(*value);
  }
  return true;
}

absl::string_view Evaluator::Run::Joined(std::span<const absl::string_view> pieces) {
  if (pieces.size() == 1) return pieces[0];
  size_t size = 0;
  for (const absl::string_view piece : pieces) size += piece.size();
  char* const text = arena_.Allocate(size);
  char* end = text;
  for (const absl::string_view piece : pieces) end = core::TextBuffer::Write(piece, end);
  return {text, size};
}

std::optional<absl::string_view> Evaluator::Run::Text(const Template& one) {
  for (const uint32_t slot : one.needed) {
    if (item_ == nullptr || item_->At(slot) == nullptr) return std::nullopt;
  }
  std::vector<absl::string_view>& pieces = buffers_.text_pieces;
  pieces.clear();
  if (!AppendParts(one.parts, pieces)) return std::nullopt;
  if (bounded_) {
    size_t left = kMostTextBytes;
    for (absl::string_view& piece : pieces) {
      if (piece.size() > left) {
        piece = base::CutAtCharacter(piece, left);
        was_cut_ = true;
        left = piece.size();
      }
      left -= piece.size();
    }
  }
  return Joined(pieces);
}

// The first that is not empty. `whole`: one that is too long is none.
absl::string_view Evaluator::Run::FirstText(const std::vector<Template>& templates, bool whole) {
  bounded_ = true;
  absl::string_view found;
  for (const Template& one : templates) {
    was_cut_ = false;
    const std::optional<absl::string_view> text = Text(one);
    if (!text.has_value() || text->empty() || (whole && was_cut_)) continue;
    found = *text;
    break;
  }
  bounded_ = false;
  return found;
}

absl::string_view Evaluator::Run::FirstOf(const std::vector<Reference>& references) {
  for (const Reference& reference : references) {
    const std::optional<absl::string_view> text = Get(reference);
    if (text.has_value() && !text->empty()) return *text;
  }
  return {};
}

// ---- The body.

bool Evaluator::Run::FailLoad(int status, Reason reason, std::string text) {
  load_failed_ = true;
  load_status_ = status;
  load_reason_ = reason;
  load_text_ = std::move(text);
  return false;
}

bool Evaluator::Run::FailBody(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return FailLoad(413, Reason::kBodyTooLarge, std::string(status.message()));
    case absl::StatusCode::kUnimplemented:
      return FailLoad(415, Reason::kContentEncoding, std::string(status.message()));
    case absl::StatusCode::kUnavailable:
      return FailLoad(503, Reason::kMemory, std::string(status.message()));
    default:
      return FailLoad(400, Reason::kContentEncoding, std::string(status.message()));
  }
}

bool Evaluator::Run::FailDecoded(const absl::Status& status, absl::string_view expected) {
  if (absl::IsResourceExhausted(status)) return FailBody(status);
  const std::optional<absl::string_view> type = Header("content-type");
  return FailLoad(400, Reason::kMalformed,
                  absl::StrCat("The body (Content-Type: ", type.has_value() ? *type : "none",
                               ") is not ", expected, ": ", status.message()));
}

absl::string_view Evaluator::Run::Keep(absl::string_view text) {
  auto bytes = std::make_unique_for_overwrite<char[]>(text.size() + kPadding);
  if (!text.empty()) std::memcpy(bytes.get(), text.data(), text.size());
  std::memset(bytes.get() + text.size(), ' ', kPadding);
  result_.documents_.push_back(std::move(bytes));
  return {result_.documents_.back().get(), text.size()};
}

bool Evaluator::Run::ReadDocument(absl::string_view text) {
  base::JsonReader& reader = buffers_.reader;
  result_.document = text;
  if (absl::StripAsciiWhitespace(text).empty()) {
    buffers_.root.Clear(profile_.paths.slots());
    document_kind_ = base::JsonKind::kNull;
  } else if (!reader.Open(text) || !profile_.paths.Walk(reader, buffers_.root) ||
             !reader.Finish()) {
    return FailDecoded(absl::InvalidArgumentError(
                           absl::StrCat("byte ", reader.fault().byte, ": ", reader.fault().what)),
                       "JSON");
  } else {
    document_kind_ = buffers_.root.At(profile_.whole)->value.kind;
  }
  root_ = &buffers_.root;
  return true;
}

// Reads the body once. `known`: the sender is, so that the body may be large.
bool Evaluator::Run::Load(bool known) {
  if (loaded_ || (load_failed_ && !known)) return !load_failed_;
  const size_t most = known ? std::numeric_limits<size_t>::max() : kMostUnknownBytes;
  // Once the sender is known, it is read all the same.
  const auto wait = [&] {
    return FailLoad(413, Reason::kBodyTooLarge,
                    absl::StrCat("A body of more than ", kMostUnknownBytes,
                                 " bytes is not read before its sender is known"));
  };
  if (body_->raw.size() > most) return wait();
  const absl::StatusOr<absl::string_view> decoded = body_->decode(most);
  if (!known && absl::IsResourceExhausted(decoded.status())) return wait();
  loaded_ = true;
  if (!decoded.ok()) return FailBody(decoded.status());
  load_failed_ = false;
  return LoadText(*decoded);
}

bool Evaluator::Run::LoadText(absl::string_view text) {
  const std::optional<absl::string_view> header = Header("content-type");
  const absl::string_view content_type = header.value_or("");
  const std::string type = MediaType(content_type);
  Decoder decoder = profile_.other_type;
  for (const auto& [known, its] : profile_.types) {
    if (known == type) decoder = its;
  }
  const bool is_cloud_event_json =
      type == "application/cloudevents+json" || type == "application/cloudevents-batch+json";
  if (decoder == Decoder::kCloudEvents) {
    decoder = is_cloud_event_json ? Decoder::kJson : Decoder::kCloudEventsBinary;
  } else if (decoder == Decoder::kAuto) {
    decoder = type == "application/x-www-form-urlencoded" ? Decoder::kFormPayload
              : type == "multipart/form-data"             ? Decoder::kMultipart
              : type == "application/x-ndjson" || type == "application/jsonl" ||
                      type == "application/x-jsonlines"
                  ? Decoder::kJsonLines
              : !is_cloud_event_json && Header("ce-specversion").has_value()
                  ? Decoder::kCloudEventsBinary
                  : Decoder::kJson;
  }
  switch (decoder) {
    case Decoder::kRefuse: {
      std::string taken =
          absl::StrJoin(profile_.types, " or ",
                        [](std::string* out, const auto& one) { absl::StrAppend(out, one.first); });
      return FailLoad(
          415, Reason::kContentType,
          absl::StrCat("The Content-Type ", content_type.empty() ? "is missing" : "", content_type,
                       content_type.empty() ? "" : " is not taken", "; send ", taken));
    }
    case Decoder::kJsonLines: {
      if (absl::StripAsciiWhitespace(text).empty()) break;
      std::string array;
      absl::StatusOr<absl::string_view> json =
          ReadJsonLines(text, static_cast<int>(limits_.json_depth), &array);
      if (!json.ok()) return FailDecoded(json.status(), "JSON lines");
      text = array.empty() ? *json : Keep(array);
      break;
    }
    case Decoder::kForm:
    case Decoder::kFormPayload: {
      absl::StatusOr<Fields> form = ReadForm(text);
      if (!form.ok()) return FailDecoded(form.status(), "a form");
      buffers_.form = *std::move(form);
      const auto payload = std::find_if(buffers_.form.begin(), buffers_.form.end(),
                                        [](const auto& one) { return one.first == "payload"; });
      text = decoder == Decoder::kFormPayload && payload != buffers_.form.end()
                 ? Keep(payload->second)
                 : Keep(JsonOfFields(buffers_.form));
      break;
    }
    case Decoder::kCloudEventsBinary: {
      absl::StatusOr<std::string> event =
          JsonOfCloudEvent(request_.headers, text, static_cast<int>(limits_.json_depth));
      if (!event.ok()) return FailDecoded(event.status(), "a CloudEvent");
      text = Keep(*event);
      break;
    }
    case Decoder::kMultipart: {
      absl::StatusOr<absl::string_view> part = FindJsonPart(text, content_type);
      if (!part.ok()) return FailDecoded(part.status(), "multipart/form-data with JSON");
      text = *part;
      break;
    }
    default:
      break;
  }
  return ReadDocument(text);
}

// Texts that hold JSON become that JSON, in a copy of the document.
bool Evaluator::Run::Unwrap() {
  for (const sources::Unwrap& unwrap : profile_.unwrap) {
    const FoundValue* const found = buffers_.root.At(unwrap.slot);
    if (found == nullptr || found->value.kind != base::JsonKind::kString) continue;
    std::string text = base::TextOfString(found->value);
    if (unwrap.base64) {
      std::optional<std::string> bytes = DecodeBase64(text);
      text = bytes.has_value() ? *std::move(bytes) : "";
    }
    base::JsonReader& reader = buffers_.other;
    base::JsonValue inside;
    const bool good = reader.OpenCopy(text) && reader.ReadValue(inside) && reader.Finish() &&
                      (inside.kind == base::JsonKind::kObject ||
                       inside.kind == base::JsonKind::kArray || !unwrap.optional);
    if (!good) {
      if (unwrap.optional) continue;
      return FailDecoded(absl::InvalidArgumentError("the text that should hold it does not"),
                         "JSON in JSON");
    }
    const absl::string_view document = result_.document;
    const auto before = static_cast<size_t>(found->value.text.data() - document.data());
    const std::string copy = absl::StrCat(document.substr(0, before), inside.text,
                                          document.substr(before + found->value.text.size()));
    if (!ReadDocument(Keep(copy))) return false;
  }
  return true;
}

// ---- Who sends.

bool Evaluator::Run::Fail(Rank rank, const char* what, const Reference* reference,
                          std::string detail, Step step) {
  if (rank >= failure_.rank) {
    failure_ = {rank, trying_, step, what, reference, std::move(detail)};
  }
  return false;
}

// The signatures or tokens that were sent; false where there are none, or one came twice.
bool Evaluator::Run::FindCandidates(const sources::Authenticate& what) {
  std::vector<absl::string_view>& values = buffers_.values;
  std::vector<absl::string_view>& candidates = buffers_.candidates;
  values.clear();
  candidates.clear();
  for (const Reference& from : what.from) {
    if (from.from == From::kHeaderNumbers) {
      for (const core::HeaderView& header : request_.headers) {
        if (!absl::StartsWithIgnoreCase(header.name, from.name)) continue;
        const absl::string_view number = header.name.substr(from.name.size());
        if (number.empty() || number.size() > 3 ||
            !std::all_of(number.begin(), number.end(), base::IsDigit)) {
          continue;
        }
        for (const core::HeaderView& other : request_.headers) {
          if (&other != &header && other.IsNamed(header.name)) {
            return Fail(Rank::kWrong, "occurs more than once", &from);
          }
        }
        values.push_back(base::WithoutBlanks(header.value));
      }
      continue;
    }
    std::optional<absl::string_view> value;
    if (!GetOnce(from, value)) return false;
    if (value.has_value()) values.push_back(*value);
  }
  if (values.empty()) return Fail(Rank::kMissing, "is missing", &what.from[0]);
  const bool is_public_key = what.kind == Kind::kEd25519 || what.kind == Kind::kEcdsaP256 ||
                             what.kind == Kind::kCertificate;
  const size_t most = is_public_key ? kMostPublicKeyCandidates : kMostCandidates;
  for (const absl::string_view value : values) {
    EachOf(what.list, value, [&](absl::string_view part) {
      if (absl::ConsumePrefix(&part, what.prefix) && candidates.size() < most) {
        candidates.push_back(part);
      }
    });
  }
  if (candidates.empty()) {
    return Fail(Rank::kForm, "has nothing that begins with", &what.from[0], what.prefix);
  }
  return true;
}

bool Evaluator::Run::CheckTime(const sources::Authenticate& what) {
  const sources::Timestamp& time = *what.timestamp;
  std::optional<absl::string_view> text;
  const Reference* reference = nullptr;
  for (const Reference& from : time.from) {
    reference = &from;
    if (from.from == From::kEntry) {
      int count = 0;
      for (const absl::string_view value : buffers_.values) {
        EachOf(what.list, value, [&](absl::string_view part) {
          if (absl::ConsumePrefix(&part, from.name)) text = part, ++count;
        });
      }
      if (count > 1) return Fail(Rank::kWrong, "occurs more than once", &from);
    } else if (!GetOnce(from, text)) {
      return false;
    }
    if (text.has_value() && !text->empty()) break;
  }
  if (!text.has_value() || text->empty()) {
    return Fail(Rank::kForm, "is missing, or empty; it has the time", reference);
  }
  const std::optional<absl::Time> at = ReadTime(*text, time.form);
  if (!at.has_value()) {
    return Fail(Rank::kForm, "is no time of the form that is signed", reference);
  }
  timestamp_ = *text;
  time_is_signed_ =
      time_is_signed_ && static_cast<size_t>(reference - time.from.data()) < time.signed_count;
  const absl::Duration apart = request_.now - *at;
  if (absl::AbsDuration(apart) > time.tolerance) {
    return Fail(
        Rank::kWrong, "is", reference,
        absl::StrCat(absl::FormatDuration(absl::Trunc(absl::AbsDuration(apart), absl::Seconds(1))),
                     apart > absl::ZeroDuration() ? " behind" : " ahead of",
                     " this host's clock, and ", absl::FormatDuration(time.tolerance),
                     " are permitted"),
        Step::kSignature);
  }
  return true;
}

// Those that can be checked: with the head alone, those that the head tells.
Attempt Evaluator::Run::CheckChecks(const sources::Authenticate& what) {
  Attempt attempt = Attempt::kAccepted;
  for (const auto& [reference, expected] : what.checks) {
    const bool needs_body =
        reference.needs_body() || expected.Any([](const Reference& r) { return r.needs_body(); });
    if (needs_body && body_ == nullptr) {
      attempt = Attempt::kNeedsBody;
      continue;
    }
    const std::optional<absl::string_view> value = Get(reference);
    const std::optional<absl::string_view> wanted = Text(expected);
    if (!value.has_value() || !wanted.has_value() || !EqualInConstantTime(*value, *wanted)) {
      return Fail(Rank::kWrong, "is not what it must be", &reference), Attempt::kRefused;
    }
  }
  return attempt;
}

// All pairs are compared, whichever is right.
bool Evaluator::Run::CheckToken(const Entry& entry) {
  const Source::Key* found = nullptr;
  for (const Source::Key& key : entry.keys) {
    bool same = false;
    for (const absl::string_view candidate : buffers_.candidates) {
      same |= EqualInConstantTime(candidate, key.secret.text);
    }
    if (same && request_.now < key.secret.expires && found == nullptr) found = &key;
  }
  if (found == nullptr) {
    return Fail(Rank::kWrong, "equals no secret that is set", &entry.what->from[0]);
  }
  result_.secret = found->number;
  return true;
}

bool Evaluator::Run::CheckJwt(const Entry& entry) {
  const sources::Authenticate& what = *entry.what;
  const std::optional<absl::string_view> audience = Text(*what.audience);
  std::vector<Claim> claims;
  for (const auto& [name, wanted] : what.claims) {
    const std::optional<absl::string_view> text = Text(wanted);
    if (!text.has_value() || text->empty()) {
      return Fail(Rank::kNotConfigured, "cannot be checked without the claim", &what.from[0], name);
    }
    claims.push_back({name, *text});
  }
  if (buffers_.candidates.size() != 1 || !audience.has_value() || audience->empty()) {
    return Fail(Rank::kNotConfigured, "cannot be checked without an audience", &what.from[0]);
  }
  const absl::Status status = source_.settings_.jwks->Verify(buffers_.candidates[0], what.issuers,
                                                             *audience, request_.now, claims);
  if (status.ok()) return true;
  return FailSignature(Rank::kWrong, "is refused:", what.from[0], std::string(status.message()));
}

bool Evaluator::Run::CheckCertificate(const sources::Authenticate& what,
                                      absl::string_view message) {
  const absl::string_view url = FirstOf(what.certificate_url);
  absl::string_view host, path;
  if (!SplitHttps(url, host, path) || !what.certificate_host[0].Matches(host) ||
      !what.certificate_path[0].Matches(path)) {
    return FailSignature(Rank::kWrong, "is no URL of this sender's certificates",
                         what.certificate_url[0]);
  }
  Hash hash = what.hash;
  if (!what.hash_map.empty()) {
    const absl::string_view word = FirstOf(what.hash_from);
    const auto found = std::find_if(what.hash_map.begin(), what.hash_map.end(),
                                    [&](const auto& one) { return one.first == word; });
    if (found == what.hash_map.end()) {
      return FailSignature(Rank::kWrong, "names no known hash", what.hash_from[0]);
    }
    hash = found->second;
  }
  absl::Status status = absl::UnauthenticatedError("there is none");
  for (const std::string& signature : buffers_.signatures) {
    status = source_.settings_.certificates->Verify(url, hash, message, signature, request_.now);
    if (status.ok()) return true;
  }
  return FailSignature(Rank::kWrong, "is refused:", what.from[0], std::string(status.message()));
}

// All pairs of signature and secret are computed, whichever is right.
Attempt Evaluator::Run::CheckSignature(const Entry& entry) {
  const sources::Authenticate& what = *entry.what;
  std::vector<absl::string_view>& pieces = buffers_.pieces;
  buffers_.signatures.clear();
  for (const absl::string_view candidate : buffers_.candidates) {
    std::optional<std::string> bytes =
        what.encoding == Encoding::kHex ? DecodeHex(candidate) : DecodeBase64(candidate);
    if (bytes.has_value() && !bytes->empty()) buffers_.signatures.push_back(*std::move(bytes));
  }
  if (buffers_.signatures.empty()) {
    FailSignature(Rank::kForm,
                  what.encoding == Encoding::kHex ? "is not in hexadecimal" : "is not in base64",
                  what.from[0]);
    return Attempt::kRefused;
  }
  const Source::Key* found = nullptr;
  bool accepted = false;
  const Template* accepted_template = nullptr;
  const Template* rendered = nullptr;
  for (const Template& one : what.is_signed) {
    pieces.clear();
    rendered = nullptr;
    if (!AppendParts(one.parts, pieces)) continue;
    rendered = &one;
    if (what.kind == Kind::kCertificate) {
      if (!accepted && CheckCertificate(what, Joined(pieces))) {
        accepted = true;
        accepted_template = &one;
      }
      continue;
    }
    const absl::string_view message =
        what.kind == Kind::kHmac ? absl::string_view() : Joined(pieces);
    for (const Source::Key& key : entry.keys) {
      const std::string mac =
          what.kind == Kind::kHmac ? Hmac(what.hash, key.secret.text, pieces) : std::string();
      bool same = false;
      for (const std::string& signature : buffers_.signatures) {
        same |= what.kind == Kind::kHmac ? EqualInConstantTime(mac, signature)
                : what.kind == Kind::kEd25519
                    ? VerifyEd25519(key.secret.text, message, signature)
                    : VerifyEcdsaP256(key.secret.text, message, signature);
      }
      if (same && request_.now < key.secret.expires && !accepted) {
        accepted = true;
        found = &key;
        accepted_template = &one;
      }
    }
  }
  if (!accepted) {
    if (what.kind != Kind::kCertificate) {
      FailSignature(Rank::kWrong, "was made with another secret, or over other bytes than came",
                    what.from[0]);
    } else if (rendered == nullptr) {
      FailSignature(Rank::kForm, "signs something that is not there", what.from[0]);
    }
    return Attempt::kRefused;
  }
  if (accepted_template != rendered) {
    pieces.clear();
    AppendParts(accepted_template->parts, pieces);
  }
  if (found != nullptr) {
    result_.secret = found->number;
    const auto named = source_.settings_.named_secrets.find(what.secret);
    const std::vector<Secret>& secrets = named == source_.settings_.named_secrets.end()
                                             ? source_.settings_.signing_secrets
                                             : named->second;
    accepted_secret_ = secrets[static_cast<size_t>(found->number) - 1].text;
  }
  return Attempt::kAccepted;
}

// One signature or token: of the request, or of an element.
Attempt Evaluator::Run::TryOne(const Entry& entry) {
  const sources::Authenticate& what = *entry.what;
  if (!FindCandidates(what)) return Attempt::kRefused;
  if (what.kind == Kind::kToken) {
    const Attempt checks = CheckChecks(what);
    return checks != Attempt::kRefused && CheckToken(entry) ? checks : Attempt::kRefused;
  }
  if (what.kind == Kind::kJwt) return CheckJwt(entry) ? Attempt::kAccepted : Attempt::kRefused;
  if (what.id.has_value()) {
    if (what.id->needs_body() && body_ == nullptr) return Attempt::kNeedsBody;
    std::optional<absl::string_view> id;
    if (!GetOnce(*what.id, id)) return Attempt::kRefused;
    if (!id.has_value() || id->empty()) {
      return Fail(Rank::kForm, "is missing, which is signed too", &*what.id), Attempt::kRefused;
    }
    id_ = *id;
  }
  // A time in the body that is not signed apart can wait until the body is known to be the
  // sender's.
  bool late_time = false;
  if (what.timestamp.has_value()) {
    const auto& from = what.timestamp->from;
    const bool in_body =
        std::any_of(from.begin(), from.end(), [](const Reference& r) { return r.needs_body(); });
    late_time = in_body && !what.needs_parsing() &&
                std::none_of(what.is_signed.begin(), what.is_signed.end(), [](const Template& t) {
                  return t.Any([](const Reference& r) { return r.from == From::kTimestamp; });
                });
    if (in_body && body_ == nullptr) return Attempt::kNeedsBody;
    if (in_body && !late_time && !Load(false)) return unread_ = true, Attempt::kRefused;
    if (!late_time && !CheckTime(what)) return Attempt::kRefused;
  }
  if (CheckChecks(what) == Attempt::kRefused) return Attempt::kRefused;
  if (body_ == nullptr) return Attempt::kNeedsBody;
  const Attempt attempt = CheckSignature(entry);
  if (attempt != Attempt::kAccepted) return attempt;
  if (late_time) {
    if (!Load(true)) return unread_ = true, Attempt::kRefused;
    if (!CheckTime(what)) return Attempt::kRefused;
  }
  return Attempt::kAccepted;
}

// Every element of an array in the body must pass.
Attempt Evaluator::Run::TryEach(const Entry& entry) {
  const FoundValue* const array = buffers_.root.At(*entry.what->each);
  if (array == nullptr || array->value.kind != base::JsonKind::kArray || array->value.empty) {
    return Fail(Rank::kMissing, "the body has no elements to authenticate"), Attempt::kRefused;
  }
  base::JsonReader& reader = buffers_.reader;
  reader.Return(array->place);
  each_signed_.clear();
  Attempt attempt = Attempt::kAccepted;
  size_t count = 0;
  reader.EachItem([&] {
    if (!profile_.paths.Walk(reader, buffers_.item)) return false;
    item_ = &buffers_.item;
    attempt = ++count > static_cast<size_t>(limits_.incidents_of_a_request) ? Attempt::kRefused
                                                                            : TryOne(entry);
    if (attempt != Attempt::kAccepted) return false;
    if (count > 1) each_signed_.push_back('\0');
    if (!entry.what->is_signed.empty()) {
      for (const absl::string_view piece : buffers_.pieces) absl::StrAppend(&each_signed_, piece);
    }
    return true;
  });
  item_ = nullptr;
  if (attempt == Attempt::kAccepted) buffers_.pieces.assign(1, each_signed_);
  return attempt;
}

Attempt Evaluator::Run::Try(const Entry& entry, int index) {
  const sources::Authenticate& what = *entry.what;
  trying_ = index;
  // Nothing of an entry that was tried before.
  result_.secret = 0;
  accepted_secret_ = {};
  time_is_signed_ = true;
  if (!entry.can_accept) {
    Fail(Rank::kNotConfigured, what.kind == Kind::kBasic
                                   ? "needs username and password, and no signing_secrets"
                               : what.kind == Kind::kCertificate ? "needs certificates_file"
                               : what.kind == Kind::kJwt         ? "needs jwks_file"
                                                                 : "no secret of its form is set");
    return Attempt::kRefused;
  }
  if (what.when.has_value()) {
    if (what.when->needs_body()) {
      if (body_ == nullptr) return Attempt::kNeedsBody;
      if (!Load(false)) return unread_ = true, Attempt::kRefused;
    }
    if (!Holds(*what.when)) return Attempt::kRefused;
  }
  Attempt attempt;
  if (what.kind == Kind::kBasic) {
    const core::CredentialCheck check =
        source_.settings_.credentials->Check(request_.headers, request_.query, request_.now);
    attempt = check == core::CredentialCheck::kAccepted ? Attempt::kAccepted : Attempt::kRefused;
    static const Reference kAuthorization{.from = From::kHeader, .name = "Authorization"};
    if (attempt == Attempt::kRefused) {
      const bool missing = check == core::CredentialCheck::kMissing;
      Fail(missing ? Rank::kMissing : Rank::kWrong,
           missing                                     ? "is missing"
           : check == core::CredentialCheck::kRepeated ? "occurs more than once"
                                                       : "has not the username and password",
           &kAuthorization);
    }
  } else {
    const bool head_tells = std::none_of(what.from.begin(), what.from.end(),
                                         [](const Reference& r) { return r.needs_body(); });
    if (what.needs_parsing() && body_ != nullptr) {
      // What the head tells first: a stranger's body is not read.
      if (head_tells && !what.each.has_value() && !FindCandidates(what)) return Attempt::kRefused;
      if (!Load(false)) return unread_ = true, Attempt::kRefused;
    } else if (body_ == nullptr && (what.each.has_value() || !head_tells)) {
      return Attempt::kNeedsBody;
    }
    attempt = what.each.has_value() ? TryEach(entry) : TryOne(entry);
  }
  if (attempt != Attempt::kAccepted) return attempt;
  result_.entry = index;
  result_.kind = what.kind;
  result_.has_signed_time = what.timestamp.has_value() && time_is_signed_;
  replayable_ = !what.is_signed.empty();
  return attempt;
}

Attempt Evaluator::Run::Authenticate() {
  if (source_.settings_.unauthenticated && !source_.can_authenticate()) return Attempt::kAccepted;
  Attempt attempt = Attempt::kRefused;
  for (size_t i = 0; i < source_.entries_.size(); ++i) {
    const Attempt one = Try(source_.entries_[i], static_cast<int>(i));
    if (one == Attempt::kAccepted) return one;
    if (one == Attempt::kNeedsBody) attempt = one;
  }
  return attempt;
}

// Within a signed time, a delivery that is signed tells as much.
//
// A request is its own replay whatever the spelling of its signature, and whichever secret or entry
// it was verified with: what was signed is hashed, not what it was signed with.
void Evaluator::Run::SetReplay() {
  if (!replayable_ || !source_.settings_.replay_check) return;
  if (result_.has_signed_time && !result_.delivery.empty() &&
      profile_.authenticate[static_cast<size_t>(result_.entry)].signs_delivery) {
    return;
  }
  std::vector<absl::string_view>& pieces = buffers_.text_pieces;
  pieces.assign({absl::string_view(profile_.name), kNul});
  pieces.insert(pieces.end(), buffers_.pieces.begin(), buffers_.pieces.end());
  const std::string digest = Digest(Hash::kSha256, pieces);
  std::copy_n(digest.begin(), 32, result_.replay.emplace().begin());
}

// ---- What becomes of it.

void Evaluator::Run::Refuse(int status, Step step, Reason reason, std::string explanation) {
  result_.outcome = Outcome::kRefuse;
  result_.step = step;
  result_.reason = reason;
  result_.answer.status = status;
  result_.explanation = std::move(explanation);
}

void Evaluator::Run::RefuseCredentials(int status) {
  // A body that was not read excuses nobody whose credentials are wrong.
  if (unread_ && load_failed_ && failure_.rank != Rank::kWrong) return RefuseLoad();
  std::string text;
  if (failure_.entry >= 0) {
    const Kind kind = profile_.authenticate[static_cast<size_t>(failure_.entry)].kind;
    text = absl::StrCat("authenticate[", failure_.entry, "] (", NameOf(kind), "): ");
  }
  if (failure_.reference != nullptr) {
    Reference named = *failure_.reference;
    if (named.from_config) named.name = std::string(NameIn(named));
    absl::StrAppend(&text, named.Shown(), " ");
  }
  absl::StrAppend(&text, failure_.what, failure_.detail.empty() ? "" : " ", failure_.detail);
  Refuse(status, failure_.step, Reason::kCredentials, std::move(text));
}

void Evaluator::Run::RefuseLoad() {
  Refuse(load_status_, Step::kBody, load_reason_, load_text_);
  result_.message = load_text_;
}

// Writes a text or a JSON text with templates in it; false where a value may not be echoed.
bool Evaluator::Run::AppendAnswer(const AnswerBody& body, absl::string_view* fault) {
  const bool is_json = body.kind == AnswerBody::Kind::kJson;
  std::string& out = result_.answer.body;
  for (const AnswerBody::Piece& piece : body.pieces) {
    absl::StrAppend(&out, piece.literal);
    if (!piece.text.has_value()) continue;
    std::vector<absl::string_view>& pieces = buffers_.text_pieces;
    pieces.clear();
    if (!AppendParts(piece.text->parts, pieces)) {
      if (is_json) absl::StrAppend(&out, "null");
      continue;
    }
    size_t size = 0;
    if (is_json) out.push_back('"');
    for (const absl::string_view text : pieces) {
      size += text.size();
      if (text.data() == kIncidentId) {
        result_.answer.incident_id_at.insert(result_.answer.incident_id_at.begin(), out.size());
      } else if (size > kMostTextBytes ||
                 std::any_of(text.begin(), text.end(), absl::ascii_iscntrl) ||
                 !base::IsUtf8(text)) {
        *fault = "what must be answered is longer than 4 KiB, or has control characters";
        return false;
      } else if (is_json) {
        std::string quoted;
        base::AppendJsonString(&quoted, text);
        out.append(quoted, 1, quoted.size() - 2);
      } else {
        absl::StrAppend(&out, text);
      }
    }
    if (is_json) out.push_back('"');
  }
  if (body.kind == AnswerBody::Kind::kText || is_json) {
    result_.answer.headers.emplace_back("Content-Type",
                                        is_json ? "application/json" : "text/plain; charset=utf-8");
  }
  return true;
}

void Evaluator::Run::AnswerHandshake(const Handshake& handshake) {
  result_.outcome = Outcome::kHandshake;
  result_.step = Step::kHandshake;
  result_.answer.status = handshake.status;
  absl::string_view fault;
  bool good = AppendAnswer(handshake.body, &fault);
  for (const auto& [name, value] : handshake.headers) {
    const std::optional<absl::string_view> text = Text(value);
    if (!text.has_value()) continue;
    if (!base::IsFieldValue(*text) || text->size() > kMostTextBytes) {
      good = false;
      fault = "what must be answered is no value of a header";
      break;
    }
    result_.answer.headers.emplace_back(name, *text);
  }
  if (!good) {
    result_.answer = {};
    Refuse(400, Step::kHandshake, Reason::kMalformed, std::string(fault));
    result_.message = result_.explanation;
    return;
  }
  // What is echoed must not be taken for anything else, nor be kept.
  if (handshake.body.kind == AnswerBody::Kind::kText) {
    result_.answer.headers.emplace_back("X-Content-Type-Options", "nosniff");
    result_.answer.headers.emplace_back("Cache-Control", "no-store");
  }
  // A stranger's text is shown only while nobody can be known.
  if (handshake.auth != Handshake::Auth::kNone || !source_.can_authenticate()) {
    bounded_ = true;
    result_.show = std::string(base::CutAtCharacter(FirstOf(handshake.show), kMostTextBytes));
    bounded_ = false;
  }
}

// Whether a handshake has decided. `of_head`: those whose condition the head alone tells; the
// others come after `attempt`.
bool Evaluator::Run::ShakeHands(bool of_head, Attempt attempt) {
  for (size_t i = 0; i < profile_.handshakes.size(); ++i) {
    const Handshake& handshake = profile_.handshakes[i];
    if (handshake.when.needs_body() == of_head) continue;
    if (!of_head) {
      const bool known = attempt == Attempt::kAccepted;
      if (!known && handshake.auth == Handshake::Auth::kSame) continue;
      if (!Load(known)) {
        if (known) return RefuseLoad(), true;
        continue;
      }
    }
    if (!Holds(handshake.when)) continue;
    if (handshake.auth == Handshake::Auth::kNone) return AnswerHandshake(handshake), true;
    if (of_head || handshake.auth == Handshake::Auth::kOwn) {
      attempt = handshake.auth == Handshake::Auth::kSame ? Authenticate()
                                                         : Try(*source_.handshake_entries_[i], -1);
    }
    if (attempt == Attempt::kNeedsBody) return true;  // and decides nothing
    if (attempt == Attempt::kRefused) return RefuseCredentials(handshake.refused), true;
    return AnswerHandshake(handshake), true;
  }
  return false;
}

void Evaluator::Run::ApplyRules(Event& event) {
  const Rules& rules = *source_.settings_.rules;
  const auto* const root = std::exchange(root_, &buffers_.rule_root);
  const auto* const item = std::exchange(item_, &buffers_.rule_item);
  event_ = &event;
  bounded_ = true;
  for (size_t i = 0; i < rules.rules.size(); ++i) {
    const Rule& rule = rules.rules[i];
    if (!Holds(rule.when)) continue;
    event.rule = static_cast<int>(i);
    ++result_.rule_counts[i];
    event.dropped = rule.action == Rule::Do::kDrop;
    event.set = rule.action == Rule::Do::kSet;
    if (rule.name.has_value()) event.name = *rule.name;
    if (rule.type.has_value()) event.type = *rule.type;
    if (rule.severity.has_value()) event.severity = rule.severity;
    break;
  }
  bounded_ = false;
  event_ = nullptr;
  root_ = root;
  item_ = item;
}

// `type`, where it is the same for all.
void Evaluator::Run::AddEvent(const IncidentsForm& form, std::optional<absl::string_view> type) {
  Event& event = result_.events.emplace_back();
  const FoundValue& element = *item_->At(profile_.whole);
  event.element = event.details = element.value.text;
  event.place = element.place;
  event.plain = element.plain;
  event.name = FirstText(form.name, /*whole=*/false);
  if (event.name.empty() && !form.documented) event.name = profile_.title;
  event.type = type.has_value() ? *type : FirstText(form.type, /*whole=*/false);
  event.delivery = FirstText(form.delivery, /*whole=*/true);
  bounded_ = true;
  for (const Occurred& one : form.occurred) {
    const std::optional<absl::string_view> text = Get(one.from);
    if (!text.has_value() || text->empty() || text->size() > kMostTextBytes) continue;
    if (!one.form.has_value()) {
      event.occurred = *text;
      break;
    }
    const std::optional<absl::Time> time = ReadTime(*text, *one.form);
    if (!time.has_value() || *time >= absl::FromUnixSeconds(253'402'300'800)) continue;
    event.occurred =
        arena_.Copy(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", *time, absl::UTCTimeZone()));
    break;
  }
  if (form.severity.has_value()) {
    const absl::string_view word = FirstOf(form.severity->from);
    event.severity = form.severity->otherwise;
    for (const auto& [text, severity] : form.severity->map) {
      if (text == word) event.severity = severity;
    }
  }
  bounded_ = false;
  bool is_element = true;
  for (const Reference& one : form.details) {
    const FoundValue* const found = Find(one);
    if (found == nullptr || base::CountsAsAbsent(found->value)) continue;
    event.details = found->value.text;
    event.place = found->place;
    event.plain = found->plain;
    is_element = one.from == From::kItem && one.slot == profile_.whole;
    break;
  }
  event.has_envelope = is_element && item_->At(profile_.envelope) != nullptr;
  made_bytes_ += event.name.size() + event.type.size() + event.occurred.size() +
                 event.delivery.size() + event.details.size() + result_.envelope.size();
}

// The document without the member that is split.
std::string WithoutMember(const FoundValue& whole, const FoundValue& member) {
  const absl::string_view text = whole.value.text;
  const auto at = [&](const char* place) { return static_cast<size_t>(place - text.data()); };
  size_t begin = at(member.key);
  size_t end = at(member.value.text.data()) + member.value.text.size();
  while (absl::ascii_isspace(text[end])) ++end;
  if (text[end] == ',') {
    ++end;
  } else {
    while (absl::ascii_isspace(text[begin - 1])) --begin;
    if (text[begin - 1] == ',') --begin;
  }
  return absl::StrCat(text.substr(0, begin), text.substr(end));
}

bool Evaluator::Run::MakeEvents() {
  const auto form = std::find_if(
      profile_.incidents.begin(), profile_.incidents.end(),
      [&](const IncidentsForm& one) { return !one.when.has_value() || Holds(*one.when); });
  const Rules* const rules = source_.settings_.rules.get();
  if (rules != nullptr) result_.rule_counts.assign(rules->rules.size(), 0);
  if (form == profile_.incidents.end() || !form->keep) return true;
  result_.documented = form->documented;
  base::JsonReader& reader = buffers_.reader;
  const FoundValue& whole = *buffers_.root.At(profile_.whole);
  const FoundValue* split = &whole;
  const FoundValue* const each = form->each.has_value() ? buffers_.root.At(*form->each) : nullptr;
  if (each != nullptr && each->value.kind != base::JsonKind::kNull) {
    split = each;
    if (split->key != nullptr && whole.value.kind == base::JsonKind::kObject) {
      result_.envelope = WithoutMember(whole, *split);
    }
  }
  if (rules != nullptr && rules->paths.slots() > 0) {
    reader.Return(whole.place);
    rules->paths.Walk(reader, buffers_.rule_root);
  }
  const size_t most = static_cast<size_t>(limits_.incidents_of_a_request);
  const size_t most_bytes = static_cast<size_t>(limits_.expanded_body_bytes) * 2;
  const bool types_differ =
      std::any_of(form->type.begin(), form->type.end(), [](const Template& one) {
        return one.Any([](const Reference& value) { return value.from == From::kItem; });
      });
  std::optional<absl::string_view> type;
  if (!types_differ) type = FirstText(form->type, /*whole=*/false);
  const auto add = [&] {
    AddEvent(*form, type);
    if (rules == nullptr) return;
    if (rules->paths.slots() > 0) {
      reader.Return(item_->At(profile_.whole)->place);
      rules->paths.Walk(reader, buffers_.rule_item);
    }
    ApplyRules(result_.events.back());
  };
  // The body is what core::IncidentParser reads: nothing is to be added.
  if (form->documented && rules == nullptr) return true;
  if (split->value.kind != base::JsonKind::kArray) {
    const bool is_whole = split->value.text.data() == whole.value.text.data();
    item_ = &buffers_.root;
    if (!is_whole) {
      reader.Return(split->place);
      profile_.paths.Walk(reader, buffers_.item);
      item_ = &buffers_.item;
    }
    add();
  } else {
    reader.Return(split->place);
    const bool all = reader.EachItem([&] {
      if (result_.events.size() == most || made_bytes_ > most_bytes) return false;
      if (!profile_.paths.Walk(reader, buffers_.item)) return false;
      item_ = &buffers_.item;
      add();
      return true;
    });
    if (made_bytes_ > most_bytes) {
      Refuse(413, Step::kIncidents, Reason::kBodyTooLarge,
             absl::StrCat("The events and their envelopes have more than ", most_bytes, " bytes"));
    } else if (!all) {
      Refuse(
          413, Step::kIncidents, Reason::kTooManyIncidents,
          absl::StrCat("A request may have ", most, " incidents at most (incidents_of_a_request)"));
    }
    result_.message = result_.explanation;
    if (result_.outcome == Outcome::kRefuse) return false;
  }
  item_ = nullptr;
  return true;
}

void Evaluator::Run::Judge() {
  if (ShakeHands(/*of_head=*/true, Attempt::kRefused)) {
    if (result_.outcome == Outcome::kContinue && body_ != nullptr) {
      Refuse(401, Step::kCredentials, Reason::kCredentials, "the handshake is not authentic");
    }
    return;
  }
  if (std::find(profile_.methods.begin(), profile_.methods.end(), request_.method) ==
      profile_.methods.end()) {
    result_.answer.headers.emplace_back("Allow", absl::StrJoin(profile_.methods, ", "));
    return Refuse(405, Step::kMethod, Reason::kMethod,
                  absl::StrCat("the source ", profile_.name, " is sent with ",
                               absl::StrJoin(profile_.methods, " or ")));
  }
  const Attempt attempt = Authenticate();
  const bool stranger_may =
      std::any_of(profile_.handshakes.begin(), profile_.handshakes.end(), [](const Handshake& one) {
        return one.when.needs_body() && one.auth != Handshake::Auth::kSame;
      });
  if (body_ == nullptr) {
    if (attempt == Attempt::kRefused && !stranger_may) RefuseCredentials(profile_.refused_status);
    return;
  }
  if (ShakeHands(/*of_head=*/false, attempt)) return;
  if (attempt != Attempt::kAccepted) return RefuseCredentials(profile_.refused_status);
  if (!Load(true) || !Unwrap()) return RefuseLoad();
  if (document_kind_ != base::JsonKind::kObject && document_kind_ != base::JsonKind::kArray) {
    FailDecoded(absl::InvalidArgumentError("expected an object or an array"), "usable");
    return RefuseLoad();
  }
  result_.delivery = FirstText(profile_.delivery, /*whole=*/true);
  SetReplay();
  if (!MakeEvents()) return;
  result_.outcome = Outcome::kAccept;
  result_.step = Step::kIncidents;
  result_.answer.status = profile_.accepted_status;
  result_.answers_incidents = profile_.accepted.kind == AnswerBody::Kind::kIncidents;
  absl::string_view fault;
  if (!result_.answers_incidents && !AppendAnswer(profile_.accepted, &fault)) {
    // The events are good; only the answer cannot be as the profile wishes.
    result_.answer.body.clear();
    result_.answer.headers.clear();
    result_.answer.incident_id_at.clear();
  }
}

Evaluator::Evaluator(const Limits& limits)
    : buffers_(std::make_unique<Buffers>(static_cast<int>(limits.json_depth))), limits_(limits) {}
Evaluator::~Evaluator() = default;

void Evaluator::EvaluateHead(const Source& source, const Request& request, Result& result) {
  result.Clear();
  Run(*buffers_, limits_, source, request, nullptr, result).Judge();
}

void Evaluator::Evaluate(const Source& source, const Request& request, const Body& body,
                         Result& result) {
  result.Clear();
  Run(*buffers_, limits_, source, request, &body, result).Judge();
  buffers_->other.ReleaseLarge();
  if (result.outcome != Outcome::kAccept) buffers_->reader.ReleaseLarge();
}

namespace {

// The documented body with what rules have left and set, in `out`.
absl::string_view AfterRules(const Result& result, std::string& out) {
  out.clear();
  out.push_back('[');
  for (const Event& event : result.events) {
    if (event.dropped) continue;
    if (out.size() > 1) out.push_back(',');
    if (!event.set) {
      absl::StrAppend(&out, event.element);
      continue;
    }
    out.push_back('{');
    for (const auto& [name, text] :
         {std::pair("name", event.name), {"type", event.type}, {"occurred", event.occurred}}) {
      if (text.empty()) continue;
      absl::StrAppend(&out, "\"", name, "\":");
      base::AppendJsonString(&out, text);
      out.push_back(',');
    }
    const bool is_full_object =
        absl::StartsWith(event.details, "{") &&
        absl::StripLeadingAsciiWhitespace(event.details.substr(1)).front() != '}';
    absl::StrAppend(&out, "\"rawJson\":", is_full_object ? "" : "{\"value\":", event.details,
                    is_full_object ? "}" : "}}");
  }
  out.push_back(']');
  out.reserve(out.size() + kPadding);
  return out;
}

}  // namespace

absl::Status Evaluator::Parse(const Result& result, core::IncidentParser& parser,
                              std::span<const core::HeaderView> headers,
                              const core::Defaults& defaults, core::ParsedRequest& out) {
  absl::Status status;
  if (result.documented) {
    const absl::string_view body =
        result.rule_counts.empty() ? result.document : AfterRules(result, buffers_->incidents);
    status = parser.Parse(body, headers, defaults, out);
  } else {
    std::vector<core::FoundIncident>& found = buffers_->found;
    found.clear();
    for (const Event& event : result.events) {
      if (event.dropped) continue;
      found.push_back({event.name, event.type, event.occurred, event.details, event.place,
                       event.plain, event.has_envelope});
    }
    status = parser.Take(found, result.envelope, buffers_->reader, headers, defaults, out);
  }
  buffers_->reader.ReleaseLarge();
  constexpr size_t kKept = 64 * 1024;
  if (buffers_->incidents.capacity() > kKept) std::string().swap(buffers_->incidents);
  return status;
}

}  // namespace webhook::sources
