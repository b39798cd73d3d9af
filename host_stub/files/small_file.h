// Reads the small files that a configuration consists of.
#ifndef HOST_STUB_FILES_SMALL_FILE_H_
#define HOST_STUB_FILES_SMALL_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace host_stub {

struct SmallFile {
  std::string contents;
  // Why it must not be relied on, and the command that helps: everybody can change it. Empty where
  // they cannot.
  std::string write_fault;
  // Why it is no place for a secret, and the command that helps: somebody else than root and this
  // user can read or change it. Empty where nobody can. The group may read a file that belongs to
  // root, who has then given it to that group, as container platforms do.
  std::string secret_fault;
};

// The whole of a regular file. Errors name the path and the reason: NOT_FOUND, PERMISSION_DENIED,
// INVALID_ARGUMENT (no regular file, or longer than `most_bytes`), UNAVAILABLE (failed to read).
absl::StatusOr<SmallFile> ReadSmallFile(const std::string& path, size_t most_bytes);

}  // namespace host_stub

#endif  // HOST_STUB_FILES_SMALL_FILE_H_
