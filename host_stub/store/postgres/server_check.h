// What is to be known of a PostgreSQL server before incidents are trusted to it. Internal.
#ifndef HOST_STUB_STORE_POSTGRES_SERVER_CHECK_H_
#define HOST_STUB_STORE_POSTGRES_SERVER_CHECK_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "host_stub/store/postgres/connection.h"

namespace host_stub {

// What an acknowledged commit is worth at this server, for this role.
struct Durability {
  bool is_on_disk = false;  // false: the server acknowledges what it can still lose by itself
  std::string text;         // a sentence
};
absl::StatusOr<Durability> ReadDurability(PostgresConnection& connection);

struct Finding {
  bool is_fault = false;
  std::string text;  // a sentence; of a fault, with what to do
};
// Version, encoding, tables, rights, durability, clock, connections. The error: it cannot be asked.
absl::StatusOr<std::vector<Finding>> CheckServer(PostgresConnection& connection);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_SERVER_CHECK_H_
