#include "host_stub/store/sqlite/data_folder.h"

#include <sys/file.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "host_stub/files/trusted_files.h"

namespace host_stub {
namespace {

absl::Status Refusal(const std::string& path, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("incident store: data folder ", path, ": ", why));
}

// 0, or the error's number.
int SyncFolder(DiskCalls& calls, const std::string& path) {
  const DiskFile folder(calls, path, O_RDONLY | O_DIRECTORY);
  return folder.ok() && calls.Sync(folder.get()) == 0 ? 0 : errno;
}

std::string ParentOf(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The folder and all above it may be new, and nobody may have synced them: an event is not on disk
// while the path to it is not.
absl::Status SyncTheWayTo(DiskCalls& calls, std::string path, bool made) {
  for (bool first = true;; first = false) {
    const std::string parent = ParentOf(path);
    const int error = SyncFolder(calls, parent);
    // A folder that we may not read, or of a file system without sync, was there before.
    const bool counts = error == EIO || error == ENOSPC || error == EDQUOT || (made && first);
    if (error != 0 && counts) {
      errno = error;
      return DiskError("syncing", parent);
    }
    if (parent == "/" || parent == ".") return absl::OkStatus();
    path = parent;
  }
}

absl::Status MakeFolder(DiskCalls& calls, const std::string& path) {
  const bool made = calls.MakeFolder(path, 0700) == 0;
  if (!made && errno != EEXIST) return DiskError("making", path);
  if (made && chmod(path.c_str(), 0700) != 0) return DiskError("making", path);
  return SyncTheWayTo(calls, path, made);
}

absl::Status CheckFolder(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return DiskError("reading", path);
  if (!S_ISDIR(info.st_mode)) return Refusal(path, "is not a folder");
  if (info.st_uid != geteuid()) {
    return Refusal(path, absl::StrCat("belongs to user ", info.st_uid, "; choose another one"));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Refusal(path, absl::StrCat("other users may write to it (mode ", OctalMode(info.st_mode),
                                      "); run chmod 700 ", path));
  }
  // A user who can write to a folder above it could replace it.
  const absl::Status status = CheckWriters(path, TrustedOwners());
  return status.ok() ? status : Refusal(path, status.message());
}

struct flock WriteLock(off_t start, off_t bytes) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = bytes;
  return lock;
}

// The process that keeps us from a lock; 0 where the system does not know it, because the holder
// has another kind of lock, or is in another PID namespace.
pid_t HolderOf(int descriptor, int command, struct flock lock) {
  const bool held = fcntl(descriptor, command, &lock) == 0 && lock.l_type != F_UNLCK;
  return held ? std::max<pid_t>(lock.l_pid, 0) : 0;
}

std::string NameOf(pid_t process) {
  return process == 0 ? "another process" : absl::StrCat("process ", process);
}

// flock tells only that the lock is held. The record lock beside it tells by whom; the file's
// content may be an earlier process's.
void TellWhoHolds(int lock) {
  struct flock record = WriteLock(0, 0);
  fcntl(lock, F_SETLK, &record);
  // For people only: a full disk must not keep the store from opening.
  const std::string holder = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock, 0) == 0) {
    [[maybe_unused]] const ssize_t ignored = pwrite(lock, holder.data(), holder.size(), 0);
  }
}

pid_t HolderOfFolder(int lock) {
  if (const pid_t holder = HolderOf(lock, F_GETLK, WriteLock(0, 0)); holder != 0) return holder;
  // A process does not see its own record lock, and another process may not have set its own yet.
  char text[32];
  const ssize_t size = pread(lock, text, sizeof(text), 0);
  const absl::string_view own = absl::StripAsciiWhitespace(
      absl::string_view(text, static_cast<size_t>(std::max<ssize_t>(size, 0))));
  return own == absl::StrCat(getpid()) ? getpid() : 0;
}

absl::StatusOr<DiskFile> Lock(DiskCalls& calls, const std::string& folder) {
  const std::string path = folder + "/lock";
  DiskFile lock(calls, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!lock.ok()) return DiskError("opening", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return DiskError("locking", path);
    return Refusal(folder, absl::StrCat("is in use by ", NameOf(HolderOfFolder(lock.get()))));
  }
  if (fchmod(lock.get(), 0600) != 0) return DiskError("opening", path);
  TellWhoHolds(lock.get());
  return lock;
}

constexpr size_t kPieceBytes = 1 << 20;  // of a WAL that is rewritten
constexpr absl::Duration kPauseBetweenTries = absl::Milliseconds(50);

// The bytes of a database on which every process that has it open holds a lock:
// https://sqlite.org/src/file/src/os.h, PENDING_BYTE and what follows it.
constexpr off_t kLockedFrom = 0x40000000;
constexpr off_t kLockedBytes = 512;

// The lock is an open file description's: closing the descriptor gives it back, and it conflicts
// with the locks of other connections in this process too. SQLite's own locks are POSIX locks, of
// which the system knows the process.
absl::Status LockDatabase(int database, const std::string& path, absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  struct flock lock = WriteLock(kLockedFrom, kLockedBytes);
  while (fcntl(database, F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) return DiskError("locking", path);
    if (absl::Now() >= deadline) {
      return absl::FailedPreconditionError(absl::StrCat(
          "incident store: ", path, " is open in ", NameOf(HolderOf(database, F_OFD_GETLK, lock)),
          ", and its write-ahead log must be made safe first; end that process (or close the "
          "database in it) and start again"));
    }
    absl::SleepFor(kPauseBetweenTries);
  }
  return absl::OkStatus();
}

// https://sqlite.org/fileformat2.html, section 1.3.
constexpr size_t kHeaderBytes = 100;
constexpr absl::string_view kMagic("SQLite format 3\0", 16);
constexpr size_t kPageSizeAt = 16;
constexpr size_t kChangeCounterAt = 24;
constexpr size_t kPagesAt = 28;
constexpr size_t kPagesValidForAt = 92;

int64_t SizeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

uint32_t BigEndian(const std::string& bytes, size_t offset, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  }
  return value;
}

absl::Status RefusalOfFile(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("incident store: ", path, " ", what,
                   "; put back a copy of it, or move it away to begin a new one"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(std::string path,
                                                             std::shared_ptr<DiskCalls> calls) {
  if (path.empty()) return absl::InvalidArgumentError("incident store: no data folder is given");
  if (absl::Status status = MakeFolder(*calls, path); !status.ok()) return status;
  if (absl::Status status = CheckFolder(path); !status.ok()) return status;
  absl::StatusOr<DiskFile> lock = Lock(*calls, path);
  if (!lock.ok()) return lock.status();
  return std::unique_ptr<DataFolder>(
      new DataFolder(std::move(path), std::move(calls), *std::move(lock)));
}

absl::Status DataFolder::PrepareFile(const std::string& name) const {
  const std::string path = FileIn(name);
  const DiskFile file(*calls_, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file.ok() || fchmod(file.get(), 0600) != 0) return DiskError("opening", path);
  return absl::OkStatus();
}

absl::Status DataFolder::Sync() const {
  errno = SyncFolder(*calls_, path_);
  return errno == 0 ? absl::OkStatus() : DiskError("syncing", path_);
}

absl::Status DataFolder::Remove(const std::string& path) const {
  if (calls_->Remove(path) == 0 || errno == ENOENT) return absl::OkStatus();
  return DiskError("removing", path);
}

// `to` is synced when this is OK; it is not made shorter.
absl::Status DataFolder::WriteBytesOf(const std::string& from, const std::string& to) const {
  const DiskFile source(*calls_, from, O_RDONLY | O_NOFOLLOW);
  if (!source.ok()) return DiskError("opening", from);
  const DiskFile target(*calls_, to, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!target.ok()) return DiskError("opening", to);
  std::vector<char> piece(kPieceBytes);
  for (off_t offset = 0;;) {
    const ssize_t size = pread(source.get(), piece.data(), piece.size(), offset);
    if (size < 0) return DiskError("reading", from);
    if (size == 0) break;
    if (calls_->Write(target.get(), piece.data(), static_cast<size_t>(size), offset) != size) {
      return DiskError("writing", to);
    }
    offset += size;
  }
  return calls_->Sync(target.get()) == 0 ? absl::OkStatus() : DiskError("syncing", to);
}

absl::Status DataFolder::ReplaceByCopy(const std::string& path, const std::string& copy) const {
  if (absl::Status status = WriteBytesOf(path, copy); !status.ok()) return status;
  if (calls_->Rename(copy, path) != 0) return DiskError("renaming", copy);
  return Sync();
}

absl::Status DataFolder::RewriteWal(const std::string& database, const std::string& wal,
                                    absl::Duration patience) const {
  const std::string path = FileIn(wal);
  const std::string copy = path + ".copy";
  if (absl::Status status = Remove(copy); !status.ok()) return status;
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0 || info.st_size == 0) return absl::OkStatus();
  const DiskFile locked(*calls_, FileIn(database), O_RDWR | O_NOFOLLOW);
  if (!locked.ok()) return DiskError("opening", FileIn(database));
  absl::Status status = LockDatabase(locked.get(), FileIn(database), patience);
  if (!status.ok()) return status;
  if (ReplaceByCopy(path, copy).ok()) return absl::OkStatus();
  if (status = Remove(copy); !status.ok()) return status;
  return WriteBytesOf(path, path);
}

absl::Status NoDatabase(const std::string& path) { return RefusalOfFile(path, "is no database"); }

absl::Status CheckDatabaseFile(const std::string& path) {
  const int64_t size = SizeOf(path);
  // With a WAL or a journal beside it the file alone does not tell: a power cut may have torn any
  // page that was being copied into it, the first one too.
  if (size == 0 || SizeOf(path + "-journal") > 0 || SizeOf(path + "-wal") > 0) {
    return absl::OkStatus();
  }
  std::string header(kHeaderBytes, '\0');
  if (!std::ifstream(path, std::ios::binary).read(header.data(), kHeaderBytes) ||
      !absl::StartsWith(header, kMagic)) {
    return NoDatabase(path);
  }
  if (BigEndian(header, kChangeCounterAt, 4) != BigEndian(header, kPagesValidForAt, 4)) {
    return absl::OkStatus();
  }
  const uint32_t page_size = BigEndian(header, kPageSizeAt, 2);
  const int64_t expected =
      int64_t{BigEndian(header, kPagesAt, 4)} * (page_size == 1 ? 65536 : page_size);
  if (size >= expected) return absl::OkStatus();
  return RefusalOfFile(
      path, absl::StrCat("is damaged: it has ", size, " bytes and should have ", expected));
}

}  // namespace host_stub
