// Addresses of listeners and targets, checked before anything is bound or dialled.
#ifndef HOST_STUB_SERVICE_ADDRESSES_H_
#define HOST_STUB_SERVICE_ADDRESSES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

struct HostPort {
  std::string host;  // without brackets
  int port = 0;      // 0 to 65535
};

// "127.0.0.1:8080", "[::1]:8080", "localhost:0". INVALID_ARGUMENT.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// With brackets around an IPv6 address.
std::string FormatHostPort(absl::string_view host, int port);

// 127.0.0.0/8, ::1 and "localhost" are reached from this machine only.
bool IsLoopback(absl::string_view host);

// Prepares for listening at `path`: creates its folder (0700) or checks it, and removes a socket
// that a dead process has left. INVALID_ARGUMENT: longer than the 107 bytes that the system
// accepts. FAILED_PRECONDITION: the folder is open to others. ALREADY_EXISTS: a host serves there.
absl::Status PrepareControlSocket(const std::string& path);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_ADDRESSES_H_
