#include "plugin/http/listening_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace webhook::http {
namespace {

struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
};

// "fe80::1%eth0", "fe80::1%2": an interface's name or number (RFC 4007 section 11).
bool ReadScope(const std::string& text, sockaddr_in6& address) {
  address.sin6_scope_id = if_nametoindex(text.c_str());
  return address.sin6_scope_id != 0 || absl::SimpleAtoi(text, &address.sin6_scope_id);
}

std::optional<Endpoint> ReadEndpoint(const std::string& text, uint16_t port) {
  Endpoint endpoint;
  auto& v4 = reinterpret_cast<sockaddr_in&>(endpoint.address);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    endpoint.size = sizeof v4;
    return endpoint;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(endpoint.address);
  const size_t percent = text.find('%');
  if (inet_pton(AF_INET6, text.substr(0, percent).c_str(), &v6.sin6_addr) != 1) return {};
  if (percent != std::string::npos && !ReadScope(text.substr(percent + 1), v6)) return {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  endpoint.size = sizeof v6;
  return endpoint;
}

// An IPv4 peer of an IPv6 socket gets its IPv4 address.
std::string PeerText(Endpoint& peer) {
  auto& v6 = reinterpret_cast<sockaddr_in6&>(peer.address);
  if (v6.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
    std::memcpy(&peer.address, &v4, sizeof v4);
    peer.size = sizeof v4;
  }
  char text[NI_MAXHOST] = "";
  getnameinfo(peer.get(), peer.size, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  return text;
}

absl::Status Explain(int error, const std::string& address, uint16_t port) {
  const std::string where = absl::StrCat("port ", port, " of ", address);
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(absl::StrCat(where, " is in use"));
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(where, " needs more rights"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(absl::StrCat(address, " is no address of this machine"));
    default:
      return absl::UnavailableError(
          absl::StrCat(where, ": ", std::generic_category().message(error)));
  }
}

bool SetOption(const Descriptor& socket, int option) {
  const int yes = 1;
  return setsockopt(socket.get(), SOL_SOCKET, option, &yes, sizeof yes) == 0;
}

}  // namespace

absl::StatusOr<ListeningSocket> ListeningSocket::Bind(const std::string& address, uint16_t port,
                                                      const ListeningSocket* beside) {
  std::optional<Endpoint> endpoint = ReadEndpoint(address, port);
  if (!endpoint.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" is no IPv4 or IPv6 address"));
  }
  ListeningSocket result;
  result.socket_ = Descriptor(
      socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  const Descriptor& socket = result.socket_;
  // SO_REUSEADDR: a restart must not wait until old connections have timed out. SO_REUSEPORT only
  // beside a socket that will be closed: otherwise a port that is in use must be an error.
  const bool bound = socket.is_open() && SetOption(socket, SO_REUSEADDR) &&
                     (beside == nullptr || (SetOption(beside->socket_, SO_REUSEPORT) &&
                                            SetOption(socket, SO_REUSEPORT))) &&
                     ::bind(socket.get(), endpoint->get(), endpoint->size) == 0;
  // Beside another socket it would get connections at once, which the other one has to answer.
  if (!bound || (beside == nullptr && ::listen(socket.get(), SOMAXCONN) != 0)) {
    return Explain(errno, address, port);
  }
  endpoint->size = sizeof endpoint->address;
  if (getsockname(socket.get(), endpoint->get(), &endpoint->size) != 0) {
    return Explain(errno, address, port);
  }
  // The port is at the same place for both families.
  result.port_ = ntohs(reinterpret_cast<const sockaddr_in&>(endpoint->address).sin_port);
  return result;
}

void ListeningSocket::Listen() { ::listen(socket_.get(), SOMAXCONN); }

Descriptor ListeningSocket::Accept(std::string& peer) {
  for (;;) {
    Endpoint endpoint;
    Descriptor socket(
        accept4(socket_.get(), endpoint.get(), &endpoint.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.is_open() && errno == EINTR) continue;
    if (socket.is_open()) peer = PeerText(endpoint);
    return socket;
  }
}

}  // namespace webhook::http
