// A request's head, read in one pass as its bytes arrive.
//
// Strict where readers of HTTP differ (RFC 9112 section 11.2): it refuses a bare CR or LF, a folded
// line, a control character, a repeated length, a length beside chunked, a second Host, and a
// fourth word on the request line. A malformed line is refused at its end, and a limit as soon as
// it is passed, before the rest has come.
#ifndef PLUGIN_HTTP_HEAD_PARSER_H_
#define PLUGIN_HTTP_HEAD_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/http/message.h"
#include "plugin/limits/limits.h"

namespace webhook::http {

class HeadParser {
 public:
  enum class Result { kMore, kDone, kRefused };

  // Begins a new head; reuses the memory of the last one. `limits` must outlive it.
  void Begin(const Limits& limits);

  // Reads on. `data` points to the first of the head's bytes each time, which may have moved;
  // `size` never shrinks. Bytes that were read are not read again. The outcome does not depend on
  // how the bytes were split.
  Result Feed(const char* data, size_t size);

  // After kDone: the number of bytes up to the head's end, with empty lines before the request line
  // (RFC 9112 section 2.2).
  size_t size() const { return pos_; }

  // After kDone. The views point into the bytes; `peer` is left empty.
  RequestHead& head() { return head_; }
  const RequestHead& head() const { return head_; }
  // HTTP/1.1 without `Connection: close`. After an HTTP/1.0 request the connection is always
  // closed.
  bool keep_alive() const { return head_.minor_version > 0 && !close_; }
  // `Expect: 100-continue`, alone or in a list; HTTP/1.0 does not have it (RFC 9110
  // section 10.1.1).
  bool expects_continue() const { return head_.minor_version > 0 && expects_continue_; }

  // After kRefused. The connection must be closed: where the request ends is not known.
  Refusal refusal() const { return refusal_; }
  // After kDone and kRefused: the method is known to be HEAD, so that the answer has no body.
  bool is_head_method() const { return is_head_method_; }
  // Before kDone and after kRefused, if the method and an origin-form target have been read: the
  // method and the path. `data` points to the head's bytes, which may have moved.
  absl::string_view method(const char* data) const;
  absl::string_view path(const char* data) const;

 private:
  enum class State {
    kStart,  // empty lines
    kMethod,
    kTarget,
    kVersion,
    kFieldStart,
    kFieldName,
    kFieldValue,
  };
  // Each reads on, ReadOn in the present state. True: state_ is the next one; false: result_ tells
  // what Feed returns.
  bool ReadOn();
  bool ReadStart();
  bool ReadMethod();
  bool ReadTarget();
  bool ReadVersion();
  bool ReadFieldStart();
  bool ReadFieldName();
  bool ReadFieldValue();
  // A whole field line, or the whole head, was read: false when it is refused.
  bool TakeField(const HeaderField& field);
  bool TakeContentLength(absl::string_view value);
  bool TakeConnection(absl::string_view value);
  void TakeExpect(absl::string_view value);
  bool CheckTransferEncoding(absl::string_view value);
  bool EndHead();

  bool More();
  [[gnu::cold, gnu::noinline]] bool Refuse(int status, const char* text,
                                           lri_reason reason = LRI_REASON_ANSWERED);
  bool Next(State state);
  // Takes CRLF; refuses anything else with that text.
  bool TakeLineEnd(const char* otherwise);
  // After a step forward. True: another byte is there. The limit is checked first, so that the
  // outcome does not depend on where a piece ends.
  bool GoOnInRequestLine();
  bool GoOnInHeaderSection();
  void Rebase(const char* data);
  absl::string_view Text(size_t begin, size_t end) const { return {data_ + begin, end - begin}; }

  const Limits* limits_ = nullptr;
  const char* data_ = nullptr;
  size_t size_ = 0;
  size_t pos_ = 0;  // what is before it has been read
  State state_ = State::kStart;
  Result result_ = Result::kMore;
  int empty_lines_ = 0;
  size_t line_begin_ = 0;  // of the request line
  size_t target_begin_ = 0;
  size_t version_begin_ = 0;
  size_t section_begin_ = 0;  // of the header section
  size_t name_begin_ = 0;     // of the field that is being read
  size_t value_begin_ = 0;
  int hosts_ = 0;
  int transfer_encodings_ = 0;
  size_t transfer_encoding_ = 0;  // the index of its field
  bool is_head_method_ = false;
  bool close_ = false;
  bool expects_continue_ = false;
  bool expects_other_ = false;  // or 100-continue
  std::vector<HeaderField> fields_;
  RequestHead head_;
  Refusal refusal_;
};

// host [":" port] with a host that is not empty: a name, an IPv4 address or a bracketed IPv6 one
// (RFC 3986 section 3.2). Userinfo and lists are refused.
bool IsAuthority(absl::string_view text);

// Splits origin-form ("/a?b"), absolute-form ("http://host/a?b", whose authority is checked and
// dropped) and, for OPTIONS, asterisk-form (RFC 9112 section 3.2). False when it is none of these,
// or its path has a broken percent escape or a fragment. Nothing is decoded.
bool SplitTarget(absl::string_view target, absl::string_view method, absl::string_view& path,
                 absl::string_view& query);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_HEAD_PARSER_H_
