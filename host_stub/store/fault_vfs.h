// A SQLite file layer that fails on demand, around the default one. Tests only.
//
// It models a disk: what was written reaches the platter at a successful sync and not before; a
// write that was pending at a failed sync never does, as on Linux, where the kernel then counts
// the page as clean. Files are durable as they are when they are first opened.
#ifndef HOST_STUB_STORE_FAULT_VFS_H_
#define HOST_STUB_STORE_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// Registered with SQLite under its name while it lives. Any thread.
class FaultVfs {
 public:
  explicit FaultVfs(std::string name);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  const std::string& name() const { return name_; }

  // Every write from the nth from now on (0: the next) fails with this code, as SQLITE_FULL.
  void FailWrites(int code, int64_t nth = 0);
  void FailSyncs(int code, int64_t nth = 0);
  void FailOpens(int code);
  void Heal();

  int64_t writes() const;
  int64_t failed_writes() const;
  int64_t failed_syncs() const;

  // From now on nothing can be written. Destroy the store, then bring the disk back.
  void CutPower();
  // Puts the files back to what the disk has. Sectors that were pending are lost (seed 0), or lost
  // and kept at random.
  void RestoreDisk(uint32_t seed);

 private:
  friend struct FaultFileMethods;
  struct Disk {
    std::string synced;
    std::vector<std::pair<int64_t, int64_t>> pending;  // offset and size of writes
  };
  struct Fault {
    int code = SQLITE_OK;
    int64_t countdown = 0;
    int Hit();
  };

  static int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out);
  static int Delete(sqlite3_vfs* vfs, const char* path, int sync_folder);
  int Write(Disk* disk, sqlite3_file* real, const void* data, int size, int64_t offset);
  int Sync(Disk* disk, sqlite3_file* real, int flags);
  std::shared_ptr<Disk> DiskOf(const std::string& path);

  const std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Disk>> disks_;  // by path
  Fault write_fault_;
  Fault sync_fault_;
  int open_code_ = SQLITE_OK;
  bool power_is_cut_ = false;
  int64_t writes_ = 0;
  int64_t failed_writes_ = 0;
  int64_t failed_syncs_ = 0;
};

#endif  // HOST_STUB_STORE_FAULT_VFS_H_
