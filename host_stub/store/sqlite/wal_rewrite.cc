#include "host_stub/store/sqlite/wal_rewrite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr absl::Duration kPauseBetweenTries = absl::Milliseconds(50);

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

struct flock LockOf(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kLockedFrom;
  lock.l_len = kLockedBytes;
  return lock;
}

// Who keeps us from the lock. SQLite's own locks are POSIX locks, of which the system knows the
// process; it does not where the holder has another kind, or is in another PID namespace.
std::string HolderOf(const DiskFile& database) {
  struct flock lock = LockOf(F_WRLCK);
  if (fcntl(database.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0) {
    return absl::StrCat("process ", lock.l_pid);
  }
  return "another process";
}

// The lock is an open file description's: closing the descriptor gives it back, and it conflicts
// with the locks of other connections in this process too.
absl::Status LockDatabase(const DiskFile& database, const std::string& path,
                          absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  while (true) {
    struct flock lock = LockOf(F_WRLCK);
    if (fcntl(database.get(), F_OFD_SETLK, &lock) == 0) return absl::OkStatus();
    if (errno != EAGAIN && errno != EACCES) return DiskError("locking", path);
    if (absl::Now() >= deadline) break;
    absl::SleepFor(kPauseBetweenTries);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("incident store: ", path, " is open in ", HolderOf(database),
                   ", and its write-ahead log must be made safe first; end that process (or close "
                   "the database in it) and start again"));
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

absl::Status RewriteWal(const DataFolder& folder, DiskCalls& calls, const std::string& database,
                        const std::string& wal, absl::Duration patience) {
  const std::string path = folder.FileIn(wal);
  const std::string copy = path + ".copy";
  if (absl::Status status = Remove(calls, copy); !status.ok()) return status;
  if (!IsThereWithBytes(path)) return absl::OkStatus();
  const DiskFile locked(calls, folder.FileIn(database), O_RDWR | O_NOFOLLOW);
  if (!locked.ok()) return DiskError("opening", folder.FileIn(database));
  absl::Status status = LockDatabase(locked, folder.FileIn(database), patience);
  if (!status.ok()) return status;
  if (ReplaceByCopy(folder, calls, path, copy).ok()) return absl::OkStatus();
  if (status = Remove(calls, copy); !status.ok()) return status;
  return WriteBytesOf(path, path, calls);
}

}  // namespace host_stub
