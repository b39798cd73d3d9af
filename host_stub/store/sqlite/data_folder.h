// The folder that a store lives in: made, checked, and locked against a second process; and the
// check of the database's file in it.
#ifndef HOST_STUB_STORE_SQLITE_DATA_FOLDER_H_
#define HOST_STUB_STORE_SQLITE_DATA_FOLDER_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
  ~DataFolder();
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  // Makes an empty file (0600) where it is missing; where it is there, takes the rights of group
  // and others away. Not for a file that SQLite has open: closing it would drop SQLite's locks.
  absl::Status PrepareFile(const std::string& name) const;

  // Makes names durable: of files that are new, renamed or removed.
  absl::Status Sync() const;

  std::string FileIn(const std::string& name) const { return path_ + "/" + name; }

 private:
  DataFolder(std::string path, std::shared_ptr<DiskCalls> calls, int lock)
      : path_(std::move(path)), calls_(std::move(calls)), lock_(lock) {}

  const std::string path_;
  const std::shared_ptr<DiskCalls> calls_;
  const int lock_;
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
