// Who may write to a file, or put another one into its place.
#ifndef HOST_STUB_FILES_FILE_WRITERS_H_
#define HOST_STUB_FILES_FILE_WRITERS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace host_stub {

// Root and the user of this process. In a user namespace in which root has no number, its files
// show the kernel's overflow user id (user_namespaces(7)), which is then in root's place.
std::vector<uid_t> TrustedOwners();

// The rights of a mode, as people write them: 0644.
std::string OctalMode(mode_t mode);

// OK where the file and every folder above it belong to one of the owners and cannot be written by
// group or others; a folder with the sticky bit, as /tmp, may be. `real_path` is absolute and free
// of links. PERMISSION_DENIED: which of them is wrong, and the command that helps.
absl::Status CheckWriters(const std::string& real_path, const std::vector<uid_t>& owners);

}  // namespace host_stub

#endif  // HOST_STUB_FILES_FILE_WRITERS_H_
