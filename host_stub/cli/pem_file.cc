#include "host_stub/cli/pem_file.h"

#include <string.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/files/small_file.h"

namespace host_stub {

absl::StatusOr<std::string> ReadPem(const std::string& path, bool secret) {
  constexpr size_t kMostBytes = 1024 * 1024;
  absl::StatusOr<SmallFile> file = ReadSmallFile(path, kMostBytes);
  if (!file.ok()) return file.status();
  if (secret && !file->secret_fault.empty()) {
    explicit_bzero(file->contents.data(), file->contents.size());
    return absl::PermissionDeniedError(absl::StrCat("key file ", file->secret_fault));
  }
  if (!file->write_fault.empty()) return absl::PermissionDeniedError(file->write_fault);
  return std::move(file->contents);
}

}  // namespace host_stub
