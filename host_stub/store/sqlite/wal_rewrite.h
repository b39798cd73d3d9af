// Makes sure that what the kernel shows of a WAL is on the disk, before the WAL is trusted.
#ifndef HOST_STUB_STORE_SQLITE_WAL_REWRITE_H_
#define HOST_STUB_STORE_SQLITE_WAL_REWRITE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "host_stub/store/sqlite/data_folder.h"
#include "host_stub/store/sqlite/disk_calls.h"

namespace host_stub {

// Rewrites the WAL of a database and syncs it, if there is one. After a failed sync the kernel
// counts pages as clean that the disk never got, and serves them to the next process: what is
// committed behind such pages would be lost with them at a power cut.
//
// Nobody else may have the database open meanwhile: another process that commits (a person's
// sqlite3) would be overwritten, or would go on with the old file. So the WAL is rewritten under a
// lock that keeps everybody from opening the database. Where another process has it open, it gets
// `patience` to end, and then the rewrite is refused.
//
// A WAL that is written in place can lose the end of its last acknowledged commit to a power cut
// that tears a sector. So a copy takes its place, unless there is no room for one.
//
// To be called before SQLite opens the database, with the folder's lock held. FAILED_PRECONDITION:
// another process has the database open; the text names the database and, where the system knows
// it, the process. UNAVAILABLE: the system refused. Nothing is lost in either case, and it can be
// called again.
absl::Status RewriteWal(const DataFolder& folder, DiskCalls& calls, const std::string& database,
                        const std::string& wal, absl::Duration patience);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_WAL_REWRITE_H_
