#include "host_stub/store/log_index.h"

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>

namespace host_stub {
namespace {

// Section 2.1 of the format: the first block of the index, the number of frames that are in the
// database, and the lock that who changes that number must hold.
constexpr int kBlockBytes = 32'768;
constexpr size_t kCopiedFramesAt = 96;
constexpr int kCheckpointLock = 1;

}  // namespace

absl::Status ForgetWhatWasCopied(SqliteConnection& connection) {
  constexpr char kDoing[] = "changing the index of the log";
  sqlite3_file* file = nullptr;
  int code = sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (code != SQLITE_OK) return SqliteError(code, sqlite3_errstr(code), kDoing);
  const sqlite3_io_methods& methods = *file->pMethods;
  code = methods.xShmLock(file, kCheckpointLock, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
  if (code != SQLITE_OK) return SqliteError(code, sqlite3_errstr(code), kDoing);
  volatile void* block = nullptr;
  code = methods.xShmMap(file, 0, kBlockBytes, 0, &block);
  if (code == SQLITE_OK && block != nullptr) {
    static_cast<volatile uint32_t*>(block)[kCopiedFramesAt / sizeof(uint32_t)] = 0;
    methods.xShmBarrier(file);
  }
  methods.xShmLock(file, kCheckpointLock, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
  if (code == SQLITE_OK) return absl::OkStatus();
  return SqliteError(code, sqlite3_errstr(code), kDoing);
}

}  // namespace host_stub
