// What the kernel shows of a log need not be on the disk: made true before the log is trusted.
#ifndef HOST_STUB_STORE_LOG_REWRITE_H_
#define HOST_STUB_STORE_LOG_REWRITE_H_

#include <string>

#include "absl/status/status.h"
#include "host_stub/store/data_folder.h"
#include "host_stub/store/disk_calls.h"

namespace host_stub {

// Writes the log's bytes over themselves and syncs it, if it is there. After a failed sync the
// kernel counts pages as clean that the disk never got, and serves them to the next process: what
// is committed behind such pages would be lost with them at a power cut.
//
// A power cut during the writing may tear the sector in which the last acknowledged commit ends, so
// the bytes are written into a file of their own first ("<log>.copy", there only when it is whole).
// One that is found was not brought to its end: it is what the log must be. The log itself stays
// the same file, for another process (a person's sqlite3) may have it open.
//
// Before SQLite opens the database, with the folder's lock held. UNAVAILABLE: the system refused;
// nothing is lost, and it can be called again.
absl::Status RewriteLog(const DataFolder& folder, DiskCalls& calls, const std::string& log);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_LOG_REWRITE_H_
