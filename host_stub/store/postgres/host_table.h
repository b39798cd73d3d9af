// What each of the hosts that share a database serves. Internal.
#ifndef HOST_STUB_STORE_POSTGRES_HOST_TABLE_H_
#define HOST_STUB_STORE_POSTGRES_HOST_TABLE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/store.h"

namespace host_stub {

// In place of what the host told before. Deletes hosts that have told nothing for a day.
absl::Status TellOfHost(PostgresConnection& connection, const std::string& host,
                        const HostReport& report);

// What hosts told of these instances.
absl::StatusOr<std::vector<InstanceOnHost>> ReadOnHosts(PostgresConnection& connection,
                                                        const std::vector<std::string>& uids);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_HOST_TABLE_H_
