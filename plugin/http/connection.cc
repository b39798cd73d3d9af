#include "plugin/http/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <span>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "plugin/base/clock.h"
#include "plugin/http/response_format.h"

namespace webhook::http {
namespace {

// An idle connection keeps its buffers for this long. Busy ones give back only large buffers.
constexpr int64_t kParkAfterMs = 1000;

// While draining, peers that do not close, or have not sent a request, get no more time than this.
constexpr int64_t kDrainLingerMs = 300;

constexpr Refusal kStopping = {503, "the server is stopping; nothing was done",
                               LRI_REASON_STOPPING};

// Pipelined answers are gathered up to this size before they are written.
constexpr size_t kGatheredBytes = 64 * 1024;

constexpr size_t kKeptDetailBytes = 256;

// Connections that have not sent a request rank before all others: see Connection::idle_rank.
constexpr int64_t kUnused = int64_t{1} << 62;

// After so many reads a sender that always has more bytes must let other connections have their
// turn.
constexpr int kMostReceives = 8;

Response PlainText(int status, absl::string_view text) {
  static constexpr HeaderField kRetryAfter[] = {{"Retry-After", "1"}};
  Response response{.status = status, .content_type = "text/plain", .body = text};
  if (status == 503) response.headers = kRetryAfter;
  return response;
}

}  // namespace

Connection::Connection(std::shared_ptr<Shard> shard, Descriptor socket, Peer peer, Place* place,
                       std::shared_ptr<const TlsContext> tls, uint32_t policy)
    : shard_(std::move(shard)),
      limits_(shard_->limits()),
      socket_(std::move(socket)),
      peer_(std::move(peer.text)),
      proxies_(std::move(peer.proxies)),
      policy_(policy),
      place_(place),
      budget_(shard_->state().BudgetOf(*place)) {
  if (tls != nullptr) {
    state_ = State::kHandshake;
    tls_ = TlsSession::Create(std::move(tls), socket_.get(), limits_.key_updates_of_a_connection);
  }
  if (proxies_ != nullptr && proxies_->proxy_protocol) state_ = State::kProxy;
}

Connection::~Connection() {
  ReleaseWorkspace();
  CountUnread(0);
  ForgetSender();
}

void Connection::Start(const Refusal& refusal) {
  const int yes = 1;
  setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  since_ms_ = now_ms();
  begun_ns_ = events().now_ns();
  if (state_ == State::kHandshake && tls_ == nullptr) return Close(LRI_REASON_MEMORY);
  SetDeadline(state_ == State::kProxy ? limits_.proxy_header_timeout_ms
                                      : limits_.first_byte_timeout_ms);
  // Buffers are taken when there is something to read.
  watched_ = EPOLLIN;
  if (!events().Watch(socket_, *this, watched_)) return Close(LRI_REASON_MEMORY);
  if (refusal.status == 0) return SetIdleRank(now_ms() - kUnused);
  work_ = shard_->loop().workspaces.Take(limits_, budget_);
  if (work_ == nullptr) return Close(LRI_REASON_MEMORY);
  Refuse(refusal);
  Drive();
}

// The one loop of a connection: handle the bytes that are there, write the answers, read more. It
// is never entered twice, so an answer that is given inside the handler does not recurse into the
// next request.
void Connection::Drive() {
  if (driving_) return;
  driving_ = true;
  // Always reset: the deadline sweep must be able to drive the connection after an exception.
  const absl::Cleanup over = [this] { driving_ = false; };
  receives_ = 0;
  try {
    bool more = true;
    while (more && state_ != State::kClosed) {
      do {
        more = Step();
      } while (more && (work_ == nullptr || work_->out.size() <= kGatheredBytes));
      if (!Write()) break;
      more = more || (WantsRead() && Read());
    }
  } catch (const std::exception&) {
    // Memory ran out, and the connection's state is not known any more. If an answer is on its way
    // from another thread, the connection ends with that.
    if (phase_ != Phase::kHeld) Close(LRI_REASON_MEMORY);
  }
  UpdateWatch();
}

// Goes one step on with the bytes that are there. False: more bytes, or an event, must come first.
bool Connection::Step() {
  switch (state_) {
    case State::kHandshake:
      return StepHandshake();
    case State::kIdle:
    case State::kHead:
      // A peer that sends requests without reading answers waits here.
      return !writing_ && StepReader();
    case State::kBody:
    case State::kSkip:
      return StepReader();
    default:
      return false;
  }
}

bool Connection::StepHandshake() {
  if (work_ == nullptr) return false;
  const TlsSession::Result result = eof_ ? TlsSession::Result::kEnd : tls_->Handshake();
  if (result == TlsSession::Result::kOk) {
    shard_->state().handler().OnHandshake();
    BeginIdle();
    return true;
  }
  if (result == TlsSession::Result::kWantWrite) {
    WaitWritable();
  } else if (result != TlsSession::Result::kWantRead) {
    Close(handshake_bytes_ > 0 ? LRI_REASON_TLS_HANDSHAKE : LRI_REASON_PEER_GONE,
          result == TlsSession::Result::kError
              ? tls_->fault()
              : "its sender ended the TLS handshake without saying why");
  }
  return false;
}

bool Connection::StepReader() {
  if (state_ == State::kIdle && !HasInput()) {
    if (eof_ || (hurry() && requests_ > 0)) state_ = State::kFlush;
    return false;
  }
  RequestReader& reader = work_->reader;
  if (state_ == State::kIdle) {
    begun_ns_ = events().now_ns();
    SetIdleRank(kBusy);
  }
  switch (reader.Next()) {
    case RequestReader::Event::kHead:
      ++requests_;
      return CallOnHead();
    case RequestReader::Event::kBody:
      phase_ = Phase::kHeld;
      state_ = State::kAnswer;
      SetDeadline(limits_.answer_timeout_ms);
      try {
        shard_->state().handler().OnRequest(*this);
      } catch (const std::exception&) {
        if (phase_ == Phase::kHeld && !answered_.load()) {
          Tell(0, LRI_REASON_MEMORY, "", 0);
          EndExchange();
        }
        throw;
      }
      return true;
    case RequestReader::Event::kSkipped:
      BeginIdle();
      return true;
    case RequestReader::Event::kRefused:
      return Refuse(reader.refusal());
    case RequestReader::Event::kMore:
      break;
  }
  if (state_ == State::kIdle) {
    state_ = State::kHead;
    SetRequestDeadline(limits_.head_timeout_ms);
  }
  if (eof_) {
    // A request cut short is not answered (RFC 9112 section 8).
    if (IsOwed(LRI_REASON_PEER_GONE))
      Tell(0, LRI_REASON_PEER_GONE, WhyClosed(LRI_REASON_PEER_GONE), 0);
    if (phase_ == Phase::kReading) Drop();
    state_ = State::kFlush;
  }
  return false;
}

void Connection::SetDeadline(int64_t timeout_ms) { deadline_ms_ = now_ms() + timeout_ms; }

// For the rest of a request.
void Connection::SetRequestDeadline(int64_t timeout_ms) {
  SetDeadline(hurry() ? std::min(timeout_ms, limits_.drain_request_timeout_ms) : timeout_ms);
}

void Connection::BeginIdle() {
  state_ = State::kIdle;
  since_ms_ = now_ms();
  SetDeadline(hurry()          ? kDrainLingerMs
              : requests_ == 0 ? limits_.first_byte_timeout_ms
                               : limits_.idle_timeout_ms);
  SetIdleRank(requests_ == 0 ? since_ms_ - kUnused : since_ms_);
}

void Connection::AskToGiveWay() {
  SetIdleRank(kBusy);
  if (!giving_way_.exchange(true)) events().Post(give_way_);
}

// What is no more idle stays busy until it begins to idle again.
void Connection::GiveWay() {
  giving_way_ = false;
  if (state_ == State::kClosed) return Resume();
  const bool idle = state_ == State::kIdle && !HasInput() && !writing_;
  const bool silent =
      state_ == State::kProxy || (state_ == State::kHandshake && handshake_bytes_ == 0);
  if ((idle || silent) && !HasArrived()) Close(LRI_REASON_TOO_MANY_CONNECTIONS);
}

bool Connection::HasArrived() const {
  char byte;
  return recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

// Closing a socket that has unread bytes makes the kernel send a reset, which may overtake the
// answer. So our side is closed first, and what still comes is discarded for a moment (RFC 9112
// section 9.6).
void Connection::BeginLinger() {
  if (eof_) return Close();
  if (tls_ != nullptr) tls_->Close();
  if (shutdown(socket_.get(), SHUT_WR) != 0) return Close();
  state_ = State::kLinger;
  SetDeadline(shard_->draining() ? std::min(limits_.linger_timeout_ms, kDrainLingerMs)
                                 : limits_.linger_timeout_ms);
  ReleaseWorkspace();
}

void Connection::Close(lri_reason reason, absl::string_view detail) {
  if (state_ == State::kClosed) return;
  if (IsOwed(reason)) {
    // Its first request may be on its way: a proxy must not take the end for a fault.
    const bool gave_way = reason == LRI_REASON_TOO_MANY_CONNECTIONS;
    const bool may_retry = gave_way || reason == LRI_REASON_TOO_MANY_FROM_ADDRESS;
    const bool sent = may_retry && tls_ == nullptr &&
                      send(socket_.get(), kUnreadRefusal.data(), kUnreadRefusal.size(),
                           MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
    if (detail.empty()) detail = WhyClosed(reason);
    Tell(sent ? 503 : 0, reason, detail, sent ? kUnreadRefusal.size() : 0);
  }
  if (phase_ == Phase::kInHead) phase_ = Phase::kNone;
  state_ = State::kClosed;
  events().Unwatch(socket_, *this);
  socket_.Close();
  if (phase_ == Phase::kReading) Drop();
  if (phase_ == Phase::kHeld) {
    phase_ = Phase::kLost;
    if (!answered_.load(std::memory_order_relaxed)) shard_->state().handler().OnAbandoned(*this);
  }
  shard_->OnClosed(*this);
  Resume();
}

// What an operator is told where nothing more is known.
absl::string_view Connection::WhyClosed(lri_reason reason) const {
  switch (reason) {
    case LRI_REASON_PEER_GONE:
      return phase_ == Phase::kHeld ? "its connection ended before it was answered"
                                    : "its connection ended before all of it had come";
    case LRI_REASON_TOO_MANY_CONNECTIONS:
      return "it had sent nothing, and gave way to a new one: the limit connections or "
             "connections_from_one_address is reached";
    case LRI_REASON_SLOW:
      if (hurry()) return "it had not sent a request when the host or its instance stopped";
      if (state_ == State::kProxy) return "no PROXY header came within proxy_header_timeout_ms";
      return state_ == State::kHandshake && handshake_bytes_ > 0
                 ? "its TLS handshake took longer than tls_handshake_timeout_ms"
                 : "it sent nothing within first_byte_timeout_ms";
    default:
      return "";
  }
}

// Is a request left without an answer, or a connection refused, if it is closed now?
bool Connection::IsOwed(lri_reason reason) const {
  if (phase_ != Phase::kNone) return phase_ != Phase::kLost;
  switch (state_) {
    case State::kProxy:
      return !proxy_header_.empty() || reason != LRI_REASON_PEER_GONE;
    case State::kHandshake:
      // Balancers look whether a port is open, and send nothing.
      return handshake_bytes_ > 0 || reason != LRI_REASON_PEER_GONE;
    case State::kIdle:
      return reason == LRI_REASON_MEMORY ||
             (requests_ == 0 &&
              (reason == LRI_REASON_SLOW || reason == LRI_REASON_TOO_MANY_CONNECTIONS));
    case State::kHead:
      // Empty lines alone are no request.
      return reason != LRI_REASON_PEER_GONE || !work_->reader.method().empty();
    default:
      return false;
  }
}

// Drives on, or deletes a closed connection, later, when none of its functions is on the stack.
void Connection::Resume() {
  if (std::exchange(resuming_, true)) return;
  events().Post(resume_);
}

void Connection::OnResume() {
  resuming_ = false;
  if (state_ != State::kClosed) return Drive();
  // While the handler holds an exchange, the end of that resumes again; so does GiveWay.
  if (phase_ == Phase::kNone && !giving_way_) shard_->Delete(*this);
}

void Connection::OnSweep(int64_t now_ms) {
  if (state_ == State::kClosed) return;
  if (write_deadline_ms_ != 0 && now_ms >= write_deadline_ms_) {
    // Reset the connection, so that the kernel does not keep the answer for a peer that never
    // reads.
    const linger none = {1, 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return Close(LRI_REASON_SLOW, "it read nothing within write_timeout_ms");
  }
  if (now_ms >= deadline_ms_ || BodyIsTooSlow(now_ms)) return OnDeadline();
  const bool parkable = state_ == State::kIdle && !HasInput() && !writing_ && !resuming_;
  if (parkable && now_ms - since_ms_ >= kParkAfterMs) ReleaseWorkspace();
}

bool Connection::BodyIsTooSlow(int64_t now_ms) const {
  if (state_ != State::kBody) return false;
  const int64_t elapsed_ms = now_ms - since_ms_;
  const int64_t grace_ms = absl::ToInt64Milliseconds(shard_->state().options().least_rate_grace);
  const auto received = static_cast<int64_t>(work_->reader.body_received());
  return elapsed_ms > grace_ms &&
         received < limits_.body_least_bytes_per_second * elapsed_ms / 1000;
}

void Connection::OnDeadline() {
  switch (state_) {
    case State::kHead:
      Refuse(hurry() ? kStopping
                     : Refusal{408, "the head took longer than head_timeout_ms",
                               LRI_REASON_TIMEOUT_HEAD});
      return Drive();
    case State::kBody:
      Refuse(hurry() ? kStopping
                     : Refusal{408,
                               BodyIsTooSlow(now_ms())
                                   ? "the body came more slowly than body_least_bytes_per_second"
                                   : "the body took longer than body_timeout_ms",
                               LRI_REASON_TIMEOUT_BODY});
      return Drive();
    case State::kAnswer:
      return AnswerTimedOut();
    case State::kFlush:
      // A write has its own deadline. If there is none, an exception came before the write.
      if (write_deadline_ms_ == 0) Close();
      return;
    case State::kIdle:
      if (!writing_) Close(LRI_REASON_SLOW, "it sent nothing within first_byte_timeout_ms");
      return;
    default:
      return Close(LRI_REASON_SLOW, state_ == State::kProxy ? "its PROXY header comes too slowly"
                                                            : "its TLS handshake takes too long");
  }
}

void Connection::OnDrain() {
  const State unfinished[] = {State::kProxy, State::kHandshake, State::kHead, State::kBody,
                              State::kSkip};
  if (std::find(std::begin(unfinished), std::end(unfinished), state_) != std::end(unfinished)) {
    deadline_ms_ = std::min(deadline_ms_, now_ms() + limits_.drain_request_timeout_ms);
  }
  if (state_ != State::kIdle || HasInput() || writing_) return;
  if (requests_ == 0) {
    deadline_ms_ = std::min(deadline_ms_, now_ms() + kDrainLingerMs);
    return;
  }
  // A request that has arrived is read as if the drain had begun after it.
  if (!HasArrived()) Close();
}

void Connection::OnTlsChanged() {
  if (policy_ == shard_->state().policy()) return;
  switch (state_) {
    case State::kProxy:
    case State::kHandshake:
      return Close();
    case State::kIdle:
    case State::kSkip:
      state_ = State::kFlush;
      return Drive();
    default:
      last_ = true;
  }
}

bool Connection::busy() const {
  switch (state_) {
    case State::kClosed:
    case State::kLinger:
      return false;
    case State::kIdle:
      return HasInput() || writing_;
    default:
      return true;
  }
}

// ---- Bytes in and out.

bool Connection::WantsRead() const {
  if (eof_ || writing_) return false;
  switch (state_) {
    case State::kProxy:
    case State::kHandshake:
    case State::kLinger:
      return true;
    case State::kFlush:
    case State::kClosed:
      return false;
    default:
      return work_ == nullptr || work_->reader.WantsBytes();
  }
}

void Connection::OnEvents(uint32_t events) {
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if (broken || (events & EPOLLIN) != 0) readable_ = true;
  if (broken || (events & EPOLLOUT) != 0) writing_ = false;
  Drive();
  // Nothing was read, so the broken socket went unnoticed, and the loop would report it for ever.
  if (broken && readable_) Close();
}

// The loop reports a readable socket in every turn. To save system calls, EPOLLIN is given up only
// when an event has come that could not be used, which is rare.
void Connection::UpdateWatch() {
  if (state_ == State::kClosed) return;
  const bool unused = readable_ && !WantsRead();
  const bool reads = WantsRead() || ((watched_ & EPOLLIN) != 0 && !unused);
  const uint32_t wanted = (reads ? uint32_t{EPOLLIN} : 0) | (writing_ ? uint32_t{EPOLLOUT} : 0);
  if (wanted == watched_) return;
  watched_ = wanted;
  events().Rewatch(socket_, *this, watched_);
}

// True: bytes or the end of them came, or there is no room for any, and the reader will refuse.
bool Connection::Read() {
  size_t count = 0;
  if (state_ == State::kLinger) {
    Loop& loop = shard_->loop();
    if (!Receive(loop.scratch, sizeof loop.scratch, &count)) return false;
    if (eof_) Close();
    return !eof_;
  }
  if (state_ == State::kProxy) return ReadProxyHeader();
  if (work_ == nullptr) {
    if (!readable_) return false;
    work_ = shard_->loop().workspaces.Take(limits_, budget_);
    if (work_ == nullptr) {
      Close(LRI_REASON_MEMORY);
      return false;
    }
  }
  if (tls_ != nullptr) return ReadDecrypted();
  if (!readable_) return false;
  const std::span<char> space = work_->reader.Space();
  if (space.empty()) return true;
  if (!Receive(space.data(), space.size(), &count)) return false;
  work_->reader.Received(count);
  return true;
}

// True: the header is complete, and what follows it is still in the socket.
bool Connection::ReadProxyHeader() {
  char buffer[ProxyHeader::kMostBytes];
  ProxyHeader header = ProxyHeader::Read(proxy_header_);
  while (header.result == ProxyHeader::Result::kMore) {
    size_t count = 0;
    if (!Receive(buffer, header.needed, &count)) return false;
    if (eof_) {
      Close();
      return false;
    }
    proxy_header_.append(buffer, count);
    header = ProxyHeader::Read(proxy_header_);
  }
  if (header.result == ProxyHeader::Result::kMalformed) {
    Close(LRI_REASON_BAD_REQUEST, "it does not begin with a PROXY header");
    return false;
  }
  std::string().swap(proxy_header_);
  const std::shared_ptr<const Proxies> proxies = std::exchange(proxies_, nullptr);
  doubtful_ = header.result == ProxyHeader::Result::kUnknown;
  if (header.result == ProxyHeader::Result::kAddress) {
    const bool is_proxy = IsIn(header.address, proxies->networks);
    SetIdleRank(kBusy);  // it must not be asked to give way to itself
    const Refusal refusal = shard_->state().Move(*this, header.address, is_proxy);
    peer_ = header.address.ToString();
    if (refusal.status != 0) {
      Close(refusal.reason, refusal.text);
      return false;
    }
    if (is_proxy) proxies_ = proxies;
  }
  since_ms_ = now_ms();
  begun_ns_ = events().now_ns();
  if (tls_ == nullptr) {
    BeginIdle();
  } else {
    state_ = State::kHandshake;
    SetDeadline(limits_.first_byte_timeout_ms);
    SetIdleRank(since_ms_ - kUnused);
  }
  return true;
}

bool Connection::ReadDecrypted() {
  size_t count = 0;
  TlsSession::Result result = TlsSession::Result::kWantRead;
  if (state_ != State::kHandshake) {
    const std::span<char> space = work_->reader.Space();
    if (space.empty()) return true;
    result = tls_->Read(space.data(), space.size(), &count);
  }
  if (result == TlsSession::Result::kOk) {
    work_->reader.Received(count);
    return true;
  }
  if (result == TlsSession::Result::kEnd) {
    eof_ = true;
    return true;
  }
  if (result == TlsSession::Result::kWantWrite) {
    WaitWritable();
    return false;
  }
  if (result == TlsSession::Result::kError || !work_->cipher.Reserve(Workspace::kCipherBytes)) {
    Close();
    return false;
  }
  if (!Receive(work_->cipher.data(), work_->cipher.capacity(), &count)) return false;
  if (state_ == State::kHandshake) {
    const bool is_first = handshake_bytes_ == 0;
    handshake_bytes_ += count;
    if (is_first) {
      SetRequestDeadline(limits_.tls_handshake_timeout_ms);
      SetIdleRank(kBusy);
    }
    // No record of TLS begins with a letter, and every method of HTTP does.
    if (is_first && count > 0 && absl::ascii_isupper(work_->cipher.data()[0])) {
      tls_.reset();
      return Refuse(
          {400, "this port speaks HTTPS; use https:// in the URL", LRI_REASON_PLAIN_HTTP_ON_TLS});
    }
  }
  // An end without close_notify may be an attacker's; what was decrypted before it is valid.
  tls_->Feed(absl::string_view(work_->cipher.data(), count));
  return true;
}

// From the socket. True: `count` bytes came, or none and eof_ is set.
bool Connection::Receive(char* data, size_t size, size_t* count) {
  if (!readable_ || receives_ == kMostReceives) return false;
  ++receives_;
  ssize_t received;
  do {
    received = recv(socket_.get(), data, size, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    readable_ = false;
    if (errno != EAGAIN && errno != EWOULDBLOCK) Close();
    return false;
  }
  *count = static_cast<size_t>(received);
  eof_ = received == 0;
  // A short read took everything that was there. The next event reports what comes later.
  readable_ = *count == size;
  return true;
}

// Writes the output buffer. False: the rest waits for the socket, or the connection is closed.
bool Connection::Write() {
  if (writing_ || state_ == State::kClosed) return false;
  if (work_ != nullptr) {
    std::string& out = work_->out;
    while (out_sent_ < out.size()) {
      size_t count = 0;
      if (!WriteSome(absl::string_view(out).substr(out_sent_), &count)) return false;
      out_sent_ += count;
    }
    out_sent_ = 0;
    write_deadline_ms_ = 0;
    if (unread_bytes_ != 0) CountUnread(0);
    Workspace::Empty(out);
  }
  if (state_ == State::kFlush) BeginLinger();
  return state_ != State::kClosed;
}

bool Connection::WriteSome(absl::string_view bytes, size_t* count) {
  bool full = false;
  if (tls_ != nullptr) {
    const TlsSession::Result result = tls_->Write(bytes, count);
    if (result == TlsSession::Result::kOk) return true;
    full = result == TlsSession::Result::kWantWrite;
  } else {
    ssize_t sent;
    do {
      sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
      *count = static_cast<size_t>(sent);
      return true;
    }
    full = errno == EAGAIN || errno == EWOULDBLOCK;
  }
  full ? WaitWritable() : Close();
  return false;
}

void Connection::WaitWritable() {
  writing_ = true;
  if (write_deadline_ms_ == 0) write_deadline_ms_ = now_ms() + limits_.write_timeout_ms;
  CountUnread(work_->out.size());
}

// The answer exists and cannot be refused any more. While it waits for the peer to read it, other
// requests of that address are refused sooner.
void Connection::CountUnread(size_t bytes) {
  const auto now = static_cast<int64_t>(bytes);
  budget_.Count(now - std::exchange(unread_bytes_, now));
}

void Connection::ReleaseWorkspace() {
  if (work_ == nullptr || phase_ == Phase::kHeld || phase_ == Phase::kLost) return;
  shard_->loop().workspaces.Give(std::move(work_));
}

// ---- The handler's side.

bool Connection::CallOnHead() {
  // A request that overtook OnTlsChanged.
  if (policy_ != shard_->state().policy() && !last_) {
    state_ = State::kFlush;
    return true;
  }
  phase_ = Phase::kInHead;
  answered_.store(false, std::memory_order_relaxed);
  set_ticket(0);
  number_ = ++shard_->loop().requests;
  RequestReader& reader = work_->reader;
  reader.NormalizePath();
  reader.head().peer = peer_;
  if (proxies_ != nullptr || doubtful_) TakeSender(reader.head());
  if (sender_ != nullptr && sender_->bytes->requests.load(std::memory_order_relaxed) >
                                (sender_->bytes->is_proxy ? limits_.connections_from_one_proxy
                                                          : limits_.connections_from_one_address)) {
    return Refuse({503, "the limit connections_from_one_address is reached",
                   LRI_REASON_TOO_MANY_FROM_ADDRESS});
  }
  if (budget_.exhausted()) return Refuse({503, "answers that are not read fill bytes_in_flight"});
  const HeadVerdict verdict = shard_->state().handler().OnHead(*this);
  if (state_ == State::kClosed) return false;
  if (answered_.load(std::memory_order_relaxed)) return true;  // AfterAnswer said what is next
  if (verdict.answered()) {
    // The handler said that it had answered, and had not. The peer must not wait for ever.
    return Refuse({500, "no answer was given"});
  }
  phase_ = Phase::kReading;
  reader.ReadBody(verdict.most_bytes(), verdict.instance_bytes() != nullptr
                                            ? verdict.instance_bytes()
                                            : &shard_->state().instance_bytes());
  if (reader.waits_for_continue()) work_->out.append("HTTP/1.1 100 Continue\r\n\r\n");
  state_ = State::kBody;
  since_ms_ = now_ms();
  SetRequestDeadline(limits_.body_timeout_ms);
  return true;
}

// Whose request it is, by what its peer states.
void Connection::TakeSender(RequestHead& head) {
  head.peer_is_doubtful = doubtful_;
  absl::InlinedVector<absl::string_view, 4> values;
  if (proxies_ != nullptr && !proxies_->header_name().empty()) {
    for (const HeaderField& field : head.fields) {
      if (absl::EqualsIgnoreCase(field.name, proxies_->header_name())) {
        values.push_back(field.value);
      }
    }
  }
  if (values.empty()) return ForgetSender();
  const std::optional<Address> address =
      proxies_->SenderOf(values, static_cast<size_t>(limits_.forwarded_addresses));
  if (!address.has_value()) {
    head.peer_is_doubtful = true;
    return ForgetSender();
  }
  if (sender_ == nullptr || sender_->address != *address) {
    auto next = std::make_unique<Sender>(Sender{.address = *address, .text = address->ToString()});
    next->bytes = &shard_->state().TakeBytes(*address, IsIn(*address, proxies_->networks));
    budget_.MoveTo(*next->bytes);
    if (sender_ != nullptr) shard_->state().GiveBytes(*sender_->bytes);
    sender_ = std::move(next);
  }
  head.peer = sender_->text;
  sender_->at_work = true;
  sender_->bytes->requests.fetch_add(1, std::memory_order_relaxed);
}

void Connection::ForgetSender() {
  if (sender_ == nullptr) return;
  EndSendersRequest();
  budget_.MoveTo(*place_->bytes);
  shard_->state().GiveBytes(*sender_->bytes);
  sender_ = nullptr;
}

void Connection::EndSendersRequest() {
  if (sender_ == nullptr || !std::exchange(sender_->at_work, false)) return;
  sender_->bytes->requests.fetch_sub(1, std::memory_order_relaxed);
}

// Answers without the handler and closes. Returns true: there is an answer to write.
bool Connection::Refuse(Refusal refusal) {
  AnswerAndClose(refusal);
  if (phase_ == Phase::kReading) Drop();
  EndSendersRequest();
  phase_ = Phase::kNone;
  state_ = State::kFlush;
  return true;
}

void Connection::AnswerAndClose(const Refusal& refusal) {
  const std::string body = std::string(refusal.text) + "\n";
  Response response = PlainText(refusal.status, body);
  response.reason = ReasonOf(refusal);
  response.detail = refusal.text;
  Answer(response, /*close=*/true);
}

// Appends the answer to the output and tells of it.
void Connection::Answer(const Response& response, bool close) {
  const size_t before = work_->out.size();
  AppendResponse(response, work_->reader.is_head_method(), close, shard_->date(), work_->out);
  Tell(response.status, response.reason, response.detail, work_->out.size() - before);
}

// Must precede the end of the exchange, of which it tells.
void Connection::Tell(int status, lri_reason reason, absl::string_view detail,
                      size_t bytes_out) noexcept {
  Answered answered{.peer = peer_,
                    .status = status,
                    .reason = reason,
                    .detail = detail,
                    .bytes_out = static_cast<int64_t>(bytes_out),
                    .duration_ns = base::MonotonicNanoseconds() - begun_ns_,
                    .over_tls = tls_ != nullptr};
  if (phase_ != Phase::kNone) {
    const RequestReader& reader = work_->reader;
    const RequestHead& head = reader.head();
    answered.peer = head.peer;
    answered.exchange = this;
    answered.method = head.method;
    answered.path = head.path;
    // Bytes of the next request may have come with the body.
    const size_t body = phase_ == Phase::kInHead ? 0
                        : head.chunked           ? reader.body_received()
                                                 : std::min<uint64_t>(reader.body_received(),
                                                            head.content_length.value_or(0));
    answered.bytes_in = static_cast<int64_t>(reader.head_bytes() + body);
  } else if (state_ == State::kHandshake) {
    answered.bytes_in = static_cast<int64_t>(handshake_bytes_);
  } else if (work_ != nullptr) {
    answered.method = work_->reader.method();
    answered.path = work_->reader.path();
    answered.bytes_in = static_cast<int64_t>(work_->reader.buffered_bytes());
  }
  if (status >= 300 && reason == LRI_REASON_ANSWERED) answered.reason = LRI_REASON_OTHER;
  shard_->state().handler().OnAnswered(answered);
}

void Connection::Respond(const Response& response) {
  if (events().IsHere()) return RespondHere(response);
  // Format first: if there is no memory for that, the exchange is still unanswered and ends with
  // 504.
  if (response.detail.size() + work_->detail.size() > 0) {
    work_->detail.assign(response.detail.data(),
                         std::min(response.detail.size(), kKeptDetailBytes));
  }
  handed_over_status_line_ =
      FormatDeferred(response, work_->reader.is_head_method(), work_->handed_over);
  handed_over_status_ = response.status;
  handed_over_reason_ = response.reason;
  answered_.store(true, std::memory_order_relaxed);
  events().Post(hand_over_);
}

void Connection::GiveUp() noexcept {
  if (!events().IsHere()) {
    handed_over_status_line_ = 0;
    answered_.store(true, std::memory_order_relaxed);
    return events().Post(hand_over_);
  }
  if (phase_ == Phase::kNone || phase_ == Phase::kReading) return;  // nothing is owed
  EndWithoutAnswer();
}

// Memory ran out for the answer.
void Connection::EndWithoutAnswer() {
  if (phase_ != Phase::kLost) Tell(0, LRI_REASON_MEMORY, "", 0);
  EndExchange();
  Close();
}

void RespondOrGiveUp(Exchange& exchange, const Response& response) noexcept {
  try {
    return exchange.Respond(response);
  } catch (const std::exception&) {
  }
  try {
    return exchange.Respond(PlainText(503, "no memory for the answer\n"));
  } catch (const std::exception&) {
    exchange.GiveUp();
  }
}

// Does the connection end with the answer that is given now?
bool Connection::WillClose() const {
  const RequestReader& reader = work_->reader;
  if (!reader.keep_alive() || shard_->draining() || last_) return true;
  if (requests_ >= limits_.requests_of_a_connection) return true;
  if (phase_ != Phase::kInHead) return false;
  // The body of a request that was answered early is discarded if it is short. After
  // `Expect: 100-continue` the body may come or not, so the next request could not be found.
  const uint64_t length = reader.head().content_length.value_or(0);
  return reader.head().chunked || (reader.expects_continue() && length > 0) ||
         length > static_cast<uint64_t>(limits_.pipelined_bytes);
}

void Connection::RespondHere(const Response& response) {
  if (phase_ == Phase::kNone || phase_ == Phase::kReading) return;  // nothing is owed
  if (phase_ == Phase::kLost) return EndExchange();
  const bool close = WillClose();
  Answer(response, close);
  answered_.store(true, std::memory_order_relaxed);
  AfterAnswer(close);
  if (driving_) return;  // Drive goes on when the handler has returned
  // The handler answers later, outside of Drive: write at once, but do not call the handler.
  if (Write() && state_ == State::kIdle && (eof_ || readable_ || !work_->reader.empty())) Resume();
  UpdateWatch();
}

// An answer that another thread has formatted.
void Connection::OnHandedOver() {
  if (handed_over_status_line_ == 0) return EndWithoutAnswer();
  std::string& answer = work_->handed_over;
  if (phase_ == Phase::kLost) {
    Workspace::Empty(answer);
    return EndExchange();
  }
  const bool close = WillClose();
  const size_t begin = Finalize(handed_over_status_line_, close, shard_->date(), answer);
  const size_t bytes = answer.size() - begin;
  if (work_->out.empty()) {
    work_->out.swap(answer);
    out_sent_ = begin;
  } else {
    // There will be no second answer, so without memory the connection ends here.
    absl::Cleanup give_up = [this] { EndWithoutAnswer(); };
    work_->out.append(answer, begin);
    std::move(give_up).Cancel();
  }
  Tell(handed_over_status_, handed_over_reason_, work_->detail, bytes);
  Workspace::Empty(answer);
  AfterAnswer(close);
  Drive();
}

void Connection::AfterAnswer(bool close) {
  const uint64_t unread =
      phase_ == Phase::kInHead ? work_->reader.head().content_length.value_or(0) : 0;
  EndExchange();
  if (close) {
    state_ = State::kFlush;
  } else if (unread > 0) {
    work_->reader.Skip(unread);
    state_ = State::kSkip;
    SetRequestDeadline(limits_.body_timeout_ms);
  } else {
    BeginIdle();
  }
}

// The handler does not use the exchange any more.
void Connection::EndExchange() {
  EndSendersRequest();
  phase_ = Phase::kNone;
  work_->reader.Finish();
  if (state_ == State::kClosed) Resume();
}

// The exchange ends before OnRequest.
void Connection::Drop() {
  shard_->state().handler().OnDropped(*this);
  EndExchange();
}

void Connection::AnswerTimedOut() {
  // An answer that is on its way from another thread is in time.
  if (answered_.load(std::memory_order_relaxed)) return;
  AnswerAndClose({504, "no answer in time; whether the request took effect is not known",
                  LRI_REASON_ANSWER_TIMEOUT});
  phase_ = Phase::kLost;
  state_ = State::kFlush;
  shard_->state().handler().OnAbandoned(*this);
  Drive();
}

}  // namespace webhook::http
