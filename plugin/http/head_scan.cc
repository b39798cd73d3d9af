#include "plugin/http/head_scan.h"

#include <array>
#include <cstdint>

namespace webhook::http {
namespace {

// A sender may put a CRLF or two after a body; more is no request.
constexpr int kMostEmptyLines = 4;

using OctetSet = std::array<bool, 256>;

constexpr OctetSet RequestLineOctets() {
  OctetSet set{};
  for (int octet = 0x20; octet < 0x7f; ++octet) set[octet] = true;
  return set;
}

constexpr OctetSet FieldOctets() {
  OctetSet set = RequestLineOctets();
  set['\t'] = true;
  for (int octet = 0x80; octet < 0x100; ++octet) set[octet] = true;
  return set;
}

constexpr OctetSet kRequestLineOctets = RequestLineOctets();
constexpr OctetSet kFieldOctets = FieldOctets();

// The first position from `pos` on whose octet is not in `set`.
size_t Skip(const OctetSet& set, const char* data, size_t pos, size_t size) {
  while (pos < size && set[static_cast<unsigned char>(data[pos])]) ++pos;
  return pos;
}

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
  for (;;) {
    Result result = Result::kMore;
    const State before = state_;
    switch (state_) {
      case State::kStart:
        result = FeedStart(data, size);
        break;
      case State::kRequestLine:
        result = FeedRequestLine(data, size);
        break;
      case State::kFieldStart:
        result = FeedFieldStart(data, size);
        break;
      case State::kField:
        result = FeedField(data, size);
        break;
    }
    if (result != Result::kMore || state_ == before) return result;
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
  pos_ = Skip(kRequestLineOctets, data, pos_, size);
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
  pos_ = Skip(kFieldOctets, data, pos_, size);
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
