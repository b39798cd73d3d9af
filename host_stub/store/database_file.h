// What can be said of a database's file before SQLite opens it.
#ifndef HOST_STUB_STORE_DATABASE_FILE_H_
#define HOST_STUB_STORE_DATABASE_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace host_stub {

// FAILED_PRECONDITION: the file is no SQLite database, or it is shorter than it says of itself and
// no log or journal could complete it. SQLite itself would find that out only when a missing page
// is read, perhaps after more was written. OK also for a file that is missing or empty: a new one.
absl::Status CheckDatabaseFile(const std::string& path);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_DATABASE_FILE_H_
