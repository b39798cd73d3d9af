// How a server hands requests over and takes answers back.
//
// The way of one request, all on its connection's thread:
//
//   OnHead       The head is complete and valid; the body has not been read.
//                -> Respond at once, or say how long the body may be.
//   OnRequest    The body is complete. -> Respond now or later, from any thread.
//   OnAnswered   The answer goes out, or there will be none: tells what became of the request.
//   OnAbandoned  (rare) Nobody waits for the answer any more. Respond is owed nevertheless.
//
// Every Exchange that was passed to OnRequest gets exactly one Respond or GiveUp. An Exchange that
// fails between OnHead and OnRequest (too long, too slow, peer gone) gets OnDropped instead.
#ifndef PLUGIN_HTTP_HANDLER_H_
#define PLUGIN_HTTP_HANDLER_H_

#include <atomic>
#include <charconv>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "plugin/abi/reasons.h"
#include "plugin/http/message.h"

namespace webhook::http {

// A request that waits for its answer. Owned by the server. Valid from OnHead until Respond is
// called or OnDropped returns; it must not be used after that.
class Exchange {
 public:
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // [any thread, until Respond] The head; its views live as long as the exchange.
  virtual const RequestHead& head() const = 0;

  // [any thread, OnRequest until Respond] The whole body, transfer coding undone. 64 zero bytes
  // are readable after its end (simdjson's padding). In OnHead: empty.
  virtual absl::string_view body() const = 0;

  // The index of the connection's thread in the server's IoThreads.
  virtual int thread() const = 0;

  // Counts the requests of that thread, of all servers: with thread() it names a request.
  uint64_t number() const { return number_; }

  // [any thread, once] Answers. May be called inside OnHead and OnRequest: the next pipelined
  // request is read after the handler has returned, never inside this call. If the peer is gone,
  // the time for an answer is over or the server is closed, the answer is dropped; that is not an
  // error. Throws std::bad_alloc if there is no memory to format the answer; then the exchange is
  // still owed one.
  virtual void Respond(const Response& response) = 0;

  // [any thread, instead of Respond] Ends the exchange without an answer and closes the connection.
  // Needs no memory.
  virtual void GiveUp() noexcept = 0;

  // A value of the handler's own, 0 at first: set in OnHead, read in OnRequest, OnAbandoned and
  // OnDropped. A pointer fits. Not synchronized; until OnRequest for the connection's thread only.
  uint64_t ticket() const { return ticket_; }
  void set_ticket(uint64_t ticket) { ticket_ = ticket; }

 protected:
  Exchange() = default;
  ~Exchange() = default;

  uint64_t ticket_ = 0;
  uint64_t number_ = 0;
};

// Writes PREFIX-THREAD-NUMBER, which names a request in logs. `prefix`: 20 bytes at most.
class RequestId {
 public:
  RequestId(absl::string_view prefix, const Exchange& exchange) {
    prefix.copy(text_, prefix.size());
    char* const end = text_ + sizeof text_;
    char* at = text_ + prefix.size();
    *at++ = '-';
    at = std::to_chars(at, end, exchange.thread()).ptr;
    *at++ = '-';
    size_ = std::to_chars(at, end, exchange.number()).ptr - text_;
  }
  absl::string_view text() const { return {text_, size_}; }

 private:
  char text_[64];
  size_t size_;
};

// What became of a request, or of a connection that was refused. The views live during the call of
// OnAnswered.
struct Answered {
  absl::string_view peer;              // as RequestHead::peer
  absl::string_view method;            // empty where it is not known
  absl::string_view path;              // the same; as received, without its query
  const Exchange* exchange = nullptr;  // for head() and ticket(), if its head is complete
  int status = 0;                      // 0: no answer was sent
  lri_reason reason = LRI_REASON_ANSWERED;
  absl::string_view detail;  // a sentence for the operator, or empty
  int64_t bytes_in = 0;      // of the request, as far as it was received
  int64_t bytes_out = 0;     // of the answer
  int64_t duration_ns = 0;   // since the request's first byte, or since the connection began
  bool over_tls = false;
};

// Responds; without memory for that, answers 503; without memory for that either, gives up. The
// exchange has ended in any case.
void RespondOrGiveUp(Exchange& exchange, const Response& response) noexcept;

// What is to happen with the body.
class HeadVerdict {
 public:
  // Read it, if it has at most `most_bytes` (Limits::body_bytes holds as well); else the server
  // answers 413 by itself. `100 Continue` is sent if the sender waits for it. `instance_bytes`
  // counts what the requests of one instance hold, for its share of Limits::bytes_in_flight; null:
  // the server is that of one instance. It must live as long as the server's threads.
  static HeadVerdict ReadBody(int64_t most_bytes = INT64_MAX,
                              std::atomic<int64_t>* instance_bytes = nullptr) {
    return HeadVerdict(most_bytes, instance_bytes);
  }

  // Respond was called inside OnHead. A short body is read and thrown away; after a long one, or
  // one whose sender waits for `100 Continue`, the connection is closed.
  static HeadVerdict Answered() { return HeadVerdict(-1, nullptr); }

  bool answered() const { return most_bytes_ < 0; }
  int64_t most_bytes() const { return most_bytes_; }
  std::atomic<int64_t>* instance_bytes() const { return instance_bytes_; }

 private:
  HeadVerdict(int64_t most_bytes, std::atomic<int64_t>* instance_bytes)
      : most_bytes_(most_bytes), instance_bytes_(instance_bytes) {}
  int64_t most_bytes_;
  std::atomic<int64_t>* instance_bytes_;
};

// Implemented by the user of a Server, which calls it on its IoThreads, several threads at a time.
// No function may block. OnHead and OnRequest may throw a std::exception when memory runs out, as
// long as nobody else has the exchange: the connection is closed then, and nothing is owed for the
// exchange any more. Must outlive the Server.
class Handler {
 public:
  virtual ~Handler() = default;

  // Decides by the head alone: path, method, credentials. Returning Answered without Respond, or
  // ReadBody after Respond, counts as what was done: the call of Respond decides.
  virtual HeadVerdict OnHead(Exchange& exchange) = 0;

  // Takes the whole request. Respond is owed from here on, exactly once.
  virtual void OnRequest(Exchange& exchange) = 0;

  // Nobody waits for the answer any more: the peer reset the connection, the server answered 504
  // after Limits::answer_timeout_ms, or a drain's deadline passed. Called at most once, after
  // OnRequest returned and only if Respond was not yet called as far as this thread can see (it
  // may be running on another one). Respond is still owed, here or later, and lets go of the
  // exchange; head() and body() stay valid until then. A peer that merely closed its sending half
  // is no reason: it gets its answer.
  virtual void OnAbandoned(Exchange& exchange) { (void)exchange; }

  // The exchange ends without OnRequest although OnHead chose ReadBody: the body was too long,
  // malformed, too slow, or its sender went away; the server answered by itself. Free what
  // ticket() stands for; do not call Respond.
  virtual void OnDropped(Exchange& exchange) { (void)exchange; }

  // A TLS handshake succeeded. On any I/O thread.
  virtual void OnHandshake() noexcept {}

  // Called exactly once for each request that was answered or whose sender went away before, when
  // the answer goes out, and for each connection that was refused; before OnAbandoned, OnDropped
  // and the release of the exchange. Not for a connection that ends between two requests. Whether
  // the peer reads the answer is not known yet. On any I/O thread, inside Respond if that is called
  // there; Respond must not be called here.
  virtual void OnAnswered(const Answered& answered) noexcept { (void)answered; }
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_HANDLER_H_
