// The durable store: group commit over one SQLite database in a folder of its own (WAL,
// synchronous=FULL).
//
// A second thread copies the WAL into the database. Readers have connections of their own and never
// block the writer. What happens when the disk fails is told in group_commit.h.
#ifndef HOST_STUB_STORE_SQLITE_SQLITE_STORE_H_
#define HOST_STUB_STORE_SQLITE_SQLITE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/sqlite/disk_calls.h"
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
  // A new database can give space back to the disk only if this is set when it is made.
  Retention retention = {};

  // Tests make these small, and the store's work the same in every run.
  int64_t wal_pages_between_copies = 4096;  // of 4 KiB: 16 MiB of WAL
  absl::Duration first_reopen_pause = absl::Milliseconds(50);
  bool copies_on_a_thread = true;  // else the writer copies the WAL into the database
  // How long the start waits for another process that has the database open, where the WAL of an
  // earlier run must be made safe.
  absl::Duration patience_with_others = absl::Seconds(5);
  // As GroupCommit::Options has them.
  absl::Duration retention_step = absl::Milliseconds(2);
  absl::Duration retention_pause = absl::Seconds(1);
};

// Opens the store, or makes a new one, and waits until it can be written.
// FAILED_PRECONDITION, each with the folder in the text: another process has the folder in use, or
// has the database open while the WAL of an earlier run must be made safe (both with its process
// id), others may write to the folder, it is not ours, the database was made by a newer version.
// UNAVAILABLE: it cannot be read or written.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(SqliteStoreOptions options);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_SQLITE_STORE_H_
