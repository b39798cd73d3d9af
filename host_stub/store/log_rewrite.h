// What the kernel shows of a log need not be on the disk: made true before the log is trusted.
#ifndef HOST_STUB_STORE_LOG_REWRITE_H_
#define HOST_STUB_STORE_LOG_REWRITE_H_

#include <string>

#include "absl/status/status.h"
#include "host_stub/store/data_folder.h"
#include "host_stub/store/disk_calls.h"

namespace host_stub {

// Writes a database's log anew and syncs it, if it is there. After a failed sync the kernel counts
// pages as clean that the disk never got, and serves them to the next process: what is committed
// behind such pages would be lost with them at a power cut.
//
// Written over itself, a log can lose the end of its last acknowledged commit to a power cut that
// tears a sector. So a copy takes its place, unless there is no room for one, or another process (a
// person's sqlite3) has the database open and would go on with the old file.
//
// Before SQLite opens the database, with the folder's lock held. UNAVAILABLE: the system refused;
// nothing is lost, and it can be called again.
absl::Status RewriteLog(const DataFolder& folder, DiskCalls& calls, const std::string& database,
                        const std::string& log);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_LOG_REWRITE_H_
