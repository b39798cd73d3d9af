#include "host_stub/cli/file_argument.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

absl::Status CannotRead(absl::string_view option, const std::string& path) {
  return absl::NotFoundError(
      absl::StrCat(option, ": cannot read ", path, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::string> ReadFileArgument(absl::string_view option, const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (file == nullptr) return CannotRead(option, path);
  std::string text;
  std::array<char, 64 * 1024> piece;
  for (size_t size; (size = std::fread(piece.data(), 1, piece.size(), file.get())) > 0;) {
    text.append(piece.data(), size);
  }
  if (std::ferror(file.get()) != 0) return CannotRead(option, path);
  return text;
}

}  // namespace host_stub
