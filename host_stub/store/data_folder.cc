#include "host_stub/store/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "host_stub/engine/file_writers.h"

namespace host_stub {
namespace {

constexpr size_t kRewriteBytes = 1 << 20;

absl::Status SystemError(absl::string_view doing, const std::string& path) {
  return absl::UnavailableError(
      absl::StrCat("incident store: ", doing, " ", path, ": ", std::strerror(errno)));
}

absl::Status Refusal(const std::string& path, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("incident store: data folder ", path, ": ", why));
}

class File {
 public:
  File(const std::string& path, int flags, mode_t mode = 0)
      : descriptor_(open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool ok() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }
  int Release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

absl::Status SyncFolder(const std::string& path) {
  const File folder(path, O_RDONLY | O_DIRECTORY);
  if (!folder.ok() || fsync(folder.get()) != 0) return SystemError("syncing", path);
  return absl::OkStatus();
}

std::string ParentOf(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0) {
    return errno == EEXIST ? absl::OkStatus() : SystemError("making", path);
  }
  if (chmod(path.c_str(), 0700) != 0) return SystemError("making", path);
  return SyncFolder(ParentOf(path));
}

absl::Status CheckFolder(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return SystemError("reading", path);
  if (!S_ISDIR(info.st_mode)) return Refusal(path, "is not a folder");
  if (info.st_uid != geteuid()) {
    return Refusal(path, absl::StrCat("belongs to user ", info.st_uid, "; choose another one"));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Refusal(path, absl::StrCat("other users may write to it (mode ", OctalMode(info.st_mode),
                                      "); run chmod 700 ", path));
  }
  // Whoever can write to a folder above it could put another one into its place.
  char* const resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return SystemError("reading", path);
  const std::string real_path = resolved;
  free(resolved);
  const absl::Status status = CheckWriters(real_path, TrustedOwners());
  return status.ok() ? status : Refusal(path, status.message());
}

std::string HolderOf(int lock) {
  char text[32];
  const ssize_t size = pread(lock, text, sizeof(text), 0);
  if (size <= 0) return "unknown";
  return std::string(absl::StripAsciiWhitespace(absl::string_view(text, size)));
}

absl::StatusOr<int> Lock(const std::string& folder) {
  const std::string path = folder + "/lock";
  File lock(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!lock.ok()) return SystemError("opening", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return SystemError("locking", path);
    return Refusal(folder, absl::StrCat("is in use by process ", HolderOf(lock.get())));
  }
  const std::string holder = absl::StrCat(getpid(), "\n");
  if (fchmod(lock.get(), 0600) != 0) return SystemError("opening", path);
  // The process id is for people; a full disk must not stop the store from being read.
  if (ftruncate(lock.get(), 0) == 0) {
    [[maybe_unused]] const ssize_t ignored = pwrite(lock.get(), holder.data(), holder.size(), 0);
  }
  return lock.Release();
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(std::string path) {
  if (path.empty()) return absl::InvalidArgumentError("incident store: no data folder is given");
  if (absl::Status status = MakeFolder(path); !status.ok()) return status;
  if (absl::Status status = CheckFolder(path); !status.ok()) return status;
  const absl::StatusOr<int> lock = Lock(path);
  if (!lock.ok()) return lock.status();
  return std::unique_ptr<DataFolder>(new DataFolder(std::move(path), *lock));
}

DataFolder::~DataFolder() { close(lock_); }

absl::Status DataFolder::PrepareFile(const std::string& name) const {
  const std::string path = FileIn(name);
  const File file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file.ok() || fchmod(file.get(), 0600) != 0) return SystemError("opening", path);
  return absl::OkStatus();
}

absl::Status DataFolder::RewriteFile(const std::string& name) const {
  const std::string path = FileIn(name);
  const File file(path, O_RDWR | O_NOFOLLOW);
  if (!file.ok()) return errno == ENOENT ? absl::OkStatus() : SystemError("opening", path);
  std::vector<char> buffer(kRewriteBytes);
  for (off_t offset = 0;;) {
    const ssize_t size = pread(file.get(), buffer.data(), buffer.size(), offset);
    if (size < 0) return SystemError("reading", path);
    if (size == 0) break;
    if (pwrite(file.get(), buffer.data(), static_cast<size_t>(size), offset) != size) {
      return SystemError("writing", path);
    }
    offset += size;
  }
  if (fsync(file.get()) != 0) return SystemError("syncing", path);
  return absl::OkStatus();
}

absl::Status DataFolder::Sync() const { return SyncFolder(path_); }

}  // namespace host_stub
