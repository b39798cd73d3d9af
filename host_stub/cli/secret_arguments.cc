#include "host_stub/cli/secret_arguments.h"

#include <string.h>

#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/files/small_file.h"

namespace host_stub {

std::vector<std::string> TakeArguments(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool takes_secrets = argc > 1 && (arguments[0] == "execute" || arguments[0] == "instances");
  for (int i = 2; takes_secrets && i < argc; ++i) ::explicit_bzero(argv[i], ::strlen(argv[i]));
  return arguments;
}

absl::StatusOr<std::string> ReadArgument(absl::string_view option, absl::string_view name,
                                         bool private_key) {
  constexpr size_t kMostBytes = 4 << 20;
  std::string text;
  if (name == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    absl::StatusOr<SmallFile> file = ReadSmallFile(std::string(name), kMostBytes);
    if (!file.ok()) {
      return absl::Status(file.status().code(),
                          absl::StrCat(option, ": ", file.status().message()));
    }
    if (private_key && !file->secret_fault.empty()) {
      return absl::PermissionDeniedError(absl::StrCat(option, ": ", file->secret_fault));
    }
    text = std::move(file->contents);
  }
  absl::string_view value = text;
  absl::ConsumeSuffix(&value, "\n");
  absl::ConsumeSuffix(&value, "\r");
  text.resize(value.size());
  return text;
}

}  // namespace host_stub
