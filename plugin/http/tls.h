// TLS: certificate, key and rules, made from PEM text, and the sessions of connections.
//
// TLS 1.2 and 1.3, ECDHE over X25519, P-256 or P-384 with AEAD ciphers only, no compression, no
// renegotiation, sessions resumed, ALPN "http/1.1". A server certificate may have a P-521 key; a
// client certificate with such a key is accepted with TLS 1.3 only (RFC 8422 section 5.1 lets TLS
// 1.2's list of groups hold for certificates, too). Immutable and shared: a rotation makes a new
// context and passes it to Server::SetTls; open connections keep the old one.
#ifndef PLUGIN_HTTP_TLS_H_
#define PLUGIN_HTTP_TLS_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct ssl_ctx_st;
struct ssl_st;

namespace webhook::http {

struct TlsOptions {
  absl::string_view certificate_chain_pem;  // the server's own certificate first
  absl::string_view private_key_pem;        // not encrypted
  absl::string_view client_ca_pem;          // empty: clients are not asked for a certificate
};

class TlsContext {
 public:
  // INVALID_ARGUMENT that says which part is wrong and how: no certificate in the text, a
  // malformed or encrypted key, a key of another certificate. Never quotes the text itself. When
  // the certificate is valid is not looked at: see not_before and not_after.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> Create(const TlsOptions& options);

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // The begin and the end of the certificate's validity, both within it (RFC 5280 section 4.1.2.5).
  absl::Time not_before() const { return not_before_; }
  absl::Time not_after() const { return not_after_; }

  // For plugin/http alone.
  ssl_ctx_st* native() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}

  ssl_ctx_st* context_;
  absl::Time not_before_;
  absl::Time not_after_;
};

// For plugin/http alone: TLS on one connection. It knows nothing of the event loop: the connection
// reads ciphertext from the socket and passes it in as a block. Ciphertext to send is written to
// the socket directly, which must not block. One thread at a time.
class TlsSession {
 public:
  enum class Result {
    kOk,
    kWantRead,   // more ciphertext is needed: Feed it, then call again
    kWantWrite,  // the socket is full: wait until it is writable, then call again
    kEnd,        // the peer has closed its side (close_notify)
    kError,      // the connection cannot be used any more
  };

  // Null when there is no memory. The session writes to `socket` but does not own it.
  static std::unique_ptr<TlsSession> Create(std::shared_ptr<const TlsContext> context, int socket);
  ~TlsSession();

  // Passes in a block that was read from the socket. It must stay in place until kWantRead is
  // returned, which means that all of it was taken.
  void Feed(absl::string_view ciphertext) { in_ = ciphertext; }

  Result Handshake();
  // After kOk, `*count` > 0 bytes were read or written.
  Result Read(char* data, size_t size, size_t* count);
  Result Write(absl::string_view data, size_t* count);
  // Sends close_notify, if the socket takes it at once.
  void Close();

 private:
  friend struct TlsSessionBio;

  TlsSession(std::shared_ptr<const TlsContext> context, int socket);
  Result Explain(int returned);

  std::shared_ptr<const TlsContext> context_;
  ssl_st* ssl_ = nullptr;
  int socket_;
  absl::string_view in_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TLS_H_
