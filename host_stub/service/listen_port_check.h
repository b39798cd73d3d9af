// Connects to an instance's own listen port, as a sender would.
#ifndef HOST_STUB_SERVICE_LISTEN_PORT_CHECK_H_
#define HOST_STUB_SERVICE_LISTEN_PORT_CHECK_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace host_stub {

struct ListenPortPlace {
  std::string address;  // where it is bound; 0.0.0.0 and :: are asked on loopback
  int port = 0;
  bool over_tls = false;
};

// UNAVAILABLE: it does not answer, or TLS fails. Else a warning, or nothing: that the certificates
// which it serves do not lead to an authority that this system knows. A certificate that is its own
// issuer is its operator's choice, and no warning. Blocks; no single step for longer than the
// timeout.
absl::StatusOr<std::string> CheckListenPort(const ListenPortPlace& place, absl::Duration timeout);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_LISTEN_PORT_CHECK_H_
