// One connection: reads requests, hands them to the handler one at a time, writes the answers.
//
// All but Respond runs on the connection's thread. The order of things is in Drive (connection.cc);
// connection_io.cc moves bytes, connection_request.cc understands them, connection_exchange.cc
// deals with the handler.
#ifndef PLUGIN_HTTP_CONNECTION_H_
#define PLUGIN_HTTP_CONNECTION_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "plugin/http/chunked_decoder.h"
#include "plugin/http/handler.h"
#include "plugin/http/head_parser.h"
#include "plugin/http/head_scan.h"
#include "plugin/http/operation_slot.h"
#include "plugin/http/shard.h"
#include "plugin/http/socket_events.h"
#include "plugin/http/tls_session.h"
#include "plugin/http/workspace.h"

namespace webhook::http {

class Connection final : public Exchange, private SocketWatcher {
 public:
  Connection(std::shared_ptr<Shard> shard, Socket socket, std::string peer,
             std::shared_ptr<const TlsContext> tls);
  ~Connection();

  void Start();
  const std::string& peer() const { return peer_; }

  // From the shard: time has passed; a drain began; all must end now.
  void OnSweep(int64_t now_ms);
  void OnDrain();
  void Cut() { Close(); }
  // Is there a request or an answer that Cut would lose?
  bool busy() const;

  // Exchange.
  const RequestHead& head() const override { return parsed_.head; }
  absl::string_view body() const override { return body_; }
  int thread() const override { return shard_->loop().index; }
  void Respond(const Response& response) override;
  void GiveUp() noexcept override;

 private:
  friend class Shard;

  // What the bytes that come next are.
  enum class State {
    kHandshake,  // TLS
    kIdle,       // a request that has not begun
    kHead,       //
    kBody,       //
    kAnswer,     // read ahead while the handler has a request
    kDiscard,    // a body that nobody wants
    kFlush,      // nothing is read any more: the last answer is on its way
    kLinger,     // thrown away until the peer has closed, too
    kClosed,
  };

  // How far the handler is with the exchange.
  enum class Phase {
    kNone,     // it has none
    kInHead,   // inside OnHead
    kReading,  // OnHead wanted the body
    kHeld,     // OnRequest was called, Respond is owed
  };

  // Keeps the object while a function of it runs; the outermost one deletes it if it is over.
  class Hold;

  // connection.cc: the driver and the ends.
  void Drive();
  void DriveOn();
  bool Step();
  void SetDeadline(int64_t timeout_ms) { deadline_ms_ = CoarseNowMs() + timeout_ms; }
  void OnDeadline();
  void BeginIdle();
  void FinishWriting();
  void BeginLinger();
  void Close();
  bool MayBeDeleted() const;

  // connection_io.cc: bytes in and out.
  bool WantsRead() const;
  void OnSocketEvents(uint32_t events) override;
  bool Read();
  bool ReadDecrypted();
  bool ReceiveCipher();
  bool Receive(char* data, size_t size, size_t* count);
  bool ReadsBody() const;
  void Received(size_t count);
  bool ReadSpace(char*& data, size_t& size);
  bool Flush();
  void WaitWritable();
  void PostResume();
  void OnResume();
  void ReleaseWorkspace();
  void CountUnread(size_t bytes);

  // connection_request.cc: heads and bodies.
  bool StepHandshake();
  bool StepHead();
  bool StepBody();
  bool StepDiscard();
  bool TakeHead();
  bool BeginBody(int64_t most_bytes);
  bool StepWholeBody();
  bool StepChunkedBody();
  bool TakeInPlaceBody(size_t size);
  bool GrowBody(size_t size);
  bool Reserve(size_t bytes);
  bool GrowInput(size_t capacity);
  bool Refuse(Refusal refusal);
  void Compact();

  // connection_exchange.cc: the handler's side.
  bool CallOnHead();
  void Dispatch(absl::string_view body);
  bool WillClose() const;
  void RespondHere(const Response& response);
  void OnHandedOver();
  void AfterAnswer(bool close);
  void EndExchange();
  void Drop();
  void Abandon();
  void AnswerTimedOut();

  const std::shared_ptr<Shard> shard_;
  const Limits& limits_;
  Socket socket_;
  const std::string peer_;
  std::unique_ptr<TlsSession> tls_;
  std::unique_ptr<Workspace> work_;  // null while idle for a while

  State state_ = State::kIdle;
  Phase phase_ = Phase::kNone;
  bool readable_ = false;  // the socket may have bytes; else an event will tell
  // Behind the bytes is an end or an error, which is told only once, or urgent data was among them,
  // at which a read stops early.
  bool reads_to_the_end_ = false;
  bool writing_ = false;   // waits for the socket to take more
  bool resuming_ = false;  // OnResume is on its way
  bool driving_ = false;   // Drive is on the stack
  bool eof_ = false;       // the peer has closed its side
  bool closing_ = false;   // after what is in the output buffer
  bool paused_ = false;    // Step waits for the answers so far to be written
  bool given_up_ = false;  // GiveUp was called on another thread
  bool lost_ = false;      // the handler's answer is no longer wanted
  bool deleted_ = false;
  bool body_in_place_ = false;
  bool for_head_ = false;  // the request's method is HEAD: its answer has no body
  int depth_ = 0;
  int receives_ = 0;  // since the loop had its turn

  // The input buffer: [begin_, end_) was received and not yet used.
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t head_end_ = 0;    // chunked bodies are read behind it
  size_t body_bytes_ = 0;  // of the body so far, decoded
  size_t body_seen_ = 0;   // received for the body, coded
  uint64_t discard_left_ = 0;
  size_t out_sent_ = 0;  // of the output buffer
  size_t handed_over_status_line_ = 0;
  // Bytes in flight that are counted for this connection.
  int64_t reserved_bytes_ = 0;        // of the body
  int64_t reserved_input_bytes_ = 0;  // by which the input buffer has grown
  int64_t unread_bytes_ = 0;          // of the output buffer, while the peer does not read
  int64_t most_body_bytes_ = 0;

  int64_t deadline_ms_ = 0;
  int64_t write_deadline_ms_ = 0;  // 0: none
  int64_t since_ms_ = 0;           // when idling or the body began
  int64_t requests_ = 0;

  HeadScan scan_;
  ParsedHead parsed_;
  absl::string_view body_;
  std::optional<ChunkedDecoder> chunked_;
  std::atomic<bool> answered_{false};  // Respond was called

  Connection* next_ = nullptr;  // the shard's list
  Connection* next_doomed_ = nullptr;
  Connection* previous_ = nullptr;

  OperationSlot resume_slot_;
  OperationSlot hand_over_slot_;  // taken by another thread
};

class Connection::Hold {
 public:
  explicit Hold(Connection& connection) : connection_(connection) { ++connection_.depth_; }
  ~Hold() {
    if (--connection_.depth_ > 0 || !connection_.MayBeDeleted()) return;
    connection_.deleted_ = true;
    // The shard may live no longer than its last connection.
    const std::shared_ptr<Shard> shard = connection_.shard_;
    shard->Delete(connection_);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Connection& connection_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_CONNECTION_H_
