#include "host_stub/store/log_rewrite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "host_stub/store/disk_file.h"

namespace host_stub {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

// The bytes of a database on which every process that has it open holds a lock:
// https://sqlite.org/src/file/src/os.h, PENDING_BYTE and what follows it.
constexpr off_t kLockedFrom = 0x40000000;
constexpr off_t kLockedBytes = 512;

bool IsThereWithBytes(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && info.st_size > 0;
}

absl::Status Remove(DiskCalls& calls, const std::string& path) {
  if (calls.Remove(path) == 0 || errno == ENOENT) return absl::OkStatus();
  return DiskError("removing", path);
}

// False: somebody has the database open. While the file is open nobody else can open it.
bool LockDatabase(const DiskFile& database) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = kLockedFrom;
  lock.l_len = kLockedBytes;
  return database.ok() && fcntl(database.get(), F_OFD_SETLK, &lock) == 0;
}

// `to` is synced when this is OK; it is not made shorter.
absl::Status WriteBytesOf(const std::string& from, const std::string& to, DiskCalls& calls) {
  const DiskFile source(calls, from, O_RDONLY | O_NOFOLLOW);
  if (!source.ok()) return DiskError("opening", from);
  const DiskFile target(calls, to, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!target.ok()) return DiskError("opening", to);
  std::vector<char> piece(kPieceBytes);
  for (off_t offset = 0;;) {
    const ssize_t size = pread(source.get(), piece.data(), piece.size(), offset);
    if (size < 0) return DiskError("reading", from);
    if (size == 0) break;
    if (calls.Write(target.get(), piece.data(), static_cast<size_t>(size), offset) != size) {
      return DiskError("writing", to);
    }
    offset += size;
  }
  return calls.Sync(target.get()) == 0 ? absl::OkStatus() : DiskError("syncing", to);
}

absl::Status ReplaceByCopy(const DataFolder& folder, DiskCalls& calls, const std::string& path,
                           const std::string& copy) {
  if (absl::Status status = WriteBytesOf(path, copy, calls); !status.ok()) return status;
  if (calls.Rename(copy, path) != 0) return DiskError("renaming", copy);
  return folder.Sync();
}

}  // namespace

absl::Status RewriteLog(const DataFolder& folder, DiskCalls& calls, const std::string& database,
                        const std::string& log) {
  const std::string path = folder.FileIn(log);
  const std::string copy = path + ".copy";
  if (absl::Status status = Remove(calls, copy); !status.ok()) return status;
  if (!IsThereWithBytes(path)) return absl::OkStatus();
  const DiskFile locked(calls, folder.FileIn(database), O_RDWR | O_NOFOLLOW);
  if (LockDatabase(locked)) {
    if (ReplaceByCopy(folder, calls, path, copy).ok()) return absl::OkStatus();
    if (absl::Status status = Remove(calls, copy); !status.ok()) return status;
  }
  return WriteBytesOf(path, path, calls);
}

}  // namespace host_stub
