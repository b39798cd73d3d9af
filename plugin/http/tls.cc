#include "plugin/http/tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/utf8.h"

namespace webhook::http {
namespace {

// Of an authority's key: what OpenSSL asks for at its security level 2.
constexpr int kLeastSecurityBits = 112;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_CRL* list) const { X509_CRL_free(list); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

template <typename T>
using Owned = std::unique_ptr<T, Free>;

// OpenSSL's state for our connections alone. What the process, or an openssl.cnf, has set for its
// own use does not hold here. Freed at the exit, or when the plugin is unloaded.
OSSL_LIB_CTX* Library() {
  struct Context {
    Context() {
      OPENSSL_init_crypto(0, nullptr);  // so that OpenSSL's own end comes after this one's
      library = OSSL_LIB_CTX_new();
    }
    ~Context() { OSSL_LIB_CTX_free(library); }
    OSSL_LIB_CTX* library;
  };
  // Constant once made, like the method of TlsSession::Create.
  static const Context context;
  return context.library;
}

Owned<BIO> Reader(absl::string_view pem) {
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Null at the end, and where the text is damaged.
Owned<X509> NextCertificate(const Owned<BIO>& reader) {
  X509* certificate = X509_new_ex(Library(), nullptr);
  const bool read = PEM_read_bio_X509(reader.get(), &certificate, nullptr, nullptr) != nullptr;
  Owned<X509> owned(certificate);
  return read ? std::move(owned) : nullptr;
}

Owned<X509_CRL> NextList(const Owned<BIO>& reader) {
  X509_CRL* list = X509_CRL_new_ex(Library(), nullptr);
  const bool read = PEM_read_bio_X509_CRL(reader.get(), &list, nullptr, nullptr) != nullptr;
  Owned<X509_CRL> owned(list);
  return read ? std::move(owned) : nullptr;
}

// The text is never quoted: it may be a key that was put into the wrong place.
absl::Status Wrong(absl::string_view what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(what);
}

absl::Status In(absl::string_view part, const absl::Status& status) {
  return Wrong(absl::StrCat(part, ": ", status.message()));
}

// At the end of a PEM text the reader reports "no start line"; any other error is damage.
bool ReachedEnd() {
  const unsigned long error = ERR_peek_last_error();
  const bool end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return end;
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int GivePassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::Status UseChain(SSL_CTX* context, absl::string_view text) {
  const auto pem = NormalizePem(text, "CERTIFICATE");
  if (!pem.ok()) return In("certificate", pem.status());
  const Owned<BIO> reader = Reader(*pem);
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

absl::Status UseKey(SSL_CTX* context, absl::string_view text) {
  auto pem = NormalizePem(text, "PRIVATE KEY");
  if (!pem.ok()) return In("private key", pem.status());
  const absl::Cleanup wipe = [&pem] { OPENSSL_cleanse(pem->data(), pem->size()); };
  const Owned<BIO> reader = Reader(*pem);
  bool encrypted = absl::StrContains(*pem, "ENCRYPTED");  // in either of two forms
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey_ex(reader.get(), nullptr, GivePassphrase,
                                                       &encrypted, Library(), nullptr));
  if (key == nullptr) {
    if (encrypted) return Wrong("private key: it is encrypted; give it without a passphrase");
    return Wrong(pem->empty() ? "private key: no PEM private key in the text"
                              : "private key: malformed PEM private key");
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

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&parts));
}

// Why no client certificate can match this authority; empty if one can.
absl::string_view WhyNeverMatched(X509* authority) {
  // It signs client certificates, or is one itself.
  if (X509_check_purpose(authority, X509_PURPOSE_SSL_CLIENT, 1) <= 0 &&
      X509_check_purpose(authority, X509_PURPOSE_SSL_CLIENT, 0) <= 0) {
    return "may neither sign client certificates nor be one";
  }
  const EVP_PKEY* const key = X509_get0_pubkey(authority);
  const bool strong = key != nullptr && EVP_PKEY_get_security_bits(key) >= kLeastSecurityBits;
  return strong ? "" : "has a key that is too small or unknown";
}

// An authority that was given is trusted as it stands, so no list needs to cover it.
int AcceptAuthority(int good, X509_STORE_CTX* store) {
  const int depth = X509_STORE_CTX_get_error_depth(store);
  if (good != 0 || depth != sk_X509_num(X509_STORE_CTX_get0_chain(store)) - 1) return good;
  switch (X509_STORE_CTX_get_error(store)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
      X509_STORE_CTX_set_error(store, X509_V_OK);
      return 1;
    default:
      return 0;
  }
}

absl::StatusOr<std::vector<Owned<X509_CRL>>> ReadLists(absl::string_view pem) {
  std::vector<Owned<X509_CRL>> lists;
  const Owned<BIO> reader = Reader(pem);
  while (Owned<X509_CRL> next = NextList(reader)) lists.push_back(std::move(next));
  if (!ReachedEnd()) return Wrong(absl::StrCat("number ", lists.size() + 1, " is malformed"));
  if (lists.empty()) return Wrong("no PEM revocation list in the text");
  return lists;
}

// Without a list of its own, an authority's certificates would all be refused.
bool HasList(X509* authority, const std::vector<Owned<X509_CRL>>& lists) {
  return X509_check_ca(authority) == 0 ||
         std::any_of(lists.begin(), lists.end(), [authority](const Owned<X509_CRL>& list) {
           return X509_NAME_cmp(X509_CRL_get_issuer(list.get()),
                                X509_get_subject_name(authority)) == 0 &&
                  X509_CRL_verify(list.get(), X509_get0_pubkey(authority)) == 1;
         });
}

// Counts the updates of keys that were received.
void OnState(const SSL* ssl, int where, int) {
  if (where != SSL_CB_ACCEPT_LOOP || SSL_get_state(ssl) != TLS_ST_SR_KEY_UPDATE) return;
  --*static_cast<int64_t*>(SSL_get_app_data(ssl));
}

// RFC 7301 section 3.2: without an overlap the handshake ends with no_application_protocol.
int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* in, unsigned int in_size, void*) {
  static constexpr unsigned char kOffered[] = "\x08http/1.1\x08http/1.0";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOffered, sizeof kOffered - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void SetRules(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_security_level(context, 2);  // kLeastSecurityBits
  // TLS 1.3 has none but AEAD with (EC)DHE.
  SSL_CTX_set_cipher_list(context,
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                          "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                          "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305");
  // OpenSSL's own list has finite fields of up to 8192 bits: one ClientHello of 1.2 KB that asks
  // for ffdhe8192 keeps a processor busy for 187 ms. In OpenSSL 3.0, P-384 costs twenty times as
  // much as these two, of which every client of today knows one.
  SSL_CTX_set1_groups_list(context, "X25519:P-256");
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
  SSL_CTX_set_info_callback(context, OnState);
}

}  // namespace

absl::StatusOr<std::string> NormalizePem(absl::string_view text, absl::string_view label) {
  constexpr absl::string_view kDashes = "-----";
  const bool is_key = label == "PRIVATE KEY";
  bool has_key = false;
  std::string pem;
  pem.reserve(2 * text.size());  // so that no part of a key is left behind where it grew
  absl::ConsumePrefix(&text, base::kByteOrderMark);
  for (int number = 1;; ++number) {
    const auto refuse = [&](absl::string_view what) {
      OPENSSL_cleanse(pem.data(), pem.size());
      return absl::InvalidArgumentError(absl::StrCat("number ", number, " of the PEM text ", what));
    };
    const size_t word = text.find("BEGIN");
    absl::string_view before = text.substr(0, word);
    if (absl::StrContains(before, "-END ")) return refuse("has no BEGIN line");
    if (word == absl::string_view::npos) return pem;
    if (!absl::ConsumeSuffix(&before, kDashes)) return refuse("begins with less than five dashes");
    // Behind an end there need not be a line end: it may have become a blank, or be missing.
    const size_t line_end = before.find_last_of("\r\n");
    const absl::string_view line = before.substr(line_end + 1);
    const bool new_line = number == 1 || line_end != absl::string_view::npos;
    if (new_line && !line.empty() && std::all_of(line.begin(), line.end(), IsSpace)) {
      return refuse("is indented; -----BEGIN must be first in its line");
    }
    if (!line.empty() && !IsSpace(line.back())) return refuse("does not begin its line");
    text.remove_prefix(word + 5);
    absl::string_view kind = text.substr(0, text.find(kDashes));
    if (kind.size() == text.size() || kind.find_first_of("-\r\n") != absl::string_view::npos ||
        !absl::ConsumePrefix(&kind, " ")) {
      return refuse("has a malformed BEGIN line");
    }
    text.remove_prefix(1 + kind.size() + kDashes.size());
    const std::string mark = absl::StrCat(kDashes, "END ", kind, kDashes);
    const size_t end = text.find(mark);
    if (end == absl::string_view::npos || end > text.find("BEGIN ")) {
      return refuse("has no END line");
    }
    const absl::string_view content = text.substr(0, end);
    text.remove_prefix(end + mark.size());
    // Beside a key there may be the parameters of its curve, or its certificate.
    if (is_key && !absl::EndsWith(kind, label)) continue;
    if (!is_key && kind != label && kind != absl::StrCat("X509 ", label)) {
      return refuse(absl::StrCat("is no ", label));
    }
    if (is_key && std::exchange(has_key, true)) return refuse("is a second private key");
    if (const std::string name = base::InvisibleCharacterIn(content); !name.empty()) {
      return refuse(absl::StrCat("holds a character that cannot be seen: ", name));
    }
    absl::StrAppend(&pem, "-----BEGIN ", kind, "-----");
    size_t column = 0;
    for (const char c : content) {
      if (IsSpace(c)) continue;
      if (column++ % 64 == 0) pem.push_back('\n');
      pem.push_back(c);
    }
    absl::StrAppend(&pem, "\n", mark, "\n");
  }
}

absl::StatusOr<std::shared_ptr<const TlsContext>> TlsContext::Create(const TlsOptions& options) {
  ERR_clear_error();
  // What OpenSSL keeps for this thread, which may not be ours, goes before the library does.
  const absl::Cleanup stop = [] { OPENSSL_thread_stop_ex(Library()); };
  SSL_CTX* context = SSL_CTX_new_ex(Library(), nullptr, TLS_server_method());
  if (context == nullptr) {
    const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return absl::InternalError(absl::StrCat("OpenSSL gives no TLS context: ",
                                            reason == nullptr ? "it gives no reason" : reason));
  }
  std::shared_ptr<TlsContext> result(new TlsContext(context));
  SetRules(context);
  absl::Status status = UseChain(context, options.certificate_chain_pem);
  if (status.ok()) status = UseKey(context, options.private_key_pem);
  if (status.ok() && !options.client_ca_pem.empty()) {
    status = result->UseClientCa(options.client_ca_pem, options.client_crl_pem);
  }
  if (!status.ok()) return status;
  const X509* certificate = SSL_CTX_get0_certificate(context);
  result->not_before_ = ToTime(X509_get0_notBefore(certificate));
  result->not_after_ = ToTime(X509_get0_notAfter(certificate));
  ERR_clear_error();
  return std::shared_ptr<const TlsContext>(std::move(result));
}

absl::Status TlsContext::UseClientCa(absl::string_view text, absl::string_view crl_text) {
  const auto pem = NormalizePem(text, "CERTIFICATE");
  if (!pem.ok()) return In("client CA", pem.status());
  X509_STORE* const store = SSL_CTX_get_cert_store(context_);
  std::vector<Owned<X509_CRL>> lists;
  policy_ = *pem;
  // Without it, only an authority that has signed itself is trusted.
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  if (!crl_text.empty()) {
    const auto crl_pem = NormalizePem(crl_text, "CRL");
    if (!crl_pem.ok()) return In("client CRL", crl_pem.status());
    auto read = ReadLists(*crl_pem);
    if (!read.ok()) return In("client CRL", read.status());
    lists = *std::move(read);
    policy_ += *crl_pem;
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }
  for (const Owned<X509_CRL>& list : lists) {
    if (X509_STORE_add_crl(store, list.get()) != 1) return Wrong("client CRL: it is not usable");
    if (const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(list.get()); next != nullptr) {
      client_crl_not_after_ = std::min(client_crl_not_after_, ToTime(next));
    }
  }
  client_ca_not_after_ = absl::InfinitePast();
  const Owned<BIO> reader = Reader(*pem);
  int position = 1;
  while (const Owned<X509> next = NextCertificate(reader)) {
    if (X509_STORE_add_cert(store, next.get()) != 1 ||
        SSL_CTX_add_client_CA(context_, next.get()) != 1) {
      return Wrong(absl::StrCat("client CA: certificate ", position, " is not usable"));
    }
    if (const absl::string_view why = WhyNeverMatched(next.get()); !why.empty()) {
      return Wrong(absl::StrCat("client CA: certificate ", position, " ", why));
    }
    if (!lists.empty() && !HasList(next.get(), lists)) {
      return Wrong(absl::StrCat("client CRL: there is no list that certificate ", position,
                                " of the client CA has signed"));
    }
    client_ca_not_after_ = std::max(client_ca_not_after_, ToTime(X509_get0_notAfter(next.get())));
    ++position;
  }
  if (!ReachedEnd()) {
    return Wrong(absl::StrCat("client CA: certificate ", position, " is malformed"));
  }
  if (position == 1) return Wrong("client CA: no PEM certificate in the text");
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, AcceptAuthority);
  // A session that is resumed shows no certificate, so that one that has expired or was revoked
  // would live on.
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context_, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context_, 0);
  return absl::OkStatus();
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

// Senders say in an alert why they do not go on (RFC 8446 section 6.2).
absl::string_view FaultOf(unsigned long error) {
  switch (ERR_GET_REASON(error)) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return "its sender does not know who issued the certificate of this port (unknown_ca): are "
             "the certificates between missing in `certificate`?";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      return "its sender does not accept the certificate of this port (bad_certificate): is it for "
             "another name, or are the certificates between missing in `certificate`?";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "its sender takes the certificate of this port for expired (certificate_expired)";
    default:
      const char* const reason = ERR_reason_error_string(error);
      return reason == nullptr ? "the TLS handshake failed" : reason;
  }
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, int socket,
                       int64_t most_key_updates)
    : context_(std::move(context)), socket_(socket), key_updates_left_(most_key_updates) {}

std::unique_ptr<TlsSession> TlsSession::Create(std::shared_ptr<const TlsContext> context,
                                               int socket, int64_t most_key_updates) {
  // Constant once made; the kind of thing OpenSSL itself keeps one of per process.
  static BIO_METHOD* const method = TlsSessionBio::NewMethod();
  if (method == nullptr) return nullptr;
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context), socket, most_key_updates));
  session->ssl_ = SSL_new(session->context_->native());
  BIO* bio = session->ssl_ == nullptr ? nullptr : BIO_new(method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, session.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(session->ssl_, bio, bio);  // which takes ownership
  SSL_set_app_data(session->ssl_, &session->key_updates_left_);
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
  if (returned == 1) return Result::kOk;
  fault_ = FaultOf(ERR_peek_last_error());
  return Explain(returned);
}

TlsSession::Result TlsSession::Read(char* data, size_t size, size_t* count) {
  ERR_clear_error();
  const int returned = SSL_read_ex(ssl_, data, size, count);
  if (key_updates_left_ < 0) return Result::kError;
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
