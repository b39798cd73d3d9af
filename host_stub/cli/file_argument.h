// What a command reads from a file that a person names.
#ifndef HOST_STUB_CLI_FILE_ARGUMENT_H_
#define HOST_STUB_CLI_FILE_ARGUMENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

// The whole of a file, of a pipe as well. The error says option, path and the system's reason.
absl::StatusOr<std::string> ReadFileArgument(absl::string_view option, const std::string& path);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_FILE_ARGUMENT_H_
