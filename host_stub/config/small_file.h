// Reads the small files that a configuration consists of.
#ifndef HOST_STUB_CONFIG_SMALL_FILE_H_
#define HOST_STUB_CONFIG_SMALL_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace host_stub {

struct SmallFile {
  std::string contents;
  bool open_to_others = false;  // everybody may read it, or more than its owner may write to it
};

// The whole of a regular file. Errors name the path and the reason: NOT_FOUND, PERMISSION_DENIED,
// INVALID_ARGUMENT (no regular file, or longer than `most_bytes`), UNAVAILABLE (failed to read).
absl::StatusOr<SmallFile> ReadSmallFile(const std::string& path, size_t most_bytes);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_SMALL_FILE_H_
