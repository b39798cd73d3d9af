#include "host_stub/cli/arguments.h"

#include <stdlib.h>
#include <string.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/files/trusted_files.h"
#include "plugin/base/utf8.h"
#include "plugin/http/tls.h"

namespace host_stub {
namespace {

absl::Status CannotRead(absl::string_view option, const std::string& path) {
  return absl::NotFoundError(absl::StrCat(option, ": cannot read ", path, ": ", ::strerror(errno)));
}

}  // namespace

std::vector<std::string> TakeArguments(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool takes_secrets = argc > 1 && (arguments[0] == "execute" || arguments[0] == "instances");
  for (int i = 2; takes_secrets && i < argc; ++i) ::explicit_bzero(argv[i], ::strlen(argv[i]));
  return arguments;
}

absl::StatusOr<std::string> ReadArgument(absl::string_view option, const std::string& text,
                                         bool private_key) {
  constexpr size_t kMostBytes = 4 << 20;
  if (!absl::StartsWith(text, "@")) return text;
  std::string contents;
  if (text == "@-") {
    contents.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    absl::StatusOr<SmallFile> file = ReadSmallFile(text.substr(1), kMostBytes);
    if (!file.ok()) {
      return absl::Status(file.status().code(),
                          absl::StrCat(option, ": ", file.status().message()));
    }
    const std::string& fault =
        private_key && !file->secret_fault.empty() ? file->secret_fault : file->write_fault;
    if (!fault.empty()) return absl::PermissionDeniedError(absl::StrCat(option, ": ", fault));
    contents = std::move(file->contents);
  }
  // The end of the line does not belong to a secret either.
  absl::string_view text_alone = absl::StripPrefix(contents, base::kByteOrderMark);
  return std::string(absl::StripSuffix(absl::StripSuffix(text_alone, "\n"), "\r"));
}

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

namespace {

absl::StatusOr<SmallFile> ReadTrusted(const std::string& path, size_t most_bytes, bool secret) {
  absl::StatusOr<SmallFile> file = ReadSmallFile(path, most_bytes);
  if (!file.ok()) return file.status();
  if (secret && !file->secret_fault.empty()) {
    explicit_bzero(file->contents.data(), file->contents.size());
    return absl::PermissionDeniedError(absl::StrCat("key file ", file->secret_fault));
  }
  if (!file->write_fault.empty()) return absl::PermissionDeniedError(file->write_fault);
  return file;
}

}  // namespace

absl::Status ReadToken(const std::string& path, std::string& token) {
  absl::StatusOr<SmallFile> file = ReadTrusted(path, 1024, /*secret=*/true);
  if (!file.ok()) return file.status();
  token = std::string(absl::StripAsciiWhitespace(file->contents));
  explicit_bzero(file->contents.data(), file->contents.size());
  return absl::OkStatus();
}

absl::Status ReadPem(const std::string& path, bool secret, std::string& pem) {
  constexpr size_t kMostBytes = 1024 * 1024;
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<SmallFile> file = ReadTrusted(path, kMostBytes, secret);
  if (!file.ok()) return file.status();
  // gRPC would pass over what is damaged, and cannot read line ends that became blanks.
  auto normal = webhook::http::NormalizePem(file->contents, secret ? "PRIVATE KEY" : "CERTIFICATE");
  if (!normal.ok()) {
    explicit_bzero(file->contents.data(), file->contents.size());
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", normal.status().message()));
  }
  pem = normal->empty() ? std::move(file->contents) : *std::move(normal);
  return absl::OkStatus();
}

std::string DefaultDataDir() {
  const char* data_home = ::getenv("XDG_DATA_HOME");
  // The specification asks to ignore a relative path.
  if (data_home != nullptr && data_home[0] == '/') {
    return absl::StrCat(data_home, "/generic-webhook");
  }
  const char* home = ::getenv("HOME");
  return absl::StrCat(home == nullptr ? "" : home, "/.local/share/generic-webhook");
}

}  // namespace host_stub
