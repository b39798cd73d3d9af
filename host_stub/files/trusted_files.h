// Files that nobody else may change or read: who owns them, and who can write to them or replace
// them.
#ifndef HOST_STUB_FILES_TRUSTED_FILES_H_
#define HOST_STUB_FILES_TRUSTED_FILES_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace host_stub {

// Root and the user of this process. In a user namespace in which root has no number, the kernel's
// overflow user id (user_namespaces(7)) takes root's place, since root's files show it.
std::vector<uid_t> TrustedOwners();

// The permission bits of a mode in the usual form: 0644.
std::string OctalMode(mode_t mode);

// OK if the file and every folder on the way to it belong to one of the owners, and neither group
// nor others can write to them; a folder with the sticky bit, such as /tmp, may be writable. Links
// are followed: each must belong to one of the owners, in folders as above, and so must what it
// leads to. A relative path begins at the current folder. PERMISSION_DENIED names the file or
// folder and the command that helps.
absl::Status CheckWriters(const std::string& path, const std::vector<uid_t>& owners);

struct SmallFile {
  std::string contents;
  // Why the contents must not be relied on, with the command that helps: somebody other than root
  // and this user can change or replace the file (see CheckWriters). Empty if nobody can.
  std::string write_fault;
  // Why the file is no place for a secret, with the command that helps: somebody other than root
  // and this user can read or change it. Empty if nobody can. The group may read a file that
  // belongs to root: container platforms provide secrets that way.
  std::string secret_fault;
};

// Reads a whole regular file. Errors name the path and the reason: NOT_FOUND, PERMISSION_DENIED,
// INVALID_ARGUMENT (not a regular file, or longer than `most_bytes`), UNAVAILABLE (read failed).
absl::StatusOr<SmallFile> ReadSmallFile(const std::string& path, size_t most_bytes);

}  // namespace host_stub

#endif  // HOST_STUB_FILES_TRUSTED_FILES_H_
