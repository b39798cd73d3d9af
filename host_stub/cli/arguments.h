// What a command line names: files, secrets and the default data folder.
//
// Every user of the machine can read a command line, so each secret may also come from a file or
// from standard input.
#ifndef HOST_STUB_CLI_ARGUMENTS_H_
#define HOST_STUB_CLI_ARGUMENTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

// The arguments after the program's name. If the command takes secrets, its arguments are
// overwritten in place, so that a list of processes shows them only until then.
std::vector<std::string> TakeArguments(int argc, char** argv);

// `text` itself, or for @FILE and @- the contents of the file or of standard input, without one
// line end at the end. At most 4 MiB. A file with a private key is refused if other users can read
// it. Errors begin with `option`.
absl::StatusOr<std::string> ReadArgument(absl::string_view option, const std::string& text,
                                         bool private_key = false);

// The contents of a file or a pipe, however long. Errors begin with `option` and name the path and
// the system's reason.
absl::StatusOr<std::string> ReadFileArgument(absl::string_view option, const std::string& path);

// Reads a PEM file of at most 1 MiB; without a path does nothing. A file that everybody can change
// is refused, and a secret one that other users can read. Errors name the path.
absl::Status ReadPem(const std::string& path, bool secret, std::string& pem);

// Reads a bearer token of at most 1 KiB from a file, without the blanks around it. A file is
// refused as a secret one of ReadPem is.
absl::Status ReadToken(const std::string& path, std::string& token);

// $XDG_DATA_HOME/generic-webhook, or ~/.local/share/generic-webhook.
std::string DefaultDataDir();

}  // namespace host_stub

#endif  // HOST_STUB_CLI_ARGUMENTS_H_
