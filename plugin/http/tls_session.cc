#include "plugin/http/tls_session.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace webhook::http {

// OpenSSL's view of the connection. No pair of memory BIOs, which would copy all twice, and no
// socket BIO, which would raise SIGPIPE in a process whose signals are not ours.
struct TlsSessionBio {
  static int Read(BIO* bio, char* data, int size) {
    TlsSession* session = static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (session->in_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const size_t count = std::min<size_t>(size, session->in_.size());
    std::memcpy(data, session->in_.data(), count);
    session->in_.remove_prefix(count);
    return static_cast<int>(count);
  }

  static int Write(BIO* bio, const char* data, int size) {
    TlsSession* session = static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    ssize_t sent;
    do {
      sent = send(session->socket_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
    return static_cast<int>(sent);
  }

  static long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* NewMethod() {
    BIO_METHOD* method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "connection");
    if (method == nullptr) return nullptr;
    BIO_meth_set_read(method, Read);
    BIO_meth_set_write(method, Write);
    BIO_meth_set_ctrl(method, Control);
    return method;
  }
};

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, int socket)
    : context_(std::move(context)), socket_(socket) {}

std::unique_ptr<TlsSession> TlsSession::Create(std::shared_ptr<const TlsContext> context,
                                               int socket) {
  // Constant once made; the kind of thing OpenSSL itself keeps one of per process.
  static BIO_METHOD* const method = TlsSessionBio::NewMethod();
  if (method == nullptr) return nullptr;
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context), socket));
  session->ssl_ = SSL_new(session->context_->native());
  BIO* bio = session->ssl_ == nullptr ? nullptr : BIO_new(method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, session.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(session->ssl_, bio, bio);  // which takes ownership
  SSL_set_accept_state(session->ssl_);
  return session;
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

TlsSession::Result TlsSession::Explain(int returned) {
  switch (SSL_get_error(ssl_, returned)) {
    case SSL_ERROR_WANT_READ:
      return Result::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Result::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Result::kEnd;
    default:
      ERR_clear_error();
      return Result::kError;
  }
}

TlsSession::Result TlsSession::Handshake() {
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_);
  return returned == 1 ? Result::kOk : Explain(returned);
}

TlsSession::Result TlsSession::Read(char* data, size_t size, size_t* count) {
  ERR_clear_error();
  const int returned = SSL_read_ex(ssl_, data, size, count);
  return returned == 1 ? Result::kOk : Explain(returned);
}

TlsSession::Result TlsSession::Write(absl::string_view data, size_t* count) {
  ERR_clear_error();
  const int returned = SSL_write_ex(ssl_, data.data(), data.size(), count);
  return returned == 1 ? Result::kOk : Explain(returned);
}

void TlsSession::Close() {
  ERR_clear_error();
  // Not after a failed handshake or a fatal error: OpenSSL then refuses by itself.
  if (SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace webhook::http
