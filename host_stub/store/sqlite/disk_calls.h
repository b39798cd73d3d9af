// What the store asks of the system beside SQLite's own calls. Tests put a failing disk here, as
// they put one below SQLite by its VFS.
#ifndef HOST_STUB_STORE_SQLITE_DISK_CALLS_H_
#define HOST_STUB_STORE_SQLITE_DISK_CALLS_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace host_stub {

// As open(2) with O_CLOEXEC, mkdir(2), pwrite(2), fsync(2), fdatasync(2), rename(2) and unlink(2):
// -1 and errno. Any thread.
class DiskCalls {
 public:
  virtual ~DiskCalls() = default;
  virtual int Open(const std::string& path, int flags, mode_t mode);
  virtual int MakeFolder(const std::string& path, mode_t mode);
  virtual ssize_t Write(int descriptor, const void* data, size_t size, off_t offset);
  virtual int Sync(int descriptor);
  virtual int SyncData(int descriptor);
  // Makes the system begin to write what it has of a file: a hint.
  virtual void BeginWriting(int descriptor);
  virtual int Rename(const std::string& from, const std::string& to);
  virtual int Remove(const std::string& path);
};

// UNAVAILABLE, with errno's text: "incident store: syncing /data: Input/output error".
absl::Status DiskError(absl::string_view doing, const std::string& path);

// A descriptor that is closed when it is destroyed.
class DiskFile {
 public:
  DiskFile(DiskCalls& calls, const std::string& path, int flags, mode_t mode = 0);
  ~DiskFile();
  DiskFile(const DiskFile&) = delete;
  DiskFile& operator=(const DiskFile&) = delete;

  bool ok() const { return descriptor_ >= 0; }  // if not, errno tells why
  int get() const { return descriptor_; }
  // The caller closes it.
  int Release();

 private:
  int descriptor_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_DISK_CALLS_H_
