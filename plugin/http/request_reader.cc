#include "plugin/http/request_reader.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "plugin/base/characters.h"

namespace webhook::http {
namespace {

constexpr size_t kPage = 4096;

// Behind an empty body.
constexpr char kNoBody[kBodyPadding] = {};

// A head leaves this much room behind it in its buffer, for chunked bodies to be received into.
constexpr size_t kRoomBehindHead = 4096;

// Memory is reserved in steps that grow as a body arrives: announcing much, and sending a little of
// it, reserves little.
constexpr size_t kLeastReserveStep = 16 * 1024;
constexpr size_t kMostReserveStep = 256 * 1024;

constexpr size_t kKeptBodyBytes = 64 * 1024;  // larger buffers are given back after the request

}  // namespace

bool ByteBlock::Reserve(size_t capacity) {
  if (capacity <= capacity_) return true;
  capacity = (capacity + kPage - 1) / kPage * kPage;
  const auto map = [capacity] {
    return mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer does not know mremap. It would take a block that moved for what another thread
  // had at the same address before.
  void* block = map();
  if (block != MAP_FAILED && data_ != nullptr) {
    std::memcpy(block, data_, capacity_);
    munmap(data_, capacity_);
  }
#else
  void* block = data_ == nullptr ? map() : mremap(data_, capacity_, capacity, MREMAP_MAYMOVE);
#endif
  if (block == MAP_FAILED) return false;
  data_ = static_cast<char*>(block);
  capacity_ = capacity;
  return true;
}

void ByteBlock::Free() {
  if (data_ != nullptr) munmap(data_, capacity_);
  data_ = nullptr;
  capacity_ = 0;
}

bool RequestReader::Begin(const Limits& limits, ByteBudget& budget) {
  limits_ = &limits;
  budget_ = &budget;
  begin_ = end_ = 0;
  Finish();
  return input_.Reserve(kReadBytes);
}

void RequestReader::End() {
  if (budget_ == nullptr) return;
  begin_ = end_ = 0;
  Finish();
  if (input_.capacity() > kReadBytes) input_.Free();
  if (reserved_input_bytes_ > 0) {
    budget_->Release(std::exchange(reserved_input_bytes_, 0), nullptr);
  }
  budget_ = nullptr;
}

void RequestReader::Finish() {
  state_ = State::kHead;
  parser_.Begin(*limits_);
  chunked_.reset();
  body_ = absl::string_view();
  // Memory that is not counted any more must not be kept: a busy connection does not reach End.
  if (block_.capacity() > kKeptBodyBytes) block_.Free();
  if (reserved_bytes_ > 0) budget_->Release(std::exchange(reserved_bytes_, 0), instance_);
  if (empty()) begin_ = end_ = 0;
}

void RequestReader::Skip(uint64_t bytes) {
  skip_left_ = bytes;
  state_ = State::kSkip;
}

RequestReader::Event RequestReader::Refuse(Refusal refusal) {
  refusal_ = refusal;
  state_ = State::kRefused;
  return Event::kRefused;
}

RequestReader::Event RequestReader::Next() {
  switch (state_) {
    case State::kHead:
      return empty() ? Event::kMore : ReadHead();
    case State::kInPlaceBody:
      return ReadInPlaceBody();
    case State::kWholeBody:
      return ReadWholeBody();
    case State::kChunkedBody:
      return ReadChunkedBody();
    case State::kSkip:
      return ReadSkipped();
    case State::kRefused:
      return Event::kRefused;
    case State::kDecide:
    case State::kDone:
      return Event::kMore;
  }
  return Event::kMore;
}

bool RequestReader::WantsBytes() const {
  switch (state_) {
    case State::kDecide:
    case State::kRefused:
      return false;
    // Read ahead, so that an end is noticed and the next request is at hand; once is enough.
    case State::kDone:
      return empty() && end_ < input_.capacity();
    default:
      return true;
  }
}

std::span<char> RequestReader::Space() {
  if (state_ == State::kWholeBody) {
    return {block_.data() + body_bytes_, *head().content_length - body_bytes_};
  }
  if (state_ == State::kHead) {
    Compact();
    if (end_ == input_.capacity() && !GrowInput(2 * end_)) return {};
  }
  size_t size = input_.capacity() - end_;
  if (state_ == State::kDone) size = std::min<size_t>(size, limits_->pipelined_bytes);
  return {input_.data() + end_, size};
}

void RequestReader::Received(size_t count) {
  body_received_ += count;
  (state_ == State::kWholeBody ? body_bytes_ : end_) += count;
}

// Moves what is not used yet to the buffer's front, unless much would have to be moved.
void RequestReader::Compact() {
  if (begin_ == 0) return;
  const size_t bytes = end_ - begin_;
  if (bytes > 1024 && input_.capacity() - end_ > kRoomBehindHead) return;
  std::memmove(input_.data(), input_.data() + begin_, bytes);
  begin_ = 0;
  end_ = bytes;
}

RequestReader::Event RequestReader::ReadHead() {
  Compact();
  HeadParser::Result result = parser_.Feed(input_.data() + begin_, end_ - begin_);
  if (result == HeadParser::Result::kMore) return Event::kMore;
  if (result == HeadParser::Result::kRefused) return Refuse(parser_.refusal());
  head_end_ = begin_ + parser_.size();
  if (input_.capacity() - head_end_ < kRoomBehindHead) {
    // A long head, which is rare. The buffer moves, so the head is read again for its views.
    if (!GrowInput(head_end_ + 2 * kRoomBehindHead)) return Event::kRefused;
    parser_.Begin(*limits_);
    parser_.Feed(input_.data() + begin_, end_ - begin_);
  }
  begin_ = head_end_;
  state_ = State::kDecide;
  return Event::kHead;
}

// A body that stays in the usual buffer needs nothing of the budget.
void RequestReader::ReadBody(int64_t most_bytes, std::atomic<int64_t>* instance) {
  const uint64_t most = std::min(most_bytes, limits_->body_bytes);
  const bool chunked = head().chunked;
  const uint64_t length = head().content_length.value_or(0);
  body_bytes_ = 0;
  body_received_ = end_ - begin_;
  instance_ = instance;
  if (length > most) {
    Refuse(413, "the body is longer than the limit body_bytes");
  } else if (chunked) {
    chunked_.emplace(*limits_, most);
    state_ = State::kChunkedBody;
  } else if (head_end_ + length + kBodyPadding <= input_.capacity()) {
    state_ = State::kInPlaceBody;
  } else if (!Reserve(std::min<uint64_t>(length, kLeastReserveStep), length)) {
    return;
  } else if (block_.Reserve(length + kBodyPadding)) {
    state_ = State::kWholeBody;
  } else {
    Refuse(503, "no memory for the body");
  }
}

void RequestReader::NormalizePath() {
  absl::string_view& path = parser_.head().path;
  if (absl::StartsWith(path, "//")) path.remove_prefix(1);
  const size_t first = path.find('%');
  if (first == absl::string_view::npos) return;
  char* out = input_.data() + (path.data() - input_.data()) + first;
  for (size_t i = first; i < path.size(); ++i) {
    // The parser has refused broken escapes.
    char c = path[i];
    if (c == '%') {
      const int decoded = 16 * base::HexDigit(path[i + 1]) + base::HexDigit(path[i + 2]);
      if (base::IsAlphanumeric(decoded) || base::IsOneOf(decoded, "-._~")) {
        c = static_cast<char>(decoded);
        i += 2;
      }
    }
    *out++ = c;
  }
  path = path.substr(0, static_cast<size_t>(out - path.data()));
}

bool RequestReader::waits_for_continue() const {
  const bool reads_body = state_ == State::kWholeBody || state_ == State::kChunkedBody ||
                          (state_ == State::kInPlaceBody && head().content_length > 0u);
  return reads_body && empty() && parser_.expects_continue();
}

RequestReader::Event RequestReader::GiveBody(const char* data, size_t size) {
  body_ = absl::string_view(data, size);
  state_ = State::kDone;
  return Event::kBody;
}

RequestReader::Event RequestReader::ReadInPlaceBody() {
  const size_t length = head().content_length.value_or(0);
  if (length == 0) return GiveBody(kNoBody, 0);
  if (end_ - begin_ < length) return Event::kMore;
  char* body = input_.data() + begin_;
  begin_ += length;
  if (empty()) {
    // Nothing follows: the padding fits into the buffer, and the next request comes behind it.
    std::memset(body + length, 0, kBodyPadding);
    begin_ = end_ = end_ + kBodyPadding;
    return GiveBody(body, length);
  }
  if (!block_.Reserve(length + kBodyPadding)) return Refuse(503, "no memory for the body");
  std::memcpy(block_.data(), body, length);
  std::memset(block_.data() + length, 0, kBodyPadding);
  return GiveBody(block_.data(), length);
}

RequestReader::Event RequestReader::ReadWholeBody() {
  const size_t length = *head().content_length;
  const size_t count = std::min(end_ - begin_, length - body_bytes_);
  if (count > 0) {
    std::memcpy(block_.data() + body_bytes_, input_.data() + begin_, count);
    begin_ += count;
    body_bytes_ += count;
  }
  const size_t step = std::clamp(body_bytes_, kLeastReserveStep, kMostReserveStep);
  if (!Reserve(std::min(length, body_bytes_ + step), length)) return Event::kRefused;
  if (body_bytes_ < length) return Event::kMore;
  std::memset(block_.data() + length, 0, kBodyPadding);
  return GiveBody(block_.data(), length);
}

RequestReader::Event RequestReader::ReadChunkedBody() {
  absl::string_view input(input_.data() + begin_, end_ - begin_);
  for (;;) {
    absl::string_view content;
    const ChunkedDecoder::Result result = chunked_->Next(input, content);
    begin_ = end_ - input.size();
    switch (result) {
      case ChunkedDecoder::Result::kContent:
        if (!GrowBody(body_bytes_ + content.size())) return Event::kRefused;
        std::memcpy(block_.data() + body_bytes_, content.data(), content.size());
        body_bytes_ += content.size();
        break;
      case ChunkedDecoder::Result::kMore:
        begin_ = end_ = head_end_;
        return Event::kMore;
      case ChunkedDecoder::Result::kRefused:
        return Refuse(chunked_->refusal());
      case ChunkedDecoder::Result::kDone:
        if (body_bytes_ == 0) return GiveBody(kNoBody, 0);
        std::memset(block_.data() + body_bytes_, 0, kBodyPadding);
        return GiveBody(block_.data(), body_bytes_);
    }
  }
}

RequestReader::Event RequestReader::ReadSkipped() {
  const uint64_t count = std::min<uint64_t>(end_ - begin_, skip_left_);
  begin_ += count;
  skip_left_ -= count;
  if (skip_left_ > 0) {
    begin_ = end_ = 0;
    return Event::kMore;
  }
  state_ = State::kHead;
  return Event::kSkipped;
}

// False: there are too many bytes in flight, and the request is refused.
bool RequestReader::Reserve(size_t bytes, size_t request_bytes) {
  const int64_t more = static_cast<int64_t>(bytes) - reserved_bytes_;
  if (more <= 0) return true;
  const auto all = static_cast<int64_t>(request_bytes);
  if (const char* const used_up = budget_->Reserve(more, all, instance_)) {
    Refuse(503, used_up);
    return false;
  }
  reserved_bytes_ += more;
  return true;
}

bool RequestReader::GrowBody(size_t size) {
  if (!Reserve(size, size)) return false;
  if (size + kBodyPadding <= block_.capacity()) return true;
  if (block_.Reserve(std::max(2 * block_.capacity(), size + kBodyPadding))) return true;
  Refuse(503, "no memory for the body");
  return false;
}

// For a head that is longer than usual.
bool RequestReader::GrowInput(size_t capacity) {
  const auto more = static_cast<int64_t>(capacity - input_.capacity());
  if (const char* const used_up = budget_->Reserve(more, static_cast<int64_t>(capacity), nullptr)) {
    Refuse(503, used_up);
    return false;
  }
  reserved_input_bytes_ += more;
  if (input_.Reserve(capacity)) return true;
  Refuse(503, "no memory for the head");
  return false;
}

}  // namespace webhook::http
