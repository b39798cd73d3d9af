// A FaultDisk below SQLite (as a VFS around the default one) and below the data folder. Tests only.
#ifndef HOST_STUB_STORE_TESTING_FAULT_VFS_H_
#define HOST_STUB_STORE_TESTING_FAULT_VFS_H_

#include <sqlite3.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "host_stub/store/sqlite/disk_calls.h"
#include "host_stub/store/testing/fault_disk.h"

// Registered with SQLite under its name while it lives. Any thread.
class FaultVfs : public FaultDisk {
 public:
  // kForAll: it is SQLite's default VFS while it lives.
  enum class Use { kByName, kForAll };
  explicit FaultVfs(std::string name, uint32_t seed = 0, Use use = Use::kByName);
  ~FaultVfs();

  const std::string& name() const { return name_; }
  // A test can stop the next checkpoint at one of two places: before it takes its lock, or when it
  // has read the length of the WAL and has not used it yet.
  enum class CheckpointStep { kBeforeTheLock, kAfterTheHeader };
  void StopCheckpointAt(CheckpointStep step);
  void AwaitStoppedCheckpoint();
  void ContinueCheckpoint();
  int64_t checkpoints() const;  // that were begun on this disk

  // The same disk, for SqliteStoreOptions::disk_calls. It must not be used after this ends.
  std::shared_ptr<host_stub::DiskCalls> disk_calls();

 private:
  friend struct FaultFileMethods;
  class Calls;

  static int OpenFile(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out);
  static int DeleteFile(sqlite3_vfs* vfs, const char* path, int sync_folder);

  void AtCheckpointStep(CheckpointStep step);

  mutable std::mutex checkpoint_mutex_;
  std::condition_variable checkpoint_changed_;
  std::optional<CheckpointStep> stop_at_;
  bool checkpoint_is_stopped_ = false;
  int64_t checkpoints_ = 0;

  const std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
};

#endif  // HOST_STUB_STORE_TESTING_FAULT_VFS_H_
