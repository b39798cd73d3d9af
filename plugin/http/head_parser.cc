#include "plugin/http/head_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "plugin/http/target.h"

namespace webhook::http {
namespace {

namespace beast = boost::beast;
using BeastError = beast::http::error;

absl::string_view View(beast::string_view view) { return {view.data(), view.size()}; }

// Collects views of what Beast finds. One head each; the body is not Beast's business here.
class Collector final : public beast::http::basic_parser<true> {
 public:
  Collector(std::vector<HeaderField>& fields, ParsedHead& parsed)
      : fields_(fields), parsed_(parsed) {
    // The limits are HeadScan's, and the body's length is judged by the connection.
    header_limit((std::numeric_limits<std::uint32_t>::max)());
    body_limit(boost::none);
  }

  // The rules about the head as a whole, once Beast is through.
  Refusal Finish();

  Refusal refusal() const { return refusal_; }

 private:
  void Refuse(int status, const char* text) {
    if (refusal_.status == 0) refusal_ = {status, text};
  }
  void OnContentLength(absl::string_view value);
  void OnTransferEncoding(absl::string_view value);
  void OnHost(absl::string_view value);

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, beast::error_code&) override {
    parsed_.head.method = View(method);
    target_ = View(target);
    parsed_.head.minor_version = version % 10;
  }
  void on_field_impl(beast::http::field known, beast::string_view name, beast::string_view value,
                     beast::error_code&) override;
  void on_header_impl(beast::error_code&) override {}
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view, beast::error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view, beast::error_code&) override {
    return 0;
  }
  void on_finish_impl(beast::error_code&) override {}

  std::vector<HeaderField>& fields_;
  ParsedHead& parsed_;
  Refusal refusal_;
  absl::string_view target_;
  absl::string_view transfer_encoding_;
  int hosts_ = 0;
  int transfer_encodings_ = 0;
  bool expects_other_ = false;
};

void Collector::on_field_impl(beast::http::field known, beast::string_view name,
                              beast::string_view value, beast::error_code&) {
  fields_.push_back({View(name), View(value)});
  switch (known) {
    case beast::http::field::host:
      OnHost(View(value));
      break;
    case beast::http::field::content_length:
      OnContentLength(View(value));
      break;
    case beast::http::field::transfer_encoding:
      OnTransferEncoding(View(value));
      break;
    case beast::http::field::expect:
      if (absl::EqualsIgnoreCase(View(value), "100-continue")) {
        parsed_.expects_continue = true;
      } else {
        expects_other_ = true;
      }
      break;
    default:
      break;
  }
}

void Collector::OnHost(absl::string_view value) {
  if (++hosts_ > 1) Refuse(400, "Host must not be repeated");
  if (!IsAuthority(value)) Refuse(400, "Host is malformed");
}

// One line of digits: a repeated length is refused even if all agree (RFC 9112 section 6.3 permits
// that), since another reader on the way may have taken another one.
void Collector::OnContentLength(absl::string_view value) {
  if (parsed_.head.content_length.has_value()) {
    return Refuse(400, "Content-Length must not be repeated");
  }
  uint64_t length = 0;
  for (const char digit : value) {
    if (!absl::ascii_isdigit(digit)) return Refuse(400, "Content-Length must be one whole number");
    if (length > (std::numeric_limits<uint64_t>::max() - 9) / 10) {
      return Refuse(400, "Content-Length is too large a number");
    }
    length = length * 10 + (digit - '0');
  }
  if (value.empty()) return Refuse(400, "Content-Length must be one whole number");
  parsed_.head.content_length = length;
}

void Collector::OnTransferEncoding(absl::string_view value) {
  if (++transfer_encodings_ > 1) Refuse(400, "Transfer-Encoding must not be repeated");
  transfer_encoding_ = value;
}

// RFC 9112 section 6.1: a final coding other than chunked leaves the length unknown (400); one
// before chunked is merely not understood (501).
Refusal CheckTransferEncoding(absl::string_view value, int minor_version, bool has_length) {
  if (minor_version == 0) return {400, "Transfer-Encoding has no place in HTTP/1.0"};
  if (has_length) return {400, "Transfer-Encoding and Content-Length exclude each other"};
  if (absl::EqualsIgnoreCase(value, "chunked")) return {};
  const size_t comma = value.rfind(',');
  if (comma != absl::string_view::npos) {
    const absl::string_view first = absl::StripAsciiWhitespace(value.substr(0, comma));
    const absl::string_view last = absl::StripAsciiWhitespace(value.substr(comma + 1));
    if (!first.empty() && absl::EqualsIgnoreCase(last, "chunked")) {
      return {501, "no transfer coding but chunked is understood"};
    }
  }
  return {400, "Transfer-Encoding must be chunked"};
}

Refusal Collector::Finish() {
  if (refusal_.status != 0) return refusal_;
  RequestHead& head = parsed_.head;
  if (transfer_encodings_ > 0) {
    const Refusal refusal = CheckTransferEncoding(transfer_encoding_, head.minor_version,
                                                  head.content_length.has_value());
    if (refusal.status != 0) return refusal;
    head.chunked = true;
  }
  if (head.minor_version > 0 && hosts_ == 0) return {400, "Host is missing"};
  if (!SplitTarget(target_, head.method, head.path, head.query)) {
    return {400, "the request target is malformed"};
  }
  if (head.minor_version == 0) {
    // RFC 9110 section 10.1.1: an HTTP/1.0 sender cannot mean it.
    parsed_.expects_continue = false;
  } else if (expects_other_) {
    return {417, "no expectation but 100-continue is met"};
  }
  // HTTP/1.0 senders of today (old proxies, load testers) lose nothing by a close.
  parsed_.keep_alive = head.minor_version > 0 && keep_alive();
  head.fields = fields_;
  return {};
}

// Does the request line have three words, the last of which is a version that is not ours? With a
// blank inside the target it has four, and a version of ours where it belongs.
bool NamesOtherVersion(absl::string_view bytes) {
  const absl::string_view line = bytes.substr(0, bytes.find('\r'));
  const size_t space = line.rfind(' ');
  if (space == absl::string_view::npos || space != line.find(' ', line.find(' ') + 1)) return false;
  const absl::string_view word = line.substr(space + 1);
  return word.size() == 8 && word.substr(0, 5) == "HTTP/" && absl::ascii_isdigit(word[5]) &&
         word[6] == '.' && absl::ascii_isdigit(word[7]);
}

Refusal Translate(beast::error_code error, absl::string_view bytes) {
  if (error == BeastError::bad_method) return {400, "the method is malformed"};
  if (error == BeastError::bad_target) return {400, "the request target is malformed"};
  if (error == BeastError::bad_version) {
    if (NamesOtherVersion(bytes)) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken"};
    return {400, "the HTTP version is malformed"};
  }
  if (error == BeastError::bad_field) return {400, "a header field's name is malformed"};
  if (error == BeastError::bad_value) return {400, "a header field's value is malformed"};
  if (error == BeastError::bad_content_length || error == BeastError::multiple_content_length) {
    return {400, "Content-Length must be one whole number"};
  }
  if (error == BeastError::bad_transfer_encoding) return {400, "Transfer-Encoding is ambiguous"};
  return {400, "the head is malformed"};
}

}  // namespace

Refusal ParseHead(absl::string_view bytes, std::vector<HeaderField>& fields, ParsedHead& parsed) {
  fields.clear();
  parsed = ParsedHead();
  Collector collector(fields, parsed);
  beast::error_code error;
  const size_t used = collector.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error) return Translate(error, bytes);
  // Two readers must agree on where a head ends.
  if (used != bytes.size() || !collector.is_header_done()) return {400, "the head is malformed"};
  return collector.Finish();
}

}  // namespace webhook::http
