// A request's head and an answer, as views: nothing is owned here.
#ifndef PLUGIN_HTTP_MESSAGE_H_
#define PLUGIN_HTTP_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <span>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "plugin/abi/reasons.h"

namespace webhook::http {

// A field line. The name keeps the sender's case (names compare without case, RFC 9110 section
// 5.1); the value is trimmed of blanks (RFC 9112 section 5.1).
struct HeaderField {
  absl::string_view name;
  absl::string_view value;
};

// A head that passed every check of RFC 9112: its framing is unambiguous. The views live as long
// as the exchange they belong to.
struct RequestHead {
  absl::string_view method;  // as received: methods are case-sensitive
  absl::string_view path;   // in the spelling of RequestReader::NormalizePath, else not decoded; of
                            // an absolute-form target its path; "*" only with OPTIONS
  absl::string_view query;  // raw, what follows the first '?', without it
  std::span<const HeaderField> fields;  // in received order; trailers never join them
  // Who sent it, without a port: "127.0.0.1", "::1". The connection's peer, or whom that states if
  // it is one of Proxies.
  absl::string_view peer;
  bool peer_is_doubtful = false;  // such a proxy stated something that cannot be read
  int minor_version = 1;          // of HTTP/1.x: 0 or 1
  std::optional<uint64_t> content_length;
  bool chunked = false;

  // The first field of that name (any case), or nullptr.
  const HeaderField* Find(absl::string_view name) const {
    for (const HeaderField& field : fields) {
      if (absl::EqualsIgnoreCase(field.name, name)) return &field;
    }
    return nullptr;
  }
};

// An answer. The views need to live until Exchange::Respond returns.
struct Response {
  int status = 200;                // 200 to 599
  absl::string_view content_type;  // no Content-Type when empty
  // Further fields. The server writes Date, Connection, Content-Length and Transfer-Encoding
  // itself and ignores them here. A field whose name or value is not valid on a field line (CR, LF,
  // NUL, ...) is left out.
  std::span<const HeaderField> headers;
  absl::string_view body;  // not sent to a HEAD request, nor with 204 and 304
  // For Handler::OnAnswered alone: why the request was refused, and a sentence for the operator,
  // of which 256 octets are kept. LRI_REASON_ANSWERED stands for "other" where the status is no
  // 2xx.
  lri_reason reason = LRI_REASON_ANSWERED;
  absl::string_view detail;
};

// An answer that the server gives by itself: a status and one line of text. Status 0: none.
struct Refusal {
  int status = 0;
  const char* text = "";
  lri_reason reason = LRI_REASON_ANSWERED;  // then the status tells: see ReasonOf
};

// Why the server refused, as far as the status alone tells.
inline lri_reason ReasonOf(const Refusal& refusal) {
  if (refusal.reason != LRI_REASON_ANSWERED) return refusal.reason;
  switch (refusal.status) {
    case 400:
      return LRI_REASON_BAD_REQUEST;
    case 411:
      return LRI_REASON_LENGTH_REQUIRED;
    case 413:
      return LRI_REASON_BODY_TOO_LARGE;
    case 414:
      return LRI_REASON_TARGET_TOO_LONG;
    case 417:
      return LRI_REASON_EXPECTATION;
    case 431:
      return LRI_REASON_HEADER_TOO_LARGE;
    case 501:
      return LRI_REASON_TRANSFER_CODING;
    case 503:
      return LRI_REASON_MEMORY;
    case 505:
      return LRI_REASON_VERSION;
    default:
      return LRI_REASON_OTHER;
  }
}

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_MESSAGE_H_
