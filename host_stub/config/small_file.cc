#include "host_stub/config/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

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
  result.open_to_others = (status.st_mode & (S_IRWXO | S_IWGRP)) != 0;
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
