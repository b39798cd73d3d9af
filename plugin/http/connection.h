// One connection: reads requests, hands them to the handler one at a time, writes the answers.
//
// Everything but Respond and GiveUp runs on the connection's thread. Drive is its loop;
// RequestReader makes requests of bytes.
#ifndef PLUGIN_HTTP_CONNECTION_H_
#define PLUGIN_HTTP_CONNECTION_H_

#include <atomic>
#include <memory>
#include <string>

#include "plugin/http/event_loop.h"
#include "plugin/http/handler.h"
#include "plugin/http/shard.h"

namespace webhook::http {

class Connection final : public Exchange, private EventLoop::Watcher {
 public:
  Connection(std::shared_ptr<Shard> shard, Descriptor socket, Peer peer, Place* place,
             std::shared_ptr<const TlsContext> tls, uint32_t policy);
  ~Connection();

  // Answers with the refusal at once if it has a status.
  void Start(const Refusal& refusal);

  // [any thread, between ServerState::Enter and Leave] The smaller, the sooner it should give way.
  static constexpr int64_t kBusy = INT64_MAX;
  int64_t idle_rank() const { return idle_rank_.load(std::memory_order_relaxed); }
  // [the same] Closes the connection soon if it is still idle then. Not while it is kBusy.
  void AskToGiveWay();

  // Called by the shard: from time to time; when a drain begins; when all must end now.
  void OnSweep(int64_t now_ms);
  void OnDrain();
  // If new connections are made under another policy than this one, it ends: at once if it is idle,
  // or else with the request that has begun.
  void OnTlsChanged();
  void Cut() { Close(LRI_REASON_STOPPING); }
  // There is a request or an answer that Cut would lose.
  bool busy() const;

  // Exchange.
  const RequestHead& head() const override { return work_->reader.head(); }
  absl::string_view body() const override { return work_->reader.body(); }
  int thread() const override { return shard_->loop().index; }
  void Respond(const Response& response) override;
  void GiveUp() noexcept override;

 private:
  friend class ServerState;
  friend class Shard;

  // What the connection waits for. Each state has its deadline.
  enum class State {
    kProxy,      // the rest of a PROXY header
    kHandshake,  // TLS
    kIdle,       // a request
    kHead,       // the rest of a head
    kBody,       // the rest of a body
    kAnswer,     // the handler's
    kSkip,       // the end of a body that nobody wants
    kFlush,      // the last answer to be written; nothing is read any more
    kLinger,     // the peer's end; what comes is thrown away
    kClosed,     // nothing, but for an exchange that is not answered yet
  };

  // Where the exchange is.
  enum class Phase {
    kNone,     // there is none
    kInHead,   // inside OnHead
    kReading,  // OnHead wanted the body
    kHeld,     // OnRequest was called, and Respond is owed
    kLost,     // the same, but the answer is not wanted any more
  };

  // The driver.
  void Drive();
  bool Step();
  bool StepHandshake();
  bool StepReader();
  bool HasInput() const { return work_ != nullptr && !work_->reader.empty(); }
  bool BodyIsTooSlow(int64_t now_ms) const;
  // The server stops, and the peer is to be told.
  bool hurry() const { return shard_->draining() && !shard_->patient(); }
  void SetDeadline(int64_t timeout_ms);
  void SetRequestDeadline(int64_t timeout_ms);
  void OnDeadline();
  void BeginIdle();
  void SetIdleRank(int64_t rank) { idle_rank_.store(rank, std::memory_order_relaxed); }
  void GiveWay();
  bool HasArrived() const;
  void BeginLinger();
  // `reason` is told if a request or the connection itself is refused by that.
  void Close(lri_reason reason = LRI_REASON_PEER_GONE, absl::string_view detail = "");
  absl::string_view WhyClosed(lri_reason reason) const;
  bool IsOwed(lri_reason reason) const;
  void Resume();
  void OnResume();

  // Bytes in and out.
  bool WantsRead() const;
  void OnEvents(uint32_t events) override;
  void UpdateWatch();
  bool Read();
  bool ReadProxyHeader();
  bool ReadDecrypted();
  bool Receive(char* data, size_t size, size_t* count);
  bool Write();
  bool WriteSome(absl::string_view bytes, size_t* count);
  void WaitWritable();
  void CountUnread(size_t bytes);
  void ReleaseWorkspace();

  // The handler's side.
  bool CallOnHead();
  void TakeSender(RequestHead& head);
  void ForgetSender();
  void EndSendersRequest();
  bool Refuse(Refusal refusal);
  void AnswerAndClose(const Refusal& refusal);
  void Answer(const Response& response, bool close);
  void Tell(int status, lri_reason reason, absl::string_view detail, size_t bytes_out) noexcept;
  bool WillClose() const;
  void RespondHere(const Response& response);
  void OnHandedOver();
  void AfterAnswer(bool close);
  void EndExchange();
  void EndWithoutAnswer();
  void Drop();
  void AnswerTimedOut();

  EventLoop& events() const { return shard_->loop().events; }
  int64_t now_ms() const { return events().now_ms(); }

  const std::shared_ptr<Shard> shard_;
  const Limits& limits_;
  Descriptor socket_;
  std::string peer_;
  std::shared_ptr<const Proxies> proxies_;  // null: the peer is none of them
  const uint32_t policy_;                   // ServerState::policy, when it was made
  Place* place_;                            // changed by ServerState::Move alone
  ByteBudget budget_;
  std::unique_ptr<TlsSession> tls_;
  std::unique_ptr<Workspace> work_;  // null while idle for a while
  std::string proxy_header_;         // what has come of it, in kProxy
  // Who sent the last request, by what the peer states; null: the peer.
  struct Sender {
    Address address;
    std::string text;
    AddressBytes* bytes = nullptr;
    bool at_work = false;  // counted in bytes->requests
  };
  std::unique_ptr<Sender> sender_;

  State state_ = State::kIdle;
  Phase phase_ = Phase::kNone;
  bool driving_ = false;   // Drive is on the stack
  bool readable_ = false;  // the socket may have bytes; else an event tells
  bool writing_ = false;   // waits for the socket to take more
  bool eof_ = false;       // the peer has closed its side
  bool last_ = false;      // no request comes after the present one
  bool resuming_ = false;  // OnResume is on its way
  bool doubtful_ = false;  // RequestHead::peer_is_doubtful, of all its requests
  uint32_t watched_ = 0;   // the events that the loop watches for
  int receives_ = 0;       // since Drive began

  size_t out_sent_ = 0;       // of the output buffer
  int64_t unread_bytes_ = 0;  // of the output buffer, while the peer does not read; in the budget
  int64_t deadline_ms_ = 0;
  int64_t write_deadline_ms_ = 0;  // 0: none
  int64_t since_ms_ = 0;           // when idling or the body began
  int64_t begun_ns_ = 0;  // when the request's first byte came; the connection, if none did
  int64_t requests_ = 0;
  std::atomic<int64_t> idle_rank_{kBusy};
  std::atomic<bool> giving_way_{false};  // GiveWay is on its way
  size_t handshake_bytes_ = 0;           // received

  // What another thread leaves for OnHandedOver: where the status line of its answer ends, or 0
  // when it gave up; and what is told of it.
  size_t handed_over_status_line_ = 0;
  int handed_over_status_ = 0;
  lri_reason handed_over_reason_ = LRI_REASON_ANSWERED;
  std::atomic<bool> answered_{false};  // Respond was called

  MemberTask<&Connection::OnResume, Connection> resume_{*this};
  MemberTask<&Connection::OnHandedOver, Connection> hand_over_{*this};
  MemberTask<&Connection::GiveWay, Connection> give_way_{*this};

  Connection* next_ = nullptr;  // the shard's list
  Connection* previous_ = nullptr;
  Connection* next_of_place_ = nullptr;  // guarded by ServerState's mutex, as the next one
  Connection* previous_of_place_ = nullptr;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_CONNECTION_H_
