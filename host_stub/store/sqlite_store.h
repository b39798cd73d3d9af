// The durable store: one SQLite database in a folder of its own (WAL, synchronous=FULL).
//
// One thread writes: it takes all batches that wait, up to Limits::incidents_of_a_commit incidents,
// commits them in one transaction and completes each; it never waits for more to come. A second
// thread copies the log into the database. Readers have connections of their own and never block
// the writer.
//
// Faults. Disk full, read-only, locked, failing writes: the transaction is rolled back and its
// batches complete as not created, UNAVAILABLE; the next batch tries again, so service resumes when
// the disk does. A failed sync is never retried as if nothing had happened: its batches are
// unknown, the connection is closed, and until it is open again (tried with growing pauses)
// batches complete at once as not created, UNAVAILABLE.
#ifndef HOST_STUB_STORE_SQLITE_STORE_H_
#define HOST_STUB_STORE_SQLITE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/disk_calls.h"
#include "host_stub/store/store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct SqliteStoreOptions {
  // Made with mode 0700 where it is missing (its parent must exist).
  std::string data_dir;
  // A VFS that is registered with SQLite; empty: SQLite's own. Tests inject faults by it.
  std::string vfs = {};
  webhook::Limits limits = {};
  std::function<absl::Time()> now = absl::Now;
  // What is done beside SQLite; null: the system's own.
  std::shared_ptr<DiskCalls> disk_calls = nullptr;

  // Tests make these small, and the store's work the same in every run.
  int64_t log_pages_between_copies = 4096;  // of 4 KiB: 16 MiB of log
  absl::Duration first_reopen_pause = absl::Milliseconds(50);
  bool copies_on_a_thread = true;  // else the writer copies the log into the database
  // How long the start waits for another process that has the database open, where the WAL of an
  // earlier run is to be made safe.
  absl::Duration patience_with_others = absl::Seconds(5);
};

// Opens the store, or makes a new one, and waits until it can be written.
// FAILED_PRECONDITION, each with the folder in the text: another process has the folder in use, or
// has the database open while the WAL of an earlier run is still to be made safe (both with its
// process id), others may write to the folder, it is not ours, the database was made by a newer
// version. UNAVAILABLE: it cannot be read or written.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(SqliteStoreOptions options);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_STORE_H_
