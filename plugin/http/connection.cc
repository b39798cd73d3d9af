#include "plugin/http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/cleanup/cleanup.h"

namespace webhook::http {
namespace {

// How long a kept-alive connection keeps its buffers. Busy ones give back only large ones.
constexpr int64_t kParkAfterMs = 1000;

// While draining there is no time for peers that do not close, or that connected and ask nothing.
constexpr int64_t kDrainLingerMs = 300;

// Pipelined answers are gathered up to this size before they are written.
constexpr size_t kGatheredBytes = 64 * 1024;

}  // namespace

Connection::Connection(std::shared_ptr<Shard> shard, Socket socket, std::string peer,
                       std::shared_ptr<const TlsContext> tls)
    : shard_(std::move(shard)),
      limits_(shard_->limits()),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      scan_(limits_) {
  if (tls != nullptr) {
    state_ = State::kHandshake;
    tls_ = TlsSession::Create(std::move(tls), socket_.descriptor());
    if (tls_ == nullptr) closing_ = true;
  }
}

Connection::~Connection() {
  phase_ = Phase::kNone;
  ReleaseWorkspace();
  CountUnread(0);
}

void Connection::Start() {
  Hold hold(*this);
  const int yes = 1;
  setsockopt(socket_.descriptor(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (closing_) return Close();
  since_ms_ = CoarseNowMs();
  SetDeadline(tls_ != nullptr ? limits_.tls_handshake_timeout_ms : limits_.idle_timeout_ms);
  // Buffers are taken when there is something to read.
  if (!shard_->loop().sockets.Add(socket_, *this)) Close();
}

// The one loop of a connection: understand what is there, write what came of it, read on. Never
// entered twice, so an answer given inside the handler does not recurse into the next request.
void Connection::Drive() {
  if (driving_) return;
  Hold hold(*this);
  driving_ = true;
  // By all means: after an exception the deadlines must still be able to drive.
  const absl::Cleanup over = [this] { driving_ = false; };
  try {
    DriveOn();
  } catch (const std::exception&) {
    // Memory ran out. Where an answer is owed its deadline ends the exchange; else nobody could
    // tell how far the connection came.
    if (phase_ == Phase::kHeld) return;
    if (phase_ == Phase::kInHead) phase_ = Phase::kNone;
    Close();
  }
}

void Connection::DriveOn() {
  while (state_ != State::kClosed) {
    while (Step()) {
    }
    if (state_ == State::kClosed || !Flush()) break;
    if (closing_) FinishWriting();
    if (std::exchange(paused_, false)) continue;
    if (!WantsRead() || !Read()) break;
  }
}

// Does one thing with the bytes at hand. False: more bytes, or an event, must come first.
bool Connection::Step() {
  if (closing_) return false;
  switch (state_) {
    case State::kHandshake:
      return StepHandshake();
    case State::kIdle:
    case State::kHead:
      // A peer that sends requests without reading answers waits here.
      if (writing_) return false;
      paused_ = work_ != nullptr && work_->out.size() > kGatheredBytes;
      return !paused_ && StepHead();
    case State::kBody:
      return StepBody();
    case State::kDiscard:
      return StepDiscard();
    default:
      return false;
  }
}

void Connection::BeginIdle() {
  state_ = State::kIdle;
  since_ms_ = CoarseNowMs();
  const bool hurry = shard_->draining() && !shard_->patient();
  deadline_ms_ = since_ms_ + (hurry ? kDrainLingerMs : limits_.idle_timeout_ms);
  scan_.Reset();
  for_head_ = false;
}

// All answers are written and the connection is to end.
void Connection::FinishWriting() {
  closing_ = false;
  BeginLinger();
}

// Closing with unread bytes makes the kernel send a reset, which may overtake the answer. So our
// side is closed first and what still comes is thrown away for a moment (RFC 9112 section 9.6).
void Connection::BeginLinger() {
  if (eof_) return Close();
  if (tls_ != nullptr) tls_->Close();
  if (shutdown(socket_.descriptor(), SHUT_WR) != 0) return Close();
  state_ = State::kLinger;
  SetDeadline(shard_->draining() ? std::min(limits_.linger_timeout_ms, kDrainLingerMs)
                                 : limits_.linger_timeout_ms);
  ReleaseWorkspace();
}

void Connection::Close() {
  if (state_ == State::kClosed) return;
  Hold hold(*this);
  state_ = State::kClosed;
  closing_ = false;
  shard_->loop().sockets.Remove(socket_, *this);
  socket_.Close();
  if (phase_ == Phase::kReading) Drop();
  if (phase_ == Phase::kHeld && !lost_) Abandon();
  shard_->OnClosed(*this);
}

bool Connection::MayBeDeleted() const {
  return state_ == State::kClosed && !deleted_ && depth_ == 0 && !resuming_ &&
         phase_ != Phase::kHeld;
}

void Connection::OnSweep(int64_t now_ms) {
  if (state_ == State::kClosed) return;
  Hold hold(*this);
  if (write_deadline_ms_ != 0 && now_ms >= write_deadline_ms_) {
    // With a reset, so that the kernel does not keep the unread answer for a peer that never reads.
    const linger none = {1, 0};
    setsockopt(socket_.descriptor(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return Close();
  }
  if (now_ms >= deadline_ms_) return OnDeadline();
  if (state_ == State::kBody) {
    const int64_t elapsed_ms = now_ms - since_ms_;
    const int64_t grace_ms = absl::ToInt64Milliseconds(shard_->state().options().least_rate_grace);
    const int64_t least = limits_.body_least_bytes_per_second;
    if (elapsed_ms > grace_ms && static_cast<int64_t>(body_seen_) < least * elapsed_ms / 1000) {
      Refuse({408, "the body comes too slowly"});
      Drive();
    }
    return;
  }
  const bool parkable =
      state_ == State::kIdle && work_ != nullptr && begin_ == end_ && !writing_ && !resuming_;
  if (parkable && now_ms - since_ms_ >= kParkAfterMs) ReleaseWorkspace();
}

void Connection::OnDeadline() {
  switch (state_) {
    case State::kHead:
      Refuse({408, "the head comes too slowly"});
      return Drive();
    case State::kBody:
      Refuse({408, "the body comes too slowly"});
      return Drive();
    case State::kAnswer:
      return AnswerTimedOut();
    case State::kFlush:
      // A write has a deadline of its own. None: an exception kept it from being begun.
      if (write_deadline_ms_ == 0) Close();
      return;
    case State::kIdle:
      if (writing_) return;
      return Close();
    default:
      return Close();
  }
}

void Connection::OnDrain() {
  if (state_ != State::kIdle || begin_ != end_ || writing_) return;
  if (requests_ == 0) {
    deadline_ms_ = std::min(deadline_ms_, CoarseNowMs() + kDrainLingerMs);
    return;
  }
  // A request that has come is read as if the drain had begun after it.
  char byte;
  if (recv(socket_.descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 1) Close();
}

bool Connection::busy() const {
  switch (state_) {
    case State::kClosed:
    case State::kLinger:
      return false;
    case State::kIdle:
      return begin_ < end_ || writing_;
    default:
      return true;
  }
}

}  // namespace webhook::http
