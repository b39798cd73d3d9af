// Undoes the chunked transfer coding (RFC 9112 section 7.1), octet by octet.
//
// Extensions and trailers are checked and thrown away; a trailer never becomes a header (RFC 9110
// section 6.5.1).
#ifndef PLUGIN_HTTP_CHUNKED_DECODER_H_
#define PLUGIN_HTTP_CHUNKED_DECODER_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "plugin/http/message.h"
#include "plugin/limits/limits.h"

namespace webhook::http {

class ChunkedDecoder {
 public:
  enum class Result {
    kContent,  // `content` is the next run of the body; call again
    kMore,     // all input was taken
    kDone,     // the body is over; the rest of the input is another message's
    kRefused,  // see refusal(); the connection cannot go on
  };

  // Refuses bodies of more than `most_bytes` as soon as a chunk's size says so (413), extensions
  // of more than Limits::request_line_bytes and trailer sections past Limits::header_section_bytes
  // and header_fields (431).
  ChunkedDecoder(const Limits& limits, uint64_t most_bytes);

  // Takes octets off the front of `input`. `content` points into it.
  Result Next(absl::string_view& input, absl::string_view& content);

  Refusal refusal() const { return refusal_; }

 private:
  enum class State {
    kSize,          // hex digits
    kExtension,     // after a size or an extension: ';', blanks or CR
    kBeforeName,    // after ';'
    kName,          //
    kAfterName,     // after blanks: '=', ';'
    kBeforeValue,   // after '='
    kValue,         // a token
    kQuoted,        // a quoted string
    kEscaped,       // its octet after '\'
    kAfterBlank,    // blanks before the next ';'
    kHeaderLf,      //
    kContent,       //
    kContentCr,     //
    kContentLf,     //
    kTrailerStart,  // of a line: a name or the final CR
    kTrailerName,   //
    kTrailerValue,  //
    kTrailerLf,     //
    kFinalLf,       //
    kDone,
  };

  Result Refuse(int status, const char* text);
  bool TakeSizeDigit(char octet);
  // False: refused.
  bool TakeHeaderOctet(char octet);
  bool TakeExtensionOctet(char octet);
  bool TakeTrailerOctet(char octet);
  bool Go(State next) {
    state_ = next;
    return true;
  }

  const Limits* limits_;
  uint64_t left_;  // content octets that may still come
  State state_ = State::kSize;
  uint64_t size_ = 0;  // of the chunk; then what of it is to come
  int digits_ = 0;     // significant ones
  int64_t overhead_bytes_ = 0;
  int64_t trailer_bytes_ = 0;
  int64_t trailer_fields_ = 0;
  bool any_digit_ = false;
  Refusal refusal_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_CHUNKED_DECODER_H_
