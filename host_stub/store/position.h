// A place in the order of a store's incidents, as an opaque text for its readers, such as
// "1-8c0f3e9a5b7d2146-17": the format, the store's identity, and the last id before the place.
#ifndef HOST_STUB_STORE_POSITION_H_
#define HOST_STUB_STORE_POSITION_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/store/incident_store.h"

namespace host_stub {

// At most 128 octets.
std::string PositionAfter(const IncidentStore& store, int64_t id);

// The id. INVALID_ARGUMENT: it is malformed, or another store's.
absl::StatusOr<int64_t> ReadPosition(const IncidentStore& store, absl::string_view position);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSITION_H_
