#include "host_stub/files/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "host_stub/files/file_writers.h"

namespace host_stub {
namespace {

absl::Status CannotRead(const std::string& path, int error) {
  std::string text = absl::StrCat("cannot read ", path, ": ", std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

absl::Status TooLong(const std::string& path, size_t most_bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is longer than the ", most_bytes, " bytes that are allowed"));
}

std::string SecretFault(const std::string& path, const struct stat& status) {
  const std::vector<uid_t> owners = TrustedOwners();
  if (std::find(owners.begin(), owners.end(), status.st_uid) == owners.end()) {
    return absl::StrCat(path, " belongs to user ", status.st_uid, ", who can read it; run chown ",
                        ::geteuid(), " ", path);
  }
  // Where the process is root itself, that is the same.
  const bool from_root = status.st_uid != ::geteuid() || status.st_uid == 0;
  const mode_t allowed = S_IRWXU | (from_root ? S_IRGRP : 0);
  if ((status.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO) & ~allowed) == 0) return "";
  return absl::StrCat(path, " is open to other users (mode ", OctalMode(status.st_mode),
                      "); run chmod 600 ", path);
}

}  // namespace

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
  if (static_cast<size_t>(status.st_size) > most_bytes) return TooLong(path, most_bytes);

  SmallFile result;
  if ((status.st_mode & S_IWOTH) != 0) {
    result.write_fault = absl::StrCat(path, " can be changed by everybody (mode ",
                                      OctalMode(status.st_mode), "); run chmod go-w ", path);
  }
  result.secret_fault = SecretFault(path, status);
  // One byte more than allowed tells a file that grows while it is read.
  result.contents.resize(most_bytes + 1);
  size_t size = 0;
  while (size < result.contents.size()) {
    const ssize_t got = ::read(file, result.contents.data() + size, result.contents.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return CannotRead(path, errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > most_bytes) return TooLong(path, most_bytes);
  result.contents.resize(size);
  return result;
}

}  // namespace host_stub
