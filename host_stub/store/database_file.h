// What is said of a database's file that SQLite cannot, or should not, open.
#ifndef HOST_STUB_STORE_DATABASE_FILE_H_
#define HOST_STUB_STORE_DATABASE_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace host_stub {

// FAILED_PRECONDITION: no log or journal lies beside the file that could complete it, and it is no
// SQLite database, or shorter than it says of itself. SQLite itself would find that out only when a
// missing page is read, perhaps after more was written. OK also for a file that is missing or
// empty: a new one.
absl::Status CheckDatabaseFile(const std::string& path);

// The same FAILED_PRECONDITION, for what SQLite found: it looks into the log as well.
absl::Status NoDatabase(const std::string& path);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_DATABASE_FILE_H_
