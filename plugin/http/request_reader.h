// Reads the requests of one connection from bytes, without a socket.
//
// The owner copies bytes into Space, calls Received, and then Next until that needs more bytes.
// There is one request at a time: its head, then its body (ReadBody) or none, then Finish. Bytes of
// the next request (pipelining, RFC 9112 section 9.3.2) wait in the buffer.
#ifndef PLUGIN_HTTP_REQUEST_READER_H_
#define PLUGIN_HTTP_REQUEST_READER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/strings/string_view.h"
#include "plugin/http/byte_budget.h"
#include "plugin/http/chunked_decoder.h"
#include "plugin/http/head_parser.h"
#include "plugin/http/message.h"
#include "plugin/limits/limits.h"

namespace webhook::http {

// Readable zero bytes after a body's end: as many as simdjson reads past a document.
inline constexpr size_t kBodyPadding = 64;

// A block of bytes that grows on demand. It is mapped, so that freeing it shrinks the process.
class ByteBlock {
 public:
  ByteBlock() = default;
  ~ByteBlock() { Free(); }
  ByteBlock(const ByteBlock&) = delete;
  ByteBlock& operator=(const ByteBlock&) = delete;

  char* data() { return data_; }
  size_t capacity() const { return capacity_; }

  // Grows to at least `capacity` bytes and keeps the content. False: no memory, and nothing has
  // changed. Pages that are never touched cost nothing.
  bool Reserve(size_t capacity);
  void Free();

 private:
  char* data_ = nullptr;
  size_t capacity_ = 0;
};

// Not synchronized. Next throws std::bad_alloc if there is no memory for a head's fields; after
// that, as after a refusal, only Begin and End may be called.
class RequestReader {
 public:
  static constexpr size_t kReadBytes = 16 * 1024;  // of the usual input buffer

  enum class Event {
    kMore,     // more bytes are needed, or a call of ReadBody or Finish
    kHead,     // head() is complete: call ReadBody, or Finish and perhaps Skip
    kBody,     // body() is complete: call Finish
    kSkipped,  // the bytes that Skip was told of are gone
    kRefused,  // see refusal(); where the request ends is not known
  };

  // Begins to read a connection's requests. False: no memory. Both arguments must live until End.
  bool Begin(const Limits& limits, ByteBudget& budget);

  // The connection is closed or idle: gives back large buffers and everything that was reserved.
  void End();

  // Goes one step on with the bytes that are there.
  Event Next();

  // Can more bytes be used now?
  bool WantsBytes() const;
  // Where to put them. Empty: there is no room, or no memory, and Next returns kRefused.
  std::span<char> Space();
  void Received(size_t count);

  // No byte of a request is buffered.
  bool empty() const { return begin_ == end_; }

  // Valid from kHead until Finish. The memory behind the views does not move.
  RequestHead& head() { return parser_.head(); }
  const RequestHead& head() const { return parser_.head(); }
  bool keep_alive() const { return parser_.keep_alive(); }
  bool expects_continue() const { return parser_.expects_continue(); }
  bool is_head_method() const { return parser_.is_head_method(); }
  // Once, after kHead: gives the path the spelling that all equivalent ones have in common, in
  // place. A doubled slash at its begin becomes one, and escapes of unreserved characters are
  // undone (RFC 3986 section 6.2.2.2). Dot segments, other slashes and other escapes are left as
  // they are.
  void NormalizePath();
  size_t head_bytes() const { return parser_.size(); }

  // While no head is complete, also after kRefused: what is known of it.
  absl::string_view method() { return parser_.method(input_.data() + begin_); }
  absl::string_view path() { return parser_.path(input_.data() + begin_); }
  size_t buffered_bytes() const { return end_ - begin_; }

  // After kHead: reads the body if it has at most `most_bytes`, and Limits::body_bytes. `instance`
  // counts what it holds (see ByteBudget), until Finish.
  void ReadBody(int64_t most_bytes, std::atomic<int64_t>* instance = nullptr);
  // After ReadBody: the sender waits for `100 Continue` and has sent nothing of the body yet.
  bool waits_for_continue() const;
  // Valid from kBody until Finish, and empty before. kBodyPadding zero bytes follow.
  absl::string_view body() const { return body_; }
  // The bytes that were received since ReadBody, as they were sent.
  size_t body_received() const { return body_received_; }

  // Forgets the request and gives back a large body's memory.
  void Finish();
  // After Finish: discards that many bytes.
  void Skip(uint64_t bytes);

  // After kRefused.
  Refusal refusal() const { return refusal_; }

  // The buffers' size.
  size_t held_bytes() const { return input_.capacity() + block_.capacity(); }

 private:
  enum class State {
    kHead,         // reads one, or waits for its first byte
    kDecide,       // kHead was told
    kInPlaceBody,  // stays where it is, behind its head; or there is none
    kWholeBody,    // goes into a buffer of its own
    kChunkedBody,  // the same, decoded
    kDone,         // kBody was told
    kSkip,
    kRefused,
  };

  Event ReadHead();
  Event ReadInPlaceBody();
  Event ReadWholeBody();
  Event ReadChunkedBody();
  Event ReadSkipped();
  Event Refuse(int status, const char* text) { return Refuse(Refusal{status, text}); }
  Event Refuse(Refusal refusal);
  Event GiveBody(const char* data, size_t size);
  bool Reserve(size_t bytes, size_t request_bytes);
  bool GrowInput(size_t capacity);
  bool GrowBody(size_t size);
  void Compact();

  const Limits* limits_ = nullptr;
  ByteBudget* budget_ = nullptr;
  State state_ = State::kHead;
  HeadParser parser_;
  std::optional<ChunkedDecoder> chunked_;
  Refusal refusal_;
  absl::string_view body_;

  ByteBlock input_;   // what was received: heads, and bodies that fit in behind them
  ByteBlock block_;   // bodies that do not
  size_t begin_ = 0;  // of the input, [begin_, end_) was received and is not used yet
  size_t end_ = 0;
  size_t head_end_ = 0;    // chunked bodies are received behind it
  size_t body_bytes_ = 0;  // of the body, decoded, so far
  size_t body_received_ = 0;
  uint64_t skip_left_ = 0;
  std::atomic<int64_t>* instance_ = nullptr;
  int64_t reserved_bytes_ = 0;        // for the body
  int64_t reserved_input_bytes_ = 0;  // by which the input has grown
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_REQUEST_READER_H_
