// What the store asks of the system beside SQLite's own calls: tests put a failing disk here, as
// they put one below SQLite by its VFS.
#ifndef HOST_STUB_STORE_DISK_CALLS_H_
#define HOST_STUB_STORE_DISK_CALLS_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

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
  // Makes the system write what it has of a file, without waiting: a hint.
  virtual void BeginWriting(int descriptor);
  virtual int Rename(const std::string& from, const std::string& to);
  virtual int Remove(const std::string& path);
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_DISK_CALLS_H_
