// TLS: certificate, key and rules, made from PEM text, and the sessions of connections.
//
// TLS 1.2 and 1.3, ECDHE over X25519 or P-256 with AEAD ciphers only, no compression, no
// renegotiation, ALPN "http/1.1". Sessions are resumed unless clients show certificates, which are
// verified each time. A server certificate may have a P-384 or P-521 key; a client certificate with
// such a key is accepted with TLS 1.3 only (RFC 8422 section 5.1 lets TLS 1.2's list of groups hold
// for certificates, too). Immutable and shared: a rotation makes a new context and passes it to
// Server::SetTls; open connections keep the old one, unless its policy is another.
#ifndef PLUGIN_HTTP_TLS_H_
#define PLUGIN_HTTP_TLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

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
  absl::string_view client_crl_pem;         // revocation lists; empty: nothing is revoked
};

// The blocks of a PEM text (RFC 7468) in the one form that every reader understands: the text
// around them is gone, and line ends that became blanks, or were lost, are there again. Every block
// is "CERTIFICATE", "X509 CRL" or a "PRIVATE KEY" of any kind, as `label` says; other blocks beside
// a private key are left out. INVALID_ARGUMENT, "number 2 is indented ...", for what a reader of
// PEM would pass over in silence. An empty result: there is no block.
absl::StatusOr<std::string> NormalizePem(absl::string_view text, absl::string_view label);

class TlsContext {
 public:
  // INVALID_ARGUMENT that says which part is wrong and how: no certificate in the text, a
  // malformed or encrypted key, a key of another certificate, an authority that can never match.
  // Never quotes the text itself. When the certificates are valid is not looked at: see below.
  static absl::StatusOr<std::shared_ptr<const TlsContext>> Create(const TlsOptions& options);

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // The begin and the end of the certificate's validity, both within it (RFC 5280 section 4.1.2.5).
  absl::Time not_before() const { return not_before_; }
  absl::Time not_after() const { return not_after_; }
  // The end of the client authority that is valid longest, and the time by which the first of the
  // revocation lists is to be renewed: from either on no client certificate is accepted.
  absl::Time client_ca_not_after() const { return client_ca_not_after_; }
  absl::Time client_crl_not_after() const { return client_crl_not_after_; }

  // Whether connections under both are protected alike: by TLS, and by the same authorities and
  // revocation lists. Null: plain HTTP.
  static bool IsSamePolicy(const TlsContext* one, const TlsContext* other) {
    return one == nullptr || other == nullptr ? one == other : one->policy_ == other->policy_;
  }

  // For plugin/http alone.
  ssl_ctx_st* native() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  absl::Status UseClientCa(absl::string_view pem, absl::string_view crl_pem);

  ssl_ctx_st* context_;
  absl::Time not_before_;
  absl::Time not_after_;
  absl::Time client_ca_not_after_ = absl::InfiniteFuture();
  absl::Time client_crl_not_after_ = absl::InfiniteFuture();
  std::string policy_;
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

  // Null when there is no memory. The session writes to `socket` but does not own it. A peer that
  // updates its keys more than `most_key_updates` times (RFC 8446 section 4.6.3) is an error.
  static std::unique_ptr<TlsSession> Create(std::shared_ptr<const TlsContext> context, int socket,
                                            int64_t most_key_updates);
  ~TlsSession();

  // Passes in a block that was read from the socket. It must stay in place until kWantRead is
  // returned, which means that all of it was taken.
  void Feed(absl::string_view ciphertext) { in_ = ciphertext; }

  Result Handshake();
  // What a handshake failed of, for an operator. It lives for ever.
  absl::string_view fault() const { return fault_; }
  // After kOk, `*count` > 0 bytes were read or written.
  Result Read(char* data, size_t size, size_t* count);
  Result Write(absl::string_view data, size_t* count);
  // Sends close_notify, if the socket takes it at once.
  void Close();

 private:
  friend struct TlsSessionBio;

  TlsSession(std::shared_ptr<const TlsContext> context, int socket, int64_t most_key_updates);
  Result Explain(int returned);

  std::shared_ptr<const TlsContext> context_;
  ssl_st* ssl_ = nullptr;
  int socket_;
  int64_t key_updates_left_;
  absl::string_view in_;
  absl::string_view fault_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TLS_H_
