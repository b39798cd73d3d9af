#include "plugin/http/head_parser.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "plugin/base/characters.h"

namespace webhook::http {
namespace {

using base::CharacterSet;

// Some senders put a CRLF or two after a body; more than this is not a request.
constexpr int kMostEmptyLines = 4;

constexpr CharacterSet kTargetCharacters =
    CharacterSet::Of([](int c) { return c > 0x20 && c < 0x7F; });

// reg-name (RFC 3986 section 3.2.2) without the comma, which only occurs in lists of hosts.
constexpr CharacterSet kHostCharacters = CharacterSet::Of(
    [](int c) { return base::IsAlphanumeric(c) || base::IsOneOf(c, "-._~%!$&'()*+;="); });

constexpr CharacterSet kAddressCharacters = CharacterSet::Of(
    [](int c) { return base::HexDigit(static_cast<char>(c)) >= 0 || c == ':' || c == '.'; });

constexpr CharacterSet kDigits = CharacterSet::Of([](int c) { return base::IsDigit(c); });

size_t Skip(const CharacterSet& set, const char* data, size_t pos, size_t size) {
  while (pos < size && set.Has(data[pos])) ++pos;
  return pos;
}

// Where `c` is found first from `begin` on; the text's size if nowhere.
size_t Find(absl::string_view text, char c, size_t begin = 0) {
  const void* const found =
      begin < text.size() ? std::memchr(text.data() + begin, c, text.size() - begin) : nullptr;
  return found == nullptr ? text.size()
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

bool HasBrokenEscape(absl::string_view path) {
  for (size_t i = Find(path, '%'); i < path.size(); i = Find(path, '%', i + 1)) {
    if (i + 2 >= path.size() || base::HexDigit(path[i + 1]) < 0 ||
        base::HexDigit(path[i + 2]) < 0) {
      return true;
    }
  }
  return false;
}

// Takes "scheme://authority" off the front.
bool TakeAuthority(absl::string_view& target) {
  size_t begin = 0;
  if (absl::StartsWithIgnoreCase(target, "http://")) begin = 7;
  if (absl::StartsWithIgnoreCase(target, "https://")) begin = 8;
  if (begin == 0) return false;
  size_t end = target.find_first_of("/?", begin);
  if (end == absl::string_view::npos) end = target.size();
  if (!IsAuthority(target.substr(begin, end - begin))) return false;
  target.remove_prefix(end);
  return true;
}

bool IsOtherVersion(absl::string_view word) {
  return word.size() == 8 && word.substr(0, 5) == "HTTP/" && base::IsDigit(word[5]) &&
         word[6] == '.' && base::IsDigit(word[7]);
}

}  // namespace

bool IsAuthority(absl::string_view text) {
  absl::string_view rest;
  if (!text.empty() && text[0] == '[') {
    const size_t end = text.find(']');
    if (end == absl::string_view::npos || end < 3) return false;
    if (!kAddressCharacters.HasAll(text.substr(1, end - 1))) return false;
    rest = text.substr(end + 1);
  } else {
    const size_t end = Skip(kHostCharacters, text.data(), 0, text.size());
    if (end == 0) return false;
    rest = text.substr(end);
  }
  if (rest.empty()) return true;
  return rest[0] == ':' && rest.size() <= 6 && kDigits.HasAll(rest.substr(1));
}

bool SplitTarget(absl::string_view target, absl::string_view method, absl::string_view& path,
                 absl::string_view& query) {
  query = absl::string_view();
  if (target == "*") {
    path = target;
    return method == "OPTIONS";
  }
  if (target.empty() || Find(target, '#') < target.size()) return false;
  const bool absolute = target[0] != '/';
  if (absolute && !TakeAuthority(target)) return false;
  const size_t mark = Find(target, '?');
  path = target.substr(0, mark);
  if (mark < target.size()) query = target.substr(mark + 1);
  if (path.empty()) path = "/";
  return !HasBrokenEscape(path);
}

void HeadParser::Begin(const Limits& limits) {
  std::vector<HeaderField> fields = std::move(fields_);
  fields.clear();
  *this = HeadParser();
  fields_ = std::move(fields);
  limits_ = &limits;
}

HeadParser::Result HeadParser::Feed(const char* data, size_t size) {
  if (data != data_) Rebase(data);
  size_ = size;
  while (ReadOn()) {
  }
  return result_;
}

bool HeadParser::ReadOn() {
  switch (state_) {
    case State::kStart:
      return ReadStart();
    case State::kMethod:
      return ReadMethod();
    case State::kTarget:
      return ReadTarget();
    case State::kVersion:
      return ReadVersion();
    case State::kFieldStart:
      return ReadFieldStart();
    case State::kFieldName:
      return ReadFieldName();
    case State::kFieldValue:
      return ReadFieldValue();
  }
  return false;
}

bool HeadParser::More() {
  result_ = Result::kMore;
  return false;
}

bool HeadParser::Refuse(int status, const char* text, lri_reason reason) {
  result_ = Result::kRefused;
  refusal_ = {status, text, reason};
  return false;
}

absl::string_view HeadParser::method(const char* data) const {
  if (target_begin_ == 0) return {};
  return {data + line_begin_, target_begin_ - 1 - line_begin_};
}

// The absolute form may carry a password.
absl::string_view HeadParser::path(const char* data) const {
  if (version_begin_ == 0 || data[target_begin_] != '/') return {};
  const absl::string_view target(data + target_begin_, version_begin_ - 1 - target_begin_);
  return target.substr(0, Find(target, '?'));
}

bool HeadParser::Next(State state) {
  state_ = state;
  return true;
}

// The bytes have moved: the views of them must follow.
void HeadParser::Rebase(const char* data) {
  for (HeaderField& field : fields_) {
    field.name = {data + (field.name.data() - data_), field.name.size()};
    field.value = {data + (field.value.data() - data_), field.value.size()};
  }
  data_ = data;
}

inline bool HeadParser::TakeLineEnd(const char* otherwise) {
  if (data_[pos_] != '\r') return Refuse(400, otherwise);
  if (pos_ + 1 == size_) return More();
  if (data_[pos_ + 1] != '\n') return Refuse(400, otherwise);
  pos_ += 2;
  return true;
}

inline bool HeadParser::GoOnInRequestLine() {
  if (pos_ - line_begin_ > static_cast<uint64_t>(limits_->request_line_bytes)) {
    return Refuse(414, "the request line is longer than the limit request_line_bytes");
  }
  return pos_ < size_ || More();
}

inline bool HeadParser::GoOnInHeaderSection() {
  if (pos_ - section_begin_ > static_cast<uint64_t>(limits_->header_section_bytes)) {
    return Refuse(431, "the header section is longer than the limit header_section_bytes");
  }
  return pos_ < size_ || More();
}

bool HeadParser::ReadStart() {
  while (pos_ < size_ && (data_[pos_] == '\r' || data_[pos_] == '\n')) {
    if (!TakeLineEnd("a line must end with CRLF")) return false;
    if (++empty_lines_ > kMostEmptyLines) {
      return Refuse(400, "too many empty lines before the request line");
    }
  }
  if (pos_ == size_) return More();
  line_begin_ = pos_;
  return Next(State::kMethod);
}

bool HeadParser::ReadMethod() {
  pos_ = Skip(base::kTokenCharacters, data_, pos_, size_);
  if (!GoOnInRequestLine()) return false;
  if (data_[pos_] != ' ' || pos_ == line_begin_) {
    // A record of TLS that begins a handshake (RFC 8446 section 5.1).
    const bool is_tls = pos_ == line_begin_ && data_[pos_] == 0x16;
    return Refuse(400, is_tls ? "this port speaks plain HTTP, and TLS came; use http:// in the URL"
                              : "the method is malformed");
  }
  target_begin_ = ++pos_;
  return Next(State::kTarget);
}

bool HeadParser::ReadTarget() {
  pos_ = Skip(kTargetCharacters, data_, pos_, size_);
  if (!GoOnInRequestLine()) return false;
  if (data_[pos_] != ' ' || pos_ == target_begin_) {
    return Refuse(400, "the request target is malformed");
  }
  version_begin_ = ++pos_;
  return Next(State::kVersion);
}

bool HeadParser::ReadVersion() {
  pos_ = Skip(kTargetCharacters, data_, pos_, size_);
  if (!GoOnInRequestLine()) return false;
  if (data_[pos_] == ' ') return Refuse(400, "the request line must be three words");
  const absl::string_view version = Text(version_begin_, pos_);
  if (!TakeLineEnd("the request line has an invalid character or line end")) return false;
  is_head_method_ = Text(line_begin_, target_begin_ - 1) == "HEAD";
  if (version == "HTTP/1.0") {
    head_.minor_version = 0;
  } else if (version != "HTTP/1.1") {
    if (IsOtherVersion(version)) return Refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken");
    return Refuse(400, "the HTTP version is malformed");
  }
  section_begin_ = pos_;
  return Next(State::kFieldStart);
}

bool HeadParser::ReadFieldStart() {
  if (pos_ == size_) return More();
  if (data_[pos_] == '\r') return TakeLineEnd("a line must end with CRLF") && EndHead();
  if (base::IsBlank(data_[pos_])) return Refuse(400, "a header line must not begin with a blank");
  if (fields_.size() >= static_cast<uint64_t>(limits_->header_fields)) {
    return Refuse(431, "there are more header fields than the limit header_fields");
  }
  name_begin_ = pos_;
  return Next(State::kFieldName);
}

bool HeadParser::ReadFieldName() {
  pos_ = Skip(base::kTokenCharacters, data_, pos_, size_);
  if (!GoOnInHeaderSection()) return false;
  if (data_[pos_] != ':' || pos_ == name_begin_) {
    return Refuse(400, "a header field's name is malformed");
  }
  value_begin_ = ++pos_;
  return Next(State::kFieldValue);
}

bool HeadParser::ReadFieldValue() {
  pos_ = base::SkipPrintable<base::Above::kPasses>(data_, pos_, size_);
  while (pos_ < size_ && data_[pos_] == '\t') {
    pos_ = base::SkipPrintable<base::Above::kPasses>(data_, pos_ + 1, size_);
  }
  if (!GoOnInHeaderSection()) return false;
  const size_t end = pos_;
  if (!TakeLineEnd("a header line has an invalid character or line end")) return false;
  const HeaderField field = {Text(name_begin_, value_begin_ - 1),
                             base::WithoutBlanks(Text(value_begin_, end))};
  fields_.push_back(field);
  return TakeField(field) && Next(State::kFieldStart);
}

// The fields that the server itself uses. The name's length rules out most others.
bool HeadParser::TakeField(const HeaderField& field) {
  switch (field.name.size()) {
    case 4:
      if (!absl::EqualsIgnoreCase(field.name, "host")) return true;
      if (++hosts_ > 1) return Refuse(400, "Host must not be repeated", LRI_REASON_BAD_HOST);
      return IsAuthority(field.value) || Refuse(400, "Host is malformed", LRI_REASON_BAD_HOST);
    case 6:
      if (!absl::EqualsIgnoreCase(field.name, "expect")) return true;
      TakeExpect(field.value);
      return true;
    case 10:
      return !absl::EqualsIgnoreCase(field.name, "connection") || TakeConnection(field.value);
    case 14:
      return !absl::EqualsIgnoreCase(field.name, "content-length") ||
             TakeContentLength(field.value);
    case 17:
      if (!absl::EqualsIgnoreCase(field.name, "transfer-encoding")) return true;
      if (++transfer_encodings_ > 1) return Refuse(400, "Transfer-Encoding must not be repeated");
      transfer_encoding_ = fields_.size() - 1;
      return true;
    default:
      return true;
  }
}

// A repeated length is refused even if all are equal, which RFC 9112 section 6.3 permits: a proxy
// on the way may have used another one.
bool HeadParser::TakeContentLength(absl::string_view value) {
  if (head_.content_length.has_value()) {
    return Refuse(400, "Content-Length must not be repeated");
  }
  if (value.empty() || !kDigits.HasAll(value)) {
    return Refuse(400, "Content-Length must be one whole number");
  }
  uint64_t length = 0;
  for (const char digit : value) {
    if (length > (std::numeric_limits<uint64_t>::max() - 9) / 10) {
      return Refuse(400, "Content-Length is too large a number");
    }
    length = length * 10 + (digit - '0');
  }
  head_.content_length = length;
  return true;
}

// A list of tokens, with empty elements (RFC 9110 sections 5.6.1.2 and 7.6.1).
bool HeadParser::TakeConnection(absl::string_view value) {
  while (!value.empty()) {
    const size_t comma = Find(value, ',');
    const absl::string_view option = base::WithoutBlanks(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
    if (!base::kTokenCharacters.HasAll(option)) return Refuse(400, "Connection is malformed");
    close_ |= absl::EqualsIgnoreCase(option, "close");
  }
  return true;
}

// A list, in which 100-continue is enough: an expectation beside it may be ignored (RFC 9110
// section 10.1.1). One without elements expects nothing.
void HeadParser::TakeExpect(absl::string_view value) {
  while (!value.empty()) {
    const size_t comma = Find(value, ',');
    const absl::string_view one = base::WithoutBlanks(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
    expects_continue_ |= absl::EqualsIgnoreCase(one, "100-continue");
    expects_other_ |= !one.empty();
  }
}

// RFC 9112 section 6.1: a final coding other than chunked leaves the length unknown (400); one
// before chunked is merely not understood (501).
bool HeadParser::CheckTransferEncoding(absl::string_view value) {
  if (head_.minor_version == 0) return Refuse(400, "Transfer-Encoding has no place in HTTP/1.0");
  if (head_.content_length.has_value()) {
    return Refuse(400, "Transfer-Encoding and Content-Length exclude each other");
  }
  if (absl::EqualsIgnoreCase(value, "chunked")) {
    head_.chunked = true;
    return true;
  }
  const size_t comma = value.rfind(',');
  if (comma != absl::string_view::npos && !base::WithoutBlanks(value.substr(0, comma)).empty() &&
      absl::EqualsIgnoreCase(base::WithoutBlanks(value.substr(comma + 1)), "chunked")) {
    return Refuse(501, "no transfer coding but chunked is understood");
  }
  return Refuse(400, "Transfer-Encoding must be chunked");
}

bool HeadParser::EndHead() {
  if (transfer_encodings_ > 0 && !CheckTransferEncoding(fields_[transfer_encoding_].value)) {
    return false;
  }
  if (head_.minor_version > 0 && hosts_ == 0)
    return Refuse(400, "Host is missing", LRI_REASON_BAD_HOST);
  head_.method = Text(line_begin_, target_begin_ - 1);
  if (!SplitTarget(Text(target_begin_, version_begin_ - 1), head_.method, head_.path,
                   head_.query)) {
    return Refuse(400, "the request target is malformed");
  }
  if (head_.minor_version > 0 && expects_other_ && !expects_continue_) {
    return Refuse(417, "no expectation but 100-continue is met");
  }
  head_.fields = fields_;
  result_ = Result::kDone;
  return false;
}

}  // namespace webhook::http
