#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "plugin/http/connection.h"

namespace webhook::http {
namespace {

// A sender that is never out of bytes lets the other connections have their turn after these.
constexpr int kMostReceives = 8;

}  // namespace

bool Connection::WantsRead() const {
  if (eof_ || closing_) return false;
  switch (state_) {
    case State::kHandshake:
    case State::kIdle:
    case State::kHead:
    case State::kBody:
    case State::kDiscard:
    case State::kLinger:
      return true;
    // Read ahead, so that a reset is noticed and the next request is at hand; once is enough.
    case State::kAnswer:
      return begin_ == end_ && end_ < work_->in.capacity();
    default:
      return false;
  }
}

void Connection::OnSocketEvents(uint32_t events) {
  Hold hold(*this);
  if ((events & ~EPOLLOUT) != 0) readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR)) != 0) reads_to_the_end_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writing_ = false;
  receives_ = 0;
  Drive();
}

// True: bytes, or the end of them, came. Else an event tells when to read on.
bool Connection::Read() {
  if (work_ == nullptr && readable_ && state_ != State::kLinger) {
    work_ = shard_->loop().workspaces.Take();
    if (work_ == nullptr) {
      Close();
      return false;
    }
  }
  size_t count = 0;
  if (state_ == State::kLinger) {
    Loop& loop = shard_->loop();
    if (!Receive(loop.scratch, sizeof loop.scratch, &count)) return false;
    if (eof_) Close();
    return !eof_;
  }
  if (work_ == nullptr) return false;
  if (tls_ != nullptr) return ReadDecrypted();
  if (!readable_) return false;
  char* data = nullptr;
  size_t size = 0;
  if (!ReadSpace(data, size)) return state_ == State::kFlush;
  if (!Receive(data, size, &count)) return false;
  Received(count);
  return true;
}

// From the socket. True: `count` bytes came, or none and eof_ is set.
bool Connection::Receive(char* data, size_t size, size_t* count) {
  if (!readable_) return false;
  if (receives_ == kMostReceives) {
    PostResume();
    return false;
  }
  ++receives_;
  ssize_t received;
  do {
    received = recv(socket_.descriptor(), data, size, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0) {
    readable_ = false;
    if (errno != EAGAIN && errno != EWOULDBLOCK) Close();
    return false;
  }
  *count = static_cast<size_t>(received);
  eof_ = received == 0;
  // Less than there was room for is all that there was (epoll(7)); what comes then is a new event.
  readable_ = reads_to_the_end_ || *count == size;
  return true;
}

bool Connection::ReadDecrypted() {
  TlsSession::Result result = TlsSession::Result::kWantRead;
  if (state_ != State::kHandshake) {
    char* data = nullptr;
    size_t size = 0;
    if (!ReadSpace(data, size)) return state_ == State::kFlush;
    size_t count = 0;
    result = tls_->Read(data, size, &count);
    if (result == TlsSession::Result::kOk) {
      Received(count);
      return true;
    }
  }
  switch (result) {
    case TlsSession::Result::kWantRead:
      return ReceiveCipher();
    case TlsSession::Result::kWantWrite:
      WaitWritable();
      return false;
    case TlsSession::Result::kEnd:
      eof_ = true;
      return true;
    default:
      Close();
      return false;
  }
}

bool Connection::ReceiveCipher() {
  if (!work_->cipher.Reserve(Workspace::kReadBytes)) {
    Close();
    return false;
  }
  size_t count = 0;
  if (!Receive(work_->cipher.data(), work_->cipher.capacity(), &count)) return false;
  // An end without close_notify may be an attacker's; what was decrypted before it counts.
  tls_->Feed(absl::string_view(work_->cipher.data(), count));
  return true;
}

// Where the next bytes belong. False: there is no room and no way to make any.
bool Connection::ReadSpace(char*& data, size_t& size) {
  if (ReadsBody()) {
    data = work_->body.data() + body_bytes_;
    size = *parsed_.head.content_length - body_bytes_;
    return true;
  }
  if (state_ == State::kIdle || state_ == State::kHead) {
    Compact();
    if (end_ == work_->in.capacity() && !GrowInput(2 * end_)) return false;
  }
  data = work_->in.data() + end_;
  size = work_->in.capacity() - end_;
  if (state_ == State::kAnswer) size = std::min<size_t>(size, limits_.pipelined_bytes);
  return size > 0;
}

// Does the body go straight into a buffer of its own?
bool Connection::ReadsBody() const {
  return state_ == State::kBody && !body_in_place_ && !chunked_;
}

void Connection::Received(size_t count) {
  if (state_ == State::kBody) body_seen_ += count;
  (ReadsBody() ? body_bytes_ : end_) += count;
}

// Writes what is there. False: the rest waits for the socket, or the connection is closed.
bool Connection::Flush() {
  if (writing_) return false;
  if (work_ == nullptr) return true;
  std::string& out = work_->out;
  while (out_sent_ < out.size()) {
    const absl::string_view rest = absl::string_view(out).substr(out_sent_);
    size_t count = 0;
    if (tls_ != nullptr) {
      const TlsSession::Result result = tls_->Write(rest, &count);
      if (result == TlsSession::Result::kWantWrite) {
        WaitWritable();
        return false;
      }
      if (result != TlsSession::Result::kOk) {
        Close();
        return false;
      }
    } else {
      const ssize_t sent =
          send(socket_.descriptor(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        WaitWritable();
        return false;
      }
      if (sent < 0) {
        Close();
        return false;
      }
      count = static_cast<size_t>(sent);
    }
    out_sent_ += count;
  }
  out_sent_ = 0;
  write_deadline_ms_ = 0;
  if (unread_bytes_ != 0) CountUnread(0);
  Workspace::Empty(out);
  return true;
}

void Connection::WaitWritable() {
  writing_ = true;
  if (write_deadline_ms_ == 0) write_deadline_ms_ = CoarseNowMs() + limits_.write_timeout_ms;
  CountUnread(work_->out.size());
}

void Connection::PostResume() {
  if (resuming_) return;
  resuming_ = true;
  boost::asio::post(shard_->loop().context,
                    SlotHandler<&Connection::OnResume, Connection>{this, &resume_slot_});
}

void Connection::OnResume() {
  Hold hold(*this);
  resuming_ = false;
  receives_ = 0;
  Drive();
}

void Connection::ReleaseWorkspace() {
  if (work_ == nullptr || phase_ == Phase::kHeld) return;
  begin_ = end_ = 0;
  shard_->loop().workspaces.Give(std::move(work_));
  shard_->state().ReleaseBytes(std::exchange(reserved_input_bytes_, 0));
}

// The answer is there and cannot be refused any more; but while it waits for its reader, others
// are refused sooner.
void Connection::CountUnread(size_t bytes) {
  const auto now = static_cast<int64_t>(bytes);
  shard_->state().CountBytes(now - std::exchange(unread_bytes_, now));
}

}  // namespace webhook::http
