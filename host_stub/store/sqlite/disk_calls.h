// What the store asks of the system beside SQLite's own calls. Tests put a failing disk here, as
// they put one below SQLite by its VFS.
#ifndef HOST_STUB_STORE_SQLITE_DISK_CALLS_H_
#define HOST_STUB_STORE_SQLITE_DISK_CALLS_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace host_stub {

// The system's functions: -1 and errno where one fails. Any thread.
class DiskCalls {
 public:
  virtual ~DiskCalls() = default;
  virtual int Open(const std::string& path, int flags, mode_t mode) {
    return open(path.c_str(), flags | O_CLOEXEC, mode);
  }
  virtual int MakeFolder(const std::string& path, mode_t mode) { return mkdir(path.c_str(), mode); }
  virtual ssize_t Write(int descriptor, const void* data, size_t size, off_t offset) {
    return pwrite(descriptor, data, size, offset);
  }
  virtual int Sync(int descriptor) { return fsync(descriptor); }
  virtual int SyncData(int descriptor) { return fdatasync(descriptor); }
  // Makes the system begin to write what it has of a file: a hint.
  virtual void BeginWriting(int descriptor) {
    sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
  }
  virtual int Rename(const std::string& from, const std::string& to) {
    return rename(from.c_str(), to.c_str());
  }
  virtual int Remove(const std::string& path) { return unlink(path.c_str()); }
};

// UNAVAILABLE, with errno's text: "incident store: syncing /data: Input/output error".
inline absl::Status DiskError(absl::string_view doing, const std::string& path) {
  return absl::UnavailableError(
      absl::StrCat("incident store: ", doing, " ", path, ": ", std::strerror(errno)));
}

// A descriptor that is closed when it is destroyed.
class DiskFile {
 public:
  DiskFile(DiskCalls& calls, const std::string& path, int flags, mode_t mode = 0)
      : descriptor_(calls.Open(path, flags, mode)) {}
  ~DiskFile() {
    if (ok()) close(descriptor_);
  }
  DiskFile(DiskFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  DiskFile& operator=(DiskFile&&) = delete;

  bool ok() const { return descriptor_ >= 0; }  // if not, errno tells why
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_DISK_CALLS_H_
