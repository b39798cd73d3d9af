// The folder that a store lives in: made, checked, and locked against a second process; and what is
// done with the files in it before SQLite opens them.
#ifndef HOST_STUB_STORE_SQLITE_DATA_FOLDER_H_
#define HOST_STUB_STORE_SQLITE_DATA_FOLDER_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/store/sqlite/disk_calls.h"

namespace host_stub {

// Holds the lock while it lives.
class DataFolder {
 public:
  // Makes the folder (0700) where it is missing; the umask does not matter. FAILED_PRECONDITION:
  // it is no folder, belongs to another user, others may write to it, or it is locked (the text
  // names the process that holds the lock, where the system knows it). UNAVAILABLE: the system
  // refused. The folder's own name is made durable, also where somebody else has just made it.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(std::string path,
                                                          std::shared_ptr<DiskCalls> calls);
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  // Makes an empty file (0600) where it is missing; where it is there, takes the rights of group
  // and others away. Not for a file that SQLite has open: closing it would drop SQLite's locks.
  absl::Status PrepareFile(const std::string& name) const;

  // Rewrites the WAL of a database and syncs it, if there is one, so that what the kernel shows of
  // it is on the disk. After a failed sync the kernel counts pages as clean that the disk never
  // got, and serves them to the next process: what is committed behind such pages would be lost
  // with them at a power cut.
  //
  // Nobody else may have the database open meanwhile: another process that commits (a person's
  // sqlite3) would be overwritten, or would go on with the old file. So the WAL is rewritten under
  // a lock that keeps everybody from opening the database. Where another process has it open, it
  // gets `patience` to end, and then the rewrite is refused.
  //
  // A WAL that is written in place can lose the end of its last acknowledged commit to a power cut
  // that tears a sector. So a copy takes its place, unless there is no room for one.
  //
  // To be called before SQLite opens the database. FAILED_PRECONDITION: another process has the
  // database open; the text names the database and, where the system knows it, the process.
  // UNAVAILABLE: the system refused. Nothing is lost in either case, and it can be called again.
  absl::Status RewriteWal(const std::string& database, const std::string& wal,
                          absl::Duration patience) const;

  // Makes names durable: of files that are new, renamed or removed.
  absl::Status Sync() const;

  std::string FileIn(const std::string& name) const { return path_ + "/" + name; }

 private:
  DataFolder(std::string path, std::shared_ptr<DiskCalls> calls, DiskFile lock)
      : path_(std::move(path)), calls_(std::move(calls)), lock_(std::move(lock)) {}

  absl::Status Remove(const std::string& path) const;
  absl::Status WriteBytesOf(const std::string& from, const std::string& to) const;
  absl::Status ReplaceByCopy(const std::string& path, const std::string& copy) const;

  const std::string path_;
  const std::shared_ptr<DiskCalls> calls_;
  const DiskFile lock_;
};

// Looks at a database's file before SQLite does, which would find out only when a missing page is
// read, perhaps after more was written. FAILED_PRECONDITION: no WAL or journal lies beside the file
// that could complete it, and it is no SQLite database, or is shorter than it says of itself. OK
// also for a file that is missing or empty: a new one.
absl::Status CheckDatabaseFile(const std::string& path);

// The same FAILED_PRECONDITION, for what SQLite found: it looks into the WAL as well.
absl::Status NoDatabase(const std::string& path);

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_DATA_FOLDER_H_
