// Where a server listens, as a person writes it.
#ifndef HOST_STUB_SOCKET_ADDRESS_H_
#define HOST_STUB_SOCKET_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

struct SocketAddress {
  std::string host;  // an IPv4 or IPv6 address, without brackets
  uint16_t port = 0;
};

// Reads "127.0.0.1:8080" or "[::1]:8080". INVALID_ARGUMENT for anything else, names included.
absl::StatusOr<SocketAddress> ParseSocketAddress(absl::string_view text);

// The same, written again: brackets around an IPv6 address.
std::string FormatSocketAddress(const SocketAddress& address);

}  // namespace host_stub

#endif  // HOST_STUB_SOCKET_ADDRESS_H_
