// Secrets that a command is given. A command line can be read by every user of the machine, so each
// of them may come from a file or from standard input as well.
#ifndef HOST_STUB_CLI_SECRET_ARGUMENTS_H_
#define HOST_STUB_CLI_SECRET_ARGUMENTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

// The arguments after the program's name. Where the command is one that takes secrets, they are
// overwritten in place, so that a list of processes shows them for no longer than it takes to get
// here.
std::vector<std::string> TakeArguments(int argc, char** argv);

// The text after `@` names a file, or is `-` for standard input; 4 MiB at most. Less one line end.
// A file of a private key is refused where others can read it. Errors begin with `option`.
absl::StatusOr<std::string> ReadArgument(absl::string_view option, absl::string_view name,
                                         bool private_key = false);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_SECRET_ARGUMENTS_H_
