// A FaultDisk below SQLite (as a VFS around the default one) and below the data folder. Tests only.
#ifndef HOST_STUB_STORE_FAULT_VFS_H_
#define HOST_STUB_STORE_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

#include "host_stub/store/disk_calls.h"
#include "host_stub/store/fault_disk.h"

// Registered with SQLite under its name while it lives. Any thread.
class FaultVfs : public FaultDisk {
 public:
  // kForAll: SQLite's default while it lives, for who names no VFS.
  enum class Use { kByName, kForAll };
  explicit FaultVfs(std::string name, uint32_t seed = 0, Use use = Use::kByName);
  ~FaultVfs();

  const std::string& name() const { return name_; }
  // The same disk, for SqliteStoreOptions::disk_calls. May outlive nothing but the last use.
  std::shared_ptr<host_stub::DiskCalls> disk_calls();

 private:
  friend struct FaultFileMethods;
  class Calls;

  static int OpenFile(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out);
  static int DeleteFile(sqlite3_vfs* vfs, const char* path, int sync_folder);

  const std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
};

#endif  // HOST_STUB_STORE_FAULT_VFS_H_
