#include "host_stub/socket_address.h"

#include <arpa/inet.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

bool IsAddress(int family, const std::string& host) {
  in6_addr address;
  return inet_pton(family, host.c_str(), &address) == 1;
}

}  // namespace

absl::StatusOr<SocketAddress> ParseSocketAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon != absl::string_view::npos && absl::SimpleAtoi(text.substr(colon + 1), &port) &&
      port <= UINT16_MAX) {
    std::string host(text.substr(0, colon));
    if (IsAddress(AF_INET, host)) return SocketAddress{host, static_cast<uint16_t>(port)};
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
      if (IsAddress(AF_INET6, host)) return SocketAddress{host, static_cast<uint16_t>(port)};
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no address with a port, as in 127.0.0.1:8080 or [::1]:8080"));
}

std::string FormatSocketAddress(const SocketAddress& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  return absl::StrCat(ipv6 ? "[" : "", address.host, ipv6 ? "]:" : ":", address.port);
}

}  // namespace host_stub
