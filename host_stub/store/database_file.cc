#include "host_stub/store/database_file.h"

#include <sys/stat.h>

#include <cstdint>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace host_stub {
namespace {

// https://sqlite.org/fileformat2.html, section 1.3.
constexpr size_t kHeaderBytes = 100;
constexpr absl::string_view kMagic("SQLite format 3\0", 16);
constexpr size_t kPageSizeAt = 16;
constexpr size_t kChangeCounterAt = 24;
constexpr size_t kPagesAt = 28;
constexpr size_t kPagesValidForAt = 92;

int64_t SizeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

uint32_t BigEndian(const std::string& bytes, size_t offset, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  }
  return value;
}

absl::Status Refusal(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("incident store: ", path, " ", what,
                   "; put back a copy of it, or move it away to begin a new one"));
}

}  // namespace

absl::Status NoDatabase(const std::string& path) { return Refusal(path, "is no database"); }

absl::Status CheckDatabaseFile(const std::string& path) {
  const int64_t size = SizeOf(path);
  // With a log or a journal beside it the file alone does not tell: a power cut may have torn any
  // page that was being copied into it, the first one too.
  if (size == 0 || SizeOf(path + "-journal") > 0 || SizeOf(path + "-wal") > 0) {
    return absl::OkStatus();
  }
  std::string header(kHeaderBytes, '\0');
  if (!std::ifstream(path, std::ios::binary).read(header.data(), kHeaderBytes) ||
      !absl::StartsWith(header, kMagic)) {
    return NoDatabase(path);
  }
  if (BigEndian(header, kChangeCounterAt, 4) != BigEndian(header, kPagesValidForAt, 4)) {
    return absl::OkStatus();
  }
  const uint32_t page_size = BigEndian(header, kPageSizeAt, 2);
  const int64_t expected =
      int64_t{BigEndian(header, kPagesAt, 4)} * (page_size == 1 ? 65536 : page_size);
  if (size >= expected) return absl::OkStatus();
  return Refusal(path,
                 absl::StrCat("is damaged: it has ", size, " bytes and should have ", expected));
}

}  // namespace host_stub
