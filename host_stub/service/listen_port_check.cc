#include "host_stub/service/listen_port_check.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "host_stub/service/free_with.h"
#include "plugin/http/event_loop.h"

namespace host_stub {
namespace {

using webhook::http::Descriptor;

using Context = std::unique_ptr<SSL_CTX, FreeWith<&SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, FreeWith<&SSL_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, FreeWith<&X509_STORE_CTX_free>>;
using Addresses = std::unique_ptr<addrinfo, FreeWith<&freeaddrinfo>>;

absl::Status Unavailable(const ListenPortPlace& place, absl::string_view what) {
  return absl::UnavailableError(
      absl::StrCat("its own port ", place.port, " of ", place.address, " cannot be used: ", what));
}

absl::StatusOr<Descriptor> Connect(const ListenPortPlace& place, absl::Duration timeout) {
  const std::string host = place.address == "0.0.0.0" ? "127.0.0.1"
                           : place.address == "::"    ? "::1"
                                                      : place.address;
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), absl::StrCat(place.port).c_str(), &hints, &found) != 0) {
    return Unavailable(place, "it is no address");
  }
  const Addresses addresses(found);
  Descriptor socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval time = absl::ToTimeval(timeout);
  // SO_SNDTIMEO bounds connect(2), too (socket(7)).
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  if (::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0) {
    return Unavailable(place, std::generic_category().message(errno));
  }
  return socket;
}

// Why a sender that trusts the system's authorities would refuse these certificates; empty: it
// would not, or the certificate is its own issuer.
std::string WarningOf(SSL_CTX* context, STACK_OF(X509) * chain) {
  X509* const own = sk_X509_value(chain, 0);
  if (X509_check_issued(own, own) == X509_V_OK) return "";
  const StoreContext verify(X509_STORE_CTX_new());
  if (X509_STORE_CTX_init(verify.get(), SSL_CTX_get_cert_store(context), own, chain) != 1 ||
      X509_verify_cert(verify.get()) == 1) {
    return "";
  }
  switch (X509_STORE_CTX_get_error(verify.get())) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      break;
    default:
      return "";
  }
  X509* const last = sk_X509_value(chain, sk_X509_num(chain) - 1);
  char issuer[256] = "";
  X509_NAME_oneline(X509_get_issuer_name(last), issuer, sizeof issuer);
  return absl::StrCat("certificate: the chain that the port serves ends below ", issuer,
                      ", which this system does not know; senders that do not know it either "
                      "refuse the port: put the certificates between into `certificate`");
}

}  // namespace

absl::StatusOr<std::string> CheckListenPort(const ListenPortPlace& place, absl::Duration timeout) {
  const absl::StatusOr<Descriptor> socket = Connect(place, timeout);
  if (!socket.ok()) return socket.status();
  if (!place.over_tls) return "";
  const Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_default_verify_paths(context.get());
  const Session session(SSL_new(context.get()));
  SSL_set_fd(session.get(), socket->get());
  if (SSL_connect(session.get()) != 1) {
    char reason[256] = "the other side closed the connection, or did not answer in time";
    if (const unsigned long error = ERR_get_error(); error != 0) {
      ERR_error_string_n(error, reason, sizeof reason);
    }
    ERR_clear_error();
    return Unavailable(place, absl::StrCat("TLS: ", reason));
  }
  STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(session.get());
  std::string warning = chain == nullptr ? "" : WarningOf(context.get(), chain);
  ERR_clear_error();
  SSL_shutdown(session.get());
  return warning;
}

}  // namespace host_stub
