#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "plugin/http/connection.h"

namespace webhook::http {

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

// Begins to read. True: bytes (or the end of them) came at once.
bool Connection::Read() {
  if (state_ == State::kLinger) {
    StartRead(Target::kScratch, shard_->loop().scratch, sizeof shard_->loop().scratch);
    return false;
  }
  if (work_ == nullptr) {
    StartWait();
    return false;
  }
  if (tls_ != nullptr) return ReadDecrypted();
  char* data = nullptr;
  size_t size = 0;
  if (!ReadSpace(data, size)) return state_ == State::kFlush;
  StartRead(ReadsBody() ? Target::kBody : Target::kIn, data, size);
  return false;
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
      Received(ReadsBody() ? Target::kBody : Target::kIn, count);
      return true;
    }
  }
  switch (result) {
    case TlsSession::Result::kWantRead:
      if (!work_->cipher.Reserve(Workspace::kReadBytes)) {
        Close();
        return false;
      }
      StartRead(Target::kCipher, work_->cipher.data(), work_->cipher.capacity());
      return false;
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

void Connection::Received(Target target, size_t count) {
  if (state_ == State::kBody) body_seen_ += count;
  (target == Target::kBody ? body_bytes_ : end_) += count;
}

void Connection::StartRead(Target target, char* data, size_t size) {
  target_ = target;
  socket_.async_read_some(boost::asio::mutable_buffer(data, size),
                          SlotHandler<&Connection::OnRead, Connection>{this, &read_slot_});
}

void Connection::StartWait() {
  target_ = Target::kWait;
  socket_.async_wait(Socket::wait_read,
                     SlotHandler<&Connection::OnWaited, Connection>{this, &read_slot_});
}

void Connection::OnRead(const Error& error, size_t count) {
  Hold hold(*this);
  const Target target = std::exchange(target_, Target::kNone);
  if (state_ == State::kClosed) return;
  if (std::exchange(parking_, false) && error == boost::asio::error::operation_aborted) {
    ReleaseWorkspace();
    StartWait();
    return;
  }
  if (error && error != boost::asio::error::eof) return Close();
  if (state_ == State::kLinger) {
    if (error) return Close();
    ReleaseWorkspace();
    return Drive();
  }
  eof_ = eof_ || error == boost::asio::error::eof;
  if (target == Target::kWait && work_ == nullptr) {
    work_ = shard_->loop().workspaces.Take();
    if (work_ == nullptr) return Close();
  } else if (target == Target::kCipher) {
    tls_->Feed(absl::string_view(work_->cipher.data(), count));
    // An end without close_notify may be an attacker's; what was decrypted before it counts.
  } else {
    Received(target, count);
  }
  Drive();
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
          send(socket_.native_handle(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
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
  socket_.async_wait(Socket::wait_write,
                     SlotHandler<&Connection::OnWritable, Connection>{this, &write_slot_});
}

void Connection::OnWritable(const Error& error) {
  Hold hold(*this);
  writing_ = false;
  if (state_ == State::kClosed) return;
  if (error && error != boost::asio::error::operation_aborted) return Close();
  Drive();
}

void Connection::PostResume() {
  if (resuming_) return;
  resuming_ = true;
  boost::asio::post(socket_.get_executor(),
                    SlotHandler<&Connection::OnResume, Connection>{this, &resume_slot_});
}

void Connection::OnResume() {
  Hold hold(*this);
  resuming_ = false;
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
