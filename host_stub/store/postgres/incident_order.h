// The order in which all readers see the incidents. Internal.
//
// Lanes are written independently, so it is found after the commits, and written down: what the
// lanes have beyond it is appended as runs, each a piece of one lane. Whoever reads does that
// first. Where two hosts do it at once one of them wins, and the other looks again.
#ifndef HOST_STUB_STORE_POSTGRES_INCIDENT_ORDER_H_
#define HOST_STUB_STORE_POSTGRES_INCIDENT_ORDER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "host_stub/store/postgres/connection.h"

namespace host_stub {

// The end of the order; 0: there is none.
struct LastOrdered {
  int64_t position = 0;  // grows
  int64_t id = 0;
};

// Appends what the lanes have.
absl::StatusOr<LastOrdered> OrderIncidents(PostgresConnection& connection);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_INCIDENT_ORDER_H_
