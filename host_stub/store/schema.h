// The database's schema and its history.
#ifndef HOST_STUB_STORE_SCHEMA_H_
#define HOST_STUB_STORE_SCHEMA_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "host_stub/store/sqlite_connection.h"

namespace host_stub {

// PRAGMA user_version of what this program writes.
extern const int64_t kSchemaVersion;

// Brings the database up to kSchemaVersion, step by step, each step in a transaction of its own.
// FAILED_PRECONDITION, with the file's path: it was made by a newer program.
absl::Status Migrate(SqliteConnection& connection, const std::string& path);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SCHEMA_H_
