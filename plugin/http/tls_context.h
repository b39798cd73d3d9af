// Certificate, key and rules for TLS connections, made from PEM text.
//
// TLS 1.2 and 1.3, ECDHE over X25519, P-256 or P-384 with AEAD ciphers only, no compression, no
// renegotiation, sessions resumed, ALPN "http/1.1". A server certificate may have a P-521 key; a
// client certificate with such a key is accepted with TLS 1.3 only (RFC 8422 section 5.1 lets TLS
// 1.2's list of groups hold for certificates, too). Immutable and shared: a rotation makes a new
// context and passes it to Server::SetTls; open connections keep the old one.
#ifndef PLUGIN_HTTP_TLS_CONTEXT_H_
#define PLUGIN_HTTP_TLS_CONTEXT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct ssl_ctx_st;

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

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TLS_CONTEXT_H_
