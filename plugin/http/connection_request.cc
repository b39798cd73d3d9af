#include <algorithm>
#include <cstring>

#include "plugin/http/connection.h"

namespace webhook::http {
namespace {

// Behind an empty body.
constexpr char kNoBody[kBodyPadding] = {};

// A head leaves this much room behind it in its buffer, for chunked bodies to be read into.
constexpr size_t kRoomBehindHead = 4096;

// Bytes in flight are reserved in steps that grow as a body arrives: announcing much, and sending a
// little of it, reserves little.
constexpr size_t kLeastReserveStep = 16 * 1024;
constexpr size_t kMostReserveStep = 256 * 1024;

}  // namespace

bool Connection::StepHandshake() {
  if (work_ == nullptr) return false;
  if (eof_) {
    Close();
    return false;
  }
  switch (tls_->Handshake()) {
    case TlsSession::Result::kOk:
      BeginIdle();
      return true;
    case TlsSession::Result::kWantRead:
      return false;
    case TlsSession::Result::kWantWrite:
      if (!writing_) WaitWritable();
      return false;
    default:
      Close();
      return false;
  }
}

bool Connection::StepHead() {
  const bool last = shard_->draining() && !shard_->patient() && requests_ > 0;
  if (begin_ == end_ && (last || eof_)) {
    closing_ = true;
    return false;
  }
  if (begin_ == end_ || work_ == nullptr) return false;
  Compact();
  switch (scan_.Feed(work_->in.data() + begin_, end_ - begin_)) {
    case HeadScan::Result::kMore:
      if (eof_) {
        closing_ = true;  // a request cut short is not answered (RFC 9112 section 8)
      } else if (state_ == State::kIdle) {
        state_ = State::kHead;
        SetDeadline(limits_.head_timeout_ms);
      }
      return false;
    case HeadScan::Result::kRefused:
      return Refuse(scan_.refusal());
    case HeadScan::Result::kDone:
      return TakeHead();
  }
  return false;
}

// Moves what is not used yet to the buffer's front, unless much would have to be moved.
void Connection::Compact() {
  if (begin_ == 0) return;
  const size_t bytes = end_ - begin_;
  if (bytes > 1024 && work_->in.capacity() - end_ > kRoomBehindHead) return;
  std::memmove(work_->in.data(), work_->in.data() + begin_, bytes);
  begin_ = 0;
  end_ = bytes;
}

bool Connection::TakeHead() {
  ++requests_;
  const size_t head_bytes = begin_ + scan_.end();
  if (work_->in.capacity() - head_bytes < kRoomBehindHead &&
      !GrowInput(head_bytes + 2 * kRoomBehindHead)) {
    return true;
  }
  const absl::string_view head(work_->in.data() + begin_ + scan_.begin(),
                               scan_.end() - scan_.begin());
  const Refusal refusal = ParseHead(head, work_->fields, parsed_);
  for_head_ = parsed_.head.method == "HEAD";
  if (refusal.status != 0) return Refuse(refusal);
  parsed_.head.peer = peer_;
  begin_ = head_end_ = head_bytes;
  return CallOnHead();
}

// The handler wants the body.
bool Connection::BeginBody(int64_t most_bytes) {
  most_body_bytes_ = std::min(most_bytes, limits_.body_bytes);
  const RequestHead& head = parsed_.head;
  const uint64_t length = head.content_length.value_or(0);
  if (length > static_cast<uint64_t>(most_body_bytes_)) {
    return Refuse({413, "the body is too long"});
  }
  if (!head.chunked && length == 0) {
    Dispatch(absl::string_view(kNoBody, 0));
    return true;
  }
  if (!Reserve(std::min<uint64_t>(length, kLeastReserveStep))) return false;
  body_in_place_ = !head.chunked && head_end_ + length + kBodyPadding <= work_->in.capacity();
  if (head.chunked) {
    chunked_.emplace(limits_, most_body_bytes_);
  } else if (!body_in_place_ && !work_->body.Reserve(length + kBodyPadding)) {
    return Refuse({503, "no memory for the body"});
  }
  if (parsed_.expects_continue && begin_ == end_) {
    work_->out.append("HTTP/1.1 100 Continue\r\n\r\n");
  }
  state_ = State::kBody;
  body_bytes_ = 0;
  body_seen_ = end_ - begin_;
  if (head.chunked || body_seen_ < length) {  // else it is whole, and dispatched next
    since_ms_ = CoarseNowMs();
    deadline_ms_ = since_ms_ + limits_.body_timeout_ms;
  }
  return true;
}

bool Connection::StepBody() {
  const bool progress = chunked_ ? StepChunkedBody() : StepWholeBody();
  if (!progress && eof_ && state_ == State::kBody) {
    Drop();
    closing_ = true;
  }
  return progress;
}

bool Connection::StepWholeBody() {
  const size_t length = *parsed_.head.content_length;
  if (body_in_place_) {
    if (end_ - begin_ < length) return false;
    return TakeInPlaceBody(length);
  }
  if (begin_ < end_) {
    const size_t count = std::min(end_ - begin_, length - body_bytes_);
    std::memcpy(work_->body.data() + body_bytes_, work_->in.data() + begin_, count);
    begin_ += count;
    body_bytes_ += count;
  }
  const size_t step = std::clamp(body_bytes_, kLeastReserveStep, kMostReserveStep);
  if (!Reserve(std::min(length, body_bytes_ + step))) return false;
  if (body_bytes_ < length) return false;
  std::memset(work_->body.data() + length, 0, kBodyPadding);
  Dispatch(absl::string_view(work_->body.data(), length));
  return true;
}

bool Connection::TakeInPlaceBody(size_t length) {
  char* body = work_->in.data() + begin_;
  begin_ += length;
  if (begin_ == end_) {
    // Nothing behind it: the padding may stand in the buffer, and the next request behind that.
    std::memset(body + length, 0, kBodyPadding);
    begin_ = end_ = end_ + kBodyPadding;
  } else {
    if (!work_->body.Reserve(length + kBodyPadding)) {
      return Refuse({503, "no memory for the body"});
    }
    std::memcpy(work_->body.data(), body, length);
    body = work_->body.data();
    std::memset(body + length, 0, kBodyPadding);
  }
  Dispatch(absl::string_view(body, length));
  return true;
}

bool Connection::StepChunkedBody() {
  absl::string_view input(work_->in.data() + begin_, end_ - begin_);
  for (;;) {
    absl::string_view content;
    const ChunkedDecoder::Result result = chunked_->Next(input, content);
    begin_ = end_ - input.size();
    switch (result) {
      case ChunkedDecoder::Result::kContent:
        if (!GrowBody(body_bytes_ + content.size())) return false;
        std::memcpy(work_->body.data() + body_bytes_, content.data(), content.size());
        body_bytes_ += content.size();
        break;
      case ChunkedDecoder::Result::kMore:
        begin_ = end_ = head_end_;
        return false;
      case ChunkedDecoder::Result::kRefused:
        return Refuse(chunked_->refusal());
      case ChunkedDecoder::Result::kDone:
        if (body_bytes_ == 0) {
          Dispatch(absl::string_view(kNoBody, 0));
          return true;
        }
        std::memset(work_->body.data() + body_bytes_, 0, kBodyPadding);
        Dispatch(absl::string_view(work_->body.data(), body_bytes_));
        return true;
    }
  }
}

bool Connection::GrowBody(size_t size) {
  if (!Reserve(size)) return false;
  if (size + kBodyPadding <= work_->body.capacity()) return true;
  if (work_->body.Reserve(std::max(2 * work_->body.capacity(), size + kBodyPadding))) return true;
  Refuse({503, "no memory for the body"});
  return false;
}

// False: there are too many bytes in flight, and the request was refused.
bool Connection::Reserve(size_t bytes) {
  const int64_t more = static_cast<int64_t>(bytes) - reserved_bytes_;
  if (more <= 0) return true;
  if (!shard_->state().ReserveBytes(more)) {
    Refuse({503, "too many requests are under way"});
    return false;
  }
  reserved_bytes_ += more;
  return true;
}

// The same for a head that is longer than usual.
bool Connection::GrowInput(size_t capacity) {
  const auto more = static_cast<int64_t>(capacity - work_->in.capacity());
  if (!shard_->state().ReserveBytes(more)) {
    Refuse({503, "too many requests are under way"});
    return false;
  }
  reserved_input_bytes_ += more;
  if (work_->in.Reserve(capacity)) return true;
  Refuse({503, "no memory for the head"});
  return false;
}

bool Connection::StepDiscard() {
  const uint64_t count = std::min<uint64_t>(end_ - begin_, discard_left_);
  begin_ += count;
  discard_left_ -= count;
  if (discard_left_ == 0) {
    BeginIdle();
    return true;
  }
  begin_ = end_ = 0;
  if (eof_) closing_ = true;
  return false;
}

// Answers by itself and closes. Returns true: there is an answer to write.
bool Connection::Refuse(Refusal refusal) {
  if (phase_ == Phase::kReading) Drop();
  const std::string body = std::string(refusal.text) + "\n";
  const HeaderField retry = {"Retry-After", "1"};
  Response response;
  response.status = refusal.status;
  response.content_type = "text/plain";
  response.body = body;
  if (refusal.status == 503) response.headers = std::span(&retry, 1);
  AppendResponse(response, for_head_, true, shard_->date(), work_->out);
  closing_ = true;
  state_ = State::kFlush;
  return true;
}

}  // namespace webhook::http
