#include "plugin/http/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace webhook::http {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> Reader(absl::string_view pem) {
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Null at the end, and where the text is damaged.
Owned<X509> NextCertificate(const Owned<BIO>& reader) {
  return Owned<X509>(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
}

// The text is never quoted: it may be a key that was put into the wrong place.
absl::Status Wrong(absl::string_view what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(what);
}

// At the end of a PEM text the reader reports "no start line"; any other error is damage.
bool ReachedEnd() {
  const unsigned long error = ERR_peek_last_error();
  const bool end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return end;
}

int GivePassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::Status UseChain(SSL_CTX* context, absl::string_view pem) {
  const Owned<BIO> reader = Reader(pem);
  const Owned<X509> own = NextCertificate(reader);
  if (own == nullptr) {
    return Wrong(ReachedEnd() ? "certificate: no PEM certificate in the text"
                              : "certificate: malformed PEM certificate");
  }
  if (SSL_CTX_use_certificate(context, own.get()) != 1) {
    const bool weak = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_EE_KEY_TOO_SMALL;
    return Wrong(weak ? "certificate: its key is too small" : "certificate: not usable for TLS");
  }
  int position = 2;
  while (const Owned<X509> next = NextCertificate(reader)) {
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) {
      return Wrong(absl::StrCat("certificate: number ", position, " of the chain is not usable"));
    }
    ++position;
  }
  if (ReachedEnd()) return absl::OkStatus();
  return Wrong(absl::StrCat("certificate: number ", position, " of the chain is malformed"));
}

absl::Status UseKey(SSL_CTX* context, absl::string_view pem) {
  const Owned<BIO> reader = Reader(pem);
  bool encrypted = false;
  const Owned<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(reader.get(), nullptr, GivePassphrase, &encrypted));
  if (key == nullptr) {
    if (encrypted) return Wrong("private key: it is encrypted; give it without a passphrase");
    // The reader of keys reports both in the same way.
    const bool any = pem.find("PRIVATE KEY-----") != absl::string_view::npos;
    return Wrong(any ? "private key: malformed PEM private key"
                     : "private key: no PEM private key in the text");
  }
  const X509* certificate = SSL_CTX_get0_certificate(context);
  if (X509_check_private_key(certificate, key.get()) != 1) {
    return Wrong("private key: it does not belong to the certificate");
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return Wrong("private key: not usable for TLS");
  }
  return absl::OkStatus();
}

absl::Status UseClientCa(SSL_CTX* context, absl::string_view pem) {
  if (pem.empty()) return absl::OkStatus();
  const Owned<BIO> reader = Reader(pem);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  int position = 1;
  while (const Owned<X509> next = NextCertificate(reader)) {
    if (X509_STORE_add_cert(store, next.get()) != 1 ||
        SSL_CTX_add_client_CA(context, next.get()) != 1) {
      return Wrong(absl::StrCat("client CA: certificate ", position, " is not usable"));
    }
    ++position;
  }
  if (!ReachedEnd()) {
    return Wrong(absl::StrCat("client CA: certificate ", position, " is malformed"));
  }
  if (position == 1) return Wrong("client CA: no PEM certificate in the text");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return absl::OkStatus();
}

// RFC 7301: without an overlap the handshake goes on without ALPN, as HTTP/1.1 is the default.
int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* in, unsigned int in_size, void*) {
  static constexpr unsigned char kOffered[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOffered, sizeof kOffered - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void SetRules(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // TLS 1.3 has none but AEAD with (EC)DHE.
  SSL_CTX_set_cipher_list(context,
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                          "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                          "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305");
  // OpenSSL's own list has finite fields of up to 8192 bits: one ClientHello of 1.2 KB that asks
  // for ffdhe8192 keeps a processor busy for 187 ms. Every client of today knows one of these
  // three.
  SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  // Tickets resume without memory here; one is enough for a sender with one connection.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(context, 1024);
  static constexpr unsigned char kSessionContext[] = "webhook";
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_alpn_select_cb(context, SelectProtocol, nullptr);
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&parts));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Create(const TlsOptions& options) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return absl::InternalError("OpenSSL gives no TLS context");
  std::shared_ptr<TlsContext> result(new TlsContext(context));
  SetRules(context);
  absl::Status status = UseChain(context, options.certificate_chain_pem);
  if (status.ok()) status = UseKey(context, options.private_key_pem);
  if (status.ok()) status = UseClientCa(context, options.client_ca_pem);
  if (!status.ok()) return status;
  const X509* certificate = SSL_CTX_get0_certificate(context);
  result->not_before_ = ToTime(X509_get0_notBefore(certificate));
  result->not_after_ = ToTime(X509_get0_notAfter(certificate));
  ERR_clear_error();
  return std::shared_ptr<const TlsContext>(std::move(result));
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

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
