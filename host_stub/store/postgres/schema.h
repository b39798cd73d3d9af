// The tables in PostgreSQL, and what their numbers mean. Internal.
//
// Hosts do not write one after the other, so no counter gives ids: each host has a lane, a row that
// it alone updates, in the transaction that adds its incidents. Since such a row is locked until
// the commit, whatever stands in it is committed whole. It gives
// - fencing: another host that takes the lane over raises its epoch, and the former owner's
//   transactions fail from then on;
// - the outcome of a commit whose answer was lost: the lane's number of batches tells;
// - what can be read: all incidents of the lane up to its head.
// The order in which readers see the incidents is written afterwards, as runs of a lane's incidents
// (incident_order.h), so that nobody who waits for an answer waits for it.
#ifndef HOST_STUB_STORE_POSTGRES_SCHEMA_H_
#define HOST_STUB_STORE_POSTGRES_SCHEMA_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/postgres/connection.h"

namespace host_stub {

// What this program writes, and the oldest that can work beside it.
extern const int64_t kPostgresSchemaVersion;

// An id is 41 bits of milliseconds since 2020, 10 bits of the lane, and a counter of 12 bits. In
// its lane it is above all earlier ones, whatever the clock says. Ids below kFirstOwnId came from
// another store, and are in lane 0.
class IncidentId {
 public:
  static constexpr int64_t kLanes = 1 << 10;
  static constexpr int64_t kFirstOwnId = int64_t{1} << 40;

  // The lane's next id after `head`, at that time.
  static int64_t After(int64_t head, int64_t lane, absl::Time now);
  static int64_t LaneOf(int64_t id);
  // Days since 2020: incidents are kept in one partition for each day.
  static int64_t DayOf(absl::Time time);
  // The first id of that day.
  static int64_t FirstOf(int64_t day);
};

// The statements of a new database, or those that lead from an older version to the newest, in one
// transaction under a lock: two programs that do it at once do it once. `host_role`, where it is
// not empty, is granted what a host needs, so that hosts need not own the tables.
// FAILED_PRECONDITION: a newer program made the database, or it is not UTF-8.
absl::Status UpgradePostgresSchema(PostgresConnection& connection, const std::string& host_role);

// FAILED_PRECONDITION says which command makes or upgrades the tables, or which program to start.
absl::Status CheckPostgresSchema(PostgresConnection& connection);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_SCHEMA_H_
