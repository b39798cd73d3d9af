#include "host_stub/store/disk_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace host_stub {

absl::Status DiskError(absl::string_view doing, const std::string& path) {
  return absl::UnavailableError(
      absl::StrCat("incident store: ", doing, " ", path, ": ", std::strerror(errno)));
}

DiskFile::DiskFile(DiskCalls& calls, const std::string& path, int flags, mode_t mode)
    : descriptor_(calls.Open(path, flags, mode)) {}

DiskFile::~DiskFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

int DiskFile::Release() { return std::exchange(descriptor_, -1); }

}  // namespace host_stub
