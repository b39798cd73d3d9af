// SQLite's index of the write-ahead log, in memory that all processes with the database share.
// https://sqlite.org/walformat.html
#ifndef HOST_STUB_STORE_LOG_INDEX_H_
#define HOST_STUB_STORE_LOG_INDEX_H_

#include "absl/status/status.h"
#include "host_stub/store/sqlite_connection.h"

namespace host_stub {

// Makes SQLite copy all of the log into the database again, also what it takes for copied. A copy
// of a part of the log is counted before anything syncs it; where that sync then fails, the kernel
// forgets the pages, and the log must not be begun anew before they are written once more.
// The connection must have read from the database, and is not in use.
// UNAVAILABLE: somebody is copying; try again.
absl::Status ForgetWhatWasCopied(SqliteConnection& connection);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_LOG_INDEX_H_
