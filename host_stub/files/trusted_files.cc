#include "host_stub/files/trusted_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace host_stub {
namespace {

constexpr int kMostLinks = 40;  // as the kernel

bool RootHasANumber() {
  std::ifstream map("/proc/self/uid_map");
  int64_t inside, outside, length;
  if (!map) return true;  // a kernel without user namespaces
  while (map >> inside >> outside >> length) {
    if (inside == 0) return true;
  }
  return false;
}

absl::Status CheckOne(const std::string& path, const std::vector<uid_t>& owners) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": ", strerror(errno)));
  }
  const char* const kind = S_ISDIR(status.st_mode)   ? "folder"
                           : S_ISLNK(status.st_mode) ? "link"
                                                     : "file";
  if (std::find(owners.begin(), owners.end(), status.st_uid) == owners.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat("its ", kind, " ", path, " belongs to user ", status.st_uid,
                     ", who could replace it; run: chown ", geteuid(), " ", path));
  }
  if (S_ISLNK(status.st_mode)) return absl::OkStatus();  // its mode means nothing
  // In a folder with the sticky bit only a file's owner can replace the file.
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0 || sticky) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("its ", kind, " ", path, " can be written by ",
                   (status.st_mode & S_IWOTH) != 0 ? "everybody" : "its group", " (mode ",
                   OctalMode(status.st_mode), "); run: chmod go-w ", path));
}

absl::Status CannotRead(const std::string& path, int error) {
  std::string text = absl::StrCat("cannot read ", path, ": ", std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

std::string SecretFault(const std::string& path, const struct stat& status) {
  const std::vector<uid_t> owners = TrustedOwners();
  if (std::find(owners.begin(), owners.end(), status.st_uid) == owners.end()) {
    return absl::StrCat(path, " belongs to user ", status.st_uid, ", who can read it; run chown ",
                        ::geteuid(), " ", path);
  }
  // If the process itself runs as root, its own files count as root's.
  const bool from_root = status.st_uid != ::geteuid() || status.st_uid == 0;
  const mode_t allowed = S_IRWXU | (from_root ? S_IRGRP : 0);
  if ((status.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO) & ~allowed) == 0) return "";
  return absl::StrCat(path, " is open to other users (mode ", OctalMode(status.st_mode),
                      "); run chmod 600 ", path);
}

}  // namespace

std::string OctalMode(mode_t mode) { return absl::StrFormat("%04o", mode & 07777); }

std::vector<uid_t> TrustedOwners() {
  std::vector<uid_t> owners = {0, geteuid()};
  if (uid_t overflow;
      !RootHasANumber() && std::ifstream("/proc/sys/kernel/overflowuid") >> overflow) {
    owners.push_back(overflow);
  }
  return owners;
}

absl::Status CheckWriters(const std::string& path, const std::vector<uid_t>& owners) {
  namespace fs = std::filesystem;
  fs::path here = "/";         // how far the walk has come, without links
  std::vector<fs::path> rest;  // the names that follow, the next one last
  const auto put_before = [&rest](const fs::path& names) {
    const auto begin = rest.insert(rest.end(), names.begin(), names.end());
    std::reverse(begin, rest.end());
  };
  std::error_code error;
  put_before(fs::absolute(path, error).relative_path());
  absl::Status fault = CheckOne(here, owners);  // the last one, which is the nearest to the file
  for (int links = 0; !rest.empty();) {
    const fs::path name = std::move(rest.back());
    rest.pop_back();
    if (name.empty() || name == ".") continue;
    const fs::path next = name == ".." ? here.parent_path() : here / name;
    if (absl::Status status = CheckOne(next, owners); !status.ok()) fault = status;
    if (!fs::is_symlink(next, error)) {
      here = next;
      continue;
    }
    const fs::path target = fs::read_symlink(next, error);
    if (error || ++links > kMostLinks) {
      return absl::PermissionDeniedError(absl::StrCat(next.string(), ": the link leads nowhere"));
    }
    if (target.is_absolute()) here = "/";
    put_before(target.relative_path());
  }
  return fault;
}

absl::StatusOr<SmallFile> ReadSmallFile(const std::string& path, size_t most_bytes) {
  // Without O_NONBLOCK a named pipe would wait here for its writer.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return CannotRead(path, errno);
  absl::Cleanup close_file = [file] { ::close(file); };

  struct stat status = {};
  if (::fstat(file, &status) != 0) return CannotRead(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  SmallFile result;
  if (absl::Status writers = CheckWriters(path, TrustedOwners()); !writers.ok()) {
    result.write_fault = absl::StrCat(path, " can be changed by others: ", writers.message());
  }
  result.secret_fault = SecretFault(path, status);
  // One byte more than allowed detects a file that is too long.
  result.contents.resize(most_bytes + 1);
  size_t size = 0;
  while (size < result.contents.size()) {
    const ssize_t got = ::read(file, result.contents.data() + size, result.contents.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CannotRead(path, errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > most_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is longer than the ", most_bytes, " bytes that are allowed"));
  }
  result.contents.resize(size);
  return result;
}

}  // namespace host_stub
