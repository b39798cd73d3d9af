#include "host_stub/files/file_writers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

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
  const char* const kind = S_ISDIR(status.st_mode) ? "folder" : "file";
  if (std::find(owners.begin(), owners.end(), status.st_uid) == owners.end()) {
    return absl::PermissionDeniedError(
        absl::StrCat("its ", kind, " ", path, " belongs to user ", status.st_uid,
                     ", who could replace it; run: chown ", geteuid(), " ", path));
  }
  // In a folder with the sticky bit nobody but a file's owner can replace the file.
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0 || sticky) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("its ", kind, " ", path, " can be written by ",
                   (status.st_mode & S_IWOTH) != 0 ? "everybody" : "its group", " (mode ",
                   OctalMode(status.st_mode), "); run: chmod go-w ", path));
}

}  // namespace

std::string OctalMode(mode_t mode) {
  mode &= 07777;
  std::string text = "0000";
  for (size_t i = text.size(); i > 0; --i, mode /= 8) {
    text[i - 1] = static_cast<char>('0' + mode % 8);
  }
  return text;
}

std::vector<uid_t> TrustedOwners() {
  std::vector<uid_t> owners = {0, geteuid()};
  if (uid_t overflow;
      !RootHasANumber() && std::ifstream("/proc/sys/kernel/overflowuid") >> overflow) {
    owners.push_back(overflow);
  }
  return owners;
}

absl::Status CheckWriters(const std::string& real_path, const std::vector<uid_t>& owners) {
  std::string path = real_path;
  for (;;) {
    if (absl::Status status = CheckOne(path, owners); !status.ok()) return status;
    if (path == "/") return absl::OkStatus();
    const size_t slash = path.rfind('/');
    path.resize(slash == 0 ? 1 : slash);
  }
}

}  // namespace host_stub
