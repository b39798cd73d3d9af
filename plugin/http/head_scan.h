// The first look at a request's head: its lines, its sizes and its octets.
//
// Finds where a head ends as its bytes arrive and refuses what must not reach a parser: bare CR or
// LF (RFC 9112 section 2.2), line folding (section 5.2), control characters (RFC 9110 section
// 5.5), and lines or sections past their limits, as soon as the limit is passed. Beast's parser is
// lenient in some of these; what it reads has gone through here.
#ifndef PLUGIN_HTTP_HEAD_SCAN_H_
#define PLUGIN_HTTP_HEAD_SCAN_H_

#include <cstddef>

#include "plugin/limits/limits.h"

namespace webhook::http {

// An answer that the server gives by itself: a status and one line of text. No status: none.
struct Refusal {
  int status = 0;
  const char* text = "";
};

class HeadScan {
 public:
  enum class Result { kMore, kDone, kRefused };

  explicit HeadScan(const Limits& limits) : limits_(&limits) {}

  // Begins a new head.
  void Reset() { *this = HeadScan(*limits_); }

  // Looks at the head's bytes so far: `data` is its first byte each time, `size` never shrinks,
  // and what was looked at before is not looked at again.
  Result Feed(const char* data, size_t size);

  // After kDone: where the request line begins (after empty lines, RFC 9112 section 2.2) and where
  // the head ends (after its last CRLF), from the first byte.
  size_t begin() const { return line_begin_; }
  size_t end() const { return pos_; }

  // After kRefused.
  Refusal refusal() const { return refusal_; }

 private:
  enum class State { kStart, kRequestLine, kFieldStart, kField };
  enum class LineEnd { kMore, kOk, kBad };

  Result Refuse(int status, const char* text);
  LineEnd TakeLineEnd(const char* data, size_t size);
  Result FeedStart(const char* data, size_t size);
  Result FeedRequestLine(const char* data, size_t size);
  Result FeedFieldStart(const char* data, size_t size);
  Result FeedField(const char* data, size_t size);

  const Limits* limits_;
  State state_ = State::kStart;
  size_t pos_ = 0;           // all before it has been looked at
  size_t line_begin_ = 0;    // of the request line
  size_t fields_begin_ = 0;  // of the header section
  int empty_lines_ = 0;
  int64_t fields_ = 0;
  Refusal refusal_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_HEAD_SCAN_H_
