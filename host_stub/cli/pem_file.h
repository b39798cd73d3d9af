// Certificates and keys that a command is given as files.
#ifndef HOST_STUB_CLI_PEM_FILE_H_
#define HOST_STUB_CLI_PEM_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace host_stub {

// The whole of a file of 1 MiB at most. Refused where everybody can change it, and a secret
// one where others can read it. Errors
// name the path.
absl::StatusOr<std::string> ReadPem(const std::string& path, bool secret);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_PEM_FILE_H_
