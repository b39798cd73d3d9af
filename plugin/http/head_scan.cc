#include "plugin/http/head_scan.h"

#include <cstdint>

#include "plugin/base/octets.h"

namespace webhook::http {
namespace {

// A sender may put a CRLF or two after a body; more is no request.
constexpr int kMostEmptyLines = 4;

bool Passed(size_t bytes, int64_t limit) { return bytes > static_cast<uint64_t>(limit); }

}  // namespace

HeadScan::Result HeadScan::Refuse(int status, const char* text) {
  refusal_ = {status, text};
  return Result::kRefused;
}

HeadScan::LineEnd HeadScan::TakeLineEnd(const char* data, size_t size) {
  if (data[pos_] != '\r') return LineEnd::kBad;
  if (pos_ + 1 == size) return LineEnd::kMore;
  if (data[pos_ + 1] != '\n') return LineEnd::kBad;
  pos_ += 2;
  return LineEnd::kOk;
}

HeadScan::Result HeadScan::Feed(const char* data, size_t size) {
  if (state_ == State::kStart) {
    const Result result = FeedStart(data, size);
    if (state_ == State::kStart) return result;
  }
  if (state_ == State::kRequestLine) {
    const Result result = FeedRequestLine(data, size);
    if (state_ == State::kRequestLine) return result;
  }
  for (;;) {
    if (state_ == State::kFieldStart) {
      const Result result = FeedFieldStart(data, size);
      if (state_ == State::kFieldStart) return result;
    }
    const Result result = FeedField(data, size);
    if (state_ == State::kField) return result;
  }
}

HeadScan::Result HeadScan::FeedStart(const char* data, size_t size) {
  while (pos_ < size && (data[pos_] == '\r' || data[pos_] == '\n')) {
    switch (TakeLineEnd(data, size)) {
      case LineEnd::kMore:
        return Result::kMore;
      case LineEnd::kBad:
        return Refuse(400, "a line must end with CRLF");
      case LineEnd::kOk:
        break;
    }
    if (++empty_lines_ > kMostEmptyLines) {
      return Refuse(400, "too many empty lines before the request line");
    }
  }
  line_begin_ = pos_;
  if (pos_ < size) state_ = State::kRequestLine;
  return Result::kMore;
}

HeadScan::Result HeadScan::FeedRequestLine(const char* data, size_t size) {
  pos_ = base::SkipPrintable<base::Above::kStops>(data, pos_, size);
  if (Passed(pos_ - line_begin_, limits_->request_line_bytes)) {
    return Refuse(414, "the request line is too long");
  }
  if (pos_ == size) return Result::kMore;
  switch (TakeLineEnd(data, size)) {
    case LineEnd::kMore:
      return Result::kMore;
    case LineEnd::kBad:
      return Refuse(400, "the request line has an invalid character or line end");
    case LineEnd::kOk:
      break;
  }
  fields_begin_ = pos_;
  state_ = State::kFieldStart;
  return Result::kMore;
}

HeadScan::Result HeadScan::FeedFieldStart(const char* data, size_t size) {
  if (pos_ == size) return Result::kMore;
  if (data[pos_] == '\r') {
    switch (TakeLineEnd(data, size)) {
      case LineEnd::kMore:
        return Result::kMore;
      case LineEnd::kBad:
        return Refuse(400, "a line must end with CRLF");
      case LineEnd::kOk:
        return Result::kDone;
    }
  }
  if (data[pos_] == ' ' || data[pos_] == '\t') {
    return Refuse(400, "a header line must not begin with a blank");
  }
  if (++fields_ > limits_->header_fields) return Refuse(431, "too many header fields");
  state_ = State::kField;
  return Result::kMore;
}

HeadScan::Result HeadScan::FeedField(const char* data, size_t size) {
  pos_ = base::SkipPrintable<base::Above::kPasses>(data, pos_, size);
  while (pos_ < size && data[pos_] == '\t') {
    pos_ = base::SkipPrintable<base::Above::kPasses>(data, pos_ + 1, size);
  }
  if (Passed(pos_ - fields_begin_, limits_->header_section_bytes)) {
    return Refuse(431, "the header section is too long");
  }
  if (pos_ == size) return Result::kMore;
  switch (TakeLineEnd(data, size)) {
    case LineEnd::kMore:
      return Result::kMore;
    case LineEnd::kBad:
      return Refuse(400, "a header line has an invalid character or line end");
    case LineEnd::kOk:
      break;
  }
  state_ = State::kFieldStart;
  return Result::kMore;
}

}  // namespace webhook::http
