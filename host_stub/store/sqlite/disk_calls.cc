#include "host_stub/store/sqlite/disk_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace host_stub {

int DiskCalls::Open(const std::string& path, int flags, mode_t mode) {
  return open(path.c_str(), flags | O_CLOEXEC, mode);
}

int DiskCalls::MakeFolder(const std::string& path, mode_t mode) {
  return mkdir(path.c_str(), mode);
}

ssize_t DiskCalls::Write(int descriptor, const void* data, size_t size, off_t offset) {
  return pwrite(descriptor, data, size, offset);
}

int DiskCalls::Sync(int descriptor) { return fsync(descriptor); }

int DiskCalls::SyncData(int descriptor) { return fdatasync(descriptor); }

void DiskCalls::BeginWriting(int descriptor) {
  sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
}

int DiskCalls::Rename(const std::string& from, const std::string& to) {
  return rename(from.c_str(), to.c_str());
}

int DiskCalls::Remove(const std::string& path) { return unlink(path.c_str()); }

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
