#include "host_stub/admin/admin.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "host_stub/service/addresses.h"
#include "plugin/http/address.h"
#include "plugin/http/tls.h"

namespace host_stub {
namespace {

namespace http = webhook::http;
using http::Exchange;
using http::HeaderField;

constexpr absl::string_view kUnixPrefix = "unix:";
constexpr absl::string_view kPlainText = "text/plain; charset=utf-8";

std::string Digest(absl::string_view text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

http::HeadVerdict Respond(Exchange& exchange, int status, absl::string_view body,
                          absl::string_view content_type = kPlainText,
                          std::vector<HeaderField> headers = {}) {
  headers.push_back({"Cache-Control", "no-store"});
  headers.push_back({"X-Content-Type-Options", "nosniff"});
  http::RespondOrGiveUp(
      exchange, {.status = status, .content_type = content_type, .headers = headers, .body = body});
  return http::HeadVerdict::Answered();
}

// The header Host without its port (RFC 9110 section 7.2).
absl::string_view NameOf(absl::string_view host) {
  if (absl::StartsWith(host, "[")) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.rfind(':'));
}

absl::Status CheckOptions(const AdminOptions& options, const std::string& host) {
  if (options.certificate_chain.empty() != options.private_key.empty()) {
    return absl::InvalidArgumentError("TLS needs --admin-certificate and --admin-key");
  }
  if (!options.client_ca.empty() && options.certificate_chain.empty()) {
    return absl::InvalidArgumentError(
        "--admin-client-ca needs --admin-certificate and --admin-key");
  }
  if (!options.client_ca.empty() && !options.tokens.empty()) {
    return absl::InvalidArgumentError("give --admin-token-file or --admin-client-ca, not both");
  }
  constexpr size_t kShortestToken = 16;
  for (const std::string& token : options.tokens) {
    if (token.size() < kShortestToken) {
      return absl::InvalidArgumentError(
          "--admin-token-file: the token is shorter than 16 characters; make one with openssl rand "
          "-hex 32");
    }
  }
  const bool is_open = !host.empty() && !IsLoopback(host);
  if (is_open && (options.certificate_chain.empty() ||
                  (options.tokens.empty() && options.client_ca.empty()))) {
    return absl::InvalidArgumentError(absl::StrCat(
        host,
        " can be reached from other machines; use 127.0.0.1, or give --admin-certificate and "
        "--admin-key, and --admin-token-file or --admin-client-ca"));
  }
  return absl::OkStatus();
}

// Few small requests are expected here.
webhook::Limits AdminLimits(webhook::Limits limits) {
  limits.connections = std::min<int64_t>(limits.connections, 64);
  limits.connections_from_one_address = std::min<int64_t>(limits.connections_from_one_address, 32);
  limits.body_bytes = 1;
  return limits;
}

}  // namespace

Admin::Admin(const AdminOptions& options, AdminParts parts)
    : parts_(std::move(parts)), metrics_(parts_), names_(options.names) {
  for (const std::string& token : options.tokens) token_digests_.push_back(Digest(token));
}

absl::StatusOr<std::unique_ptr<Admin>> Admin::Start(const AdminOptions& options, AdminParts parts) {
  HostPort place;
  http::ServerOptions server{.limits = AdminLimits(parts.limits)};
  server.first_spare_descriptor = INT_MAX;  // health is asked when descriptors run short, too
  std::unique_ptr<Admin> admin(new Admin(options, std::move(parts)));
  if (absl::StartsWith(options.address, kUnixPrefix)) {
    absl::Status status = PrepareControlSocket(options.address.substr(kUnixPrefix.size()));
    if (!status.ok()) return status;
    server.address = options.address;
  } else {
    absl::StatusOr<HostPort> parsed = ParseHostPort(options.address);
    if (!parsed.ok()) return parsed.status();
    place = *std::move(parsed);
    server.address = place.host == "localhost" ? "127.0.0.1" : place.host;
    server.port = static_cast<uint16_t>(place.port);
  }
  if (absl::Status status = CheckOptions(options, place.host); !status.ok()) return status;
  if (!options.certificate_chain.empty()) {
    auto tls = http::TlsContext::Create({.certificate_chain_pem = options.certificate_chain,
                                         .private_key_pem = options.private_key,
                                         .client_ca_pem = options.client_ca,
                                         .client_crl_pem = ""});
    if (!tls.ok()) return tls.status();
    server.tls = *std::move(tls);
  }
  auto thread = http::IoThreads::Start(1);
  if (!thread.ok()) return thread.status();
  admin->thread_ = *std::move(thread);
  auto listening = http::Server::Listen(std::move(server), *admin->thread_, *admin);
  if (!listening.ok()) return listening.status();
  admin->server_ = *std::move(listening);
  if (place.host.empty()) admin->socket_path_ = options.address.substr(kUnixPrefix.size());
  admin->address_ = place.host.empty()
                        ? options.address
                        : FormatHostPort(admin->server_->address(), admin->server_->port());
  return admin;
}

Admin::~Admin() {
  if (server_ != nullptr) server_->Drain(absl::ZeroDuration());
  server_.reset();
  if (thread_ != nullptr) thread_->Stop();
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
}

http::HeadVerdict Admin::OnHead(Exchange& exchange) {
  const http::RequestHead& head = exchange.head();
  if (!IsKnownHost(head)) {
    return Respond(
        exchange, 421,
        "This listener has no such name. Use its address, or name it with --admin-name.\n");
  }
  if (head.method != "GET" && head.method != "HEAD") {
    return Respond(exchange, 405, "Only GET and HEAD are served here.\n", kPlainText,
                   {{"Allow", "GET, HEAD"}});
  }
  if (head.path == "/healthz") return Respond(exchange, 200, "ok\n");
  const bool allowed = token_digests_.empty() || HasToken(head);
  if (head.path == "/readyz") {
    const std::vector<std::string> failed = FailedChecks();
    if (failed.empty()) return Respond(exchange, 200, "ready\n");
    return Respond(exchange, 503,
                   allowed ? absl::StrCat(absl::StrJoin(failed, "\n"), "\n") : "not ready\n");
  }
  if (head.path != "/metrics") {
    return Respond(exchange, 404, "Served here: /healthz, /readyz, /metrics.\n");
  }
  if (!allowed) {
    return Respond(exchange, 401, "A bearer token of --admin-token-file is needed.\n", kPlainText,
                   {{"WWW-Authenticate", "Bearer"}});
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, metrics_.Collect());
  return Respond(exchange, 200, text.str(), "text/plain; version=0.0.4; charset=utf-8");
}

// Everything is answered by the head.
void Admin::OnRequest(Exchange& exchange) { exchange.GiveUp(); }

// A page of a stranger can make a browser ask for its own name while that name leads to this
// machine (DNS rebinding); then Host has that name.
bool Admin::IsKnownHost(const http::RequestHead& head) const {
  const HeaderField* const host = head.Find("Host");
  if (host == nullptr) return true;  // HTTP/1.0, which no browser speaks
  const absl::string_view name = NameOf(host->value);
  if (absl::EqualsIgnoreCase(name, "localhost") || http::Address::Parse(name).ok()) return true;
  return std::any_of(names_.begin(), names_.end(), [name](const std::string& known) {
    return absl::EqualsIgnoreCase(name, known);
  });
}

// Compares with all, each in constant time.
bool Admin::HasToken(const http::RequestHead& head) const {
  const HeaderField* const field = head.Find("Authorization");
  if (field == nullptr) return false;
  absl::string_view value = field->value;
  if (!absl::StartsWithIgnoreCase(value, "Bearer ")) return false;
  value.remove_prefix(7);
  const std::string digest = Digest(absl::StripAsciiWhitespace(value));
  bool equal = false;
  for (const std::string& known : token_digests_) {
    equal |= CRYPTO_memcmp(digest.data(), known.data(), known.size()) == 0;
  }
  return equal;
}

std::vector<std::string> Admin::FailedChecks() const {
  std::vector<std::string> failed;
  if (parts_.state().draining) failed.push_back("host: it is stopping");
  if (const absl::Status status = parts_.store->health(); !status.ok()) {
    failed.push_back(absl::StrCat("store: ", status.message()));
  }
  return failed;
}

}  // namespace host_stub
