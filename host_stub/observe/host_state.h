// How the host as a whole is.
#ifndef HOST_STUB_OBSERVE_HOST_STATE_H_
#define HOST_STUB_OBSERVE_HOST_STATE_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace host_stub {

struct HostState {
  bool draining = false;   // or about to
  absl::Time last_reload;  // when the configuration was last taken over
  bool last_reload_succeeded = true;
  int64_t front_connections = 0;
  int64_t front_active_requests = 0;
  int64_t front_bytes_in_flight = 0;
  std::string http_address;
  std::string grpc_address;
  std::string admin_address;
  int64_t clock_steps = 0;  // how often the wall clock was set by a second or more
};

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_HOST_STATE_H_
