#include "host_stub/store/log_index.h"

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>

namespace host_stub {
namespace {

// Section 2.1 of the format: the first block of the index, in it the number of frames
// that are in the database, and the lock that must be held to change it.
constexpr int kBlockBytes = 32'768;
constexpr size_t kCopiedFramesAt = 96;
constexpr int kCheckpointLock = 1;

sqlite3_file* FileOf(SqliteConnection& connection) {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  return file != nullptr && file->pMethods != nullptr ? file : nullptr;
}

// Null where there is none.
volatile uint32_t* FirstBlock(sqlite3_file* file) {
  volatile void* block = nullptr;
  const int code = file->pMethods->xShmMap(file, 0, kBlockBytes, 0, &block);
  return code == SQLITE_OK ? static_cast<volatile uint32_t*>(block) : nullptr;
}

}  // namespace

absl::Status ForgetWhatWasCopied(SqliteConnection& connection) {
  constexpr char kDoing[] = "changing the index of the log";
  sqlite3_file* const file = FileOf(connection);
  if (file == nullptr) return SqliteError(SQLITE_CANTOPEN, "it is not there", kDoing);
  const sqlite3_io_methods& methods = *file->pMethods;
  const int code =
      methods.xShmLock(file, kCheckpointLock, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
  if (code != SQLITE_OK) return SqliteError(code, sqlite3_errstr(code), kDoing);
  volatile uint32_t* const block = FirstBlock(file);
  if (block != nullptr) {
    block[kCopiedFramesAt / sizeof(uint32_t)] = 0;
    methods.xShmBarrier(file);
  }
  methods.xShmLock(file, kCheckpointLock, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
  if (block == nullptr) return SqliteError(SQLITE_CANTOPEN, "it is not there", kDoing);
  return absl::OkStatus();
}

}  // namespace host_stub
