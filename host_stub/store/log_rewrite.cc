#include "host_stub/store/log_rewrite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "host_stub/store/disk_file.h"

namespace host_stub {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

bool IsThereWithBytes(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && info.st_size > 0;
}

absl::Status Remove(DiskCalls& calls, const std::string& path) {
  if (calls.Remove(path) == 0 || errno == ENOENT) return absl::OkStatus();
  return DiskError("removing", path);
}

// `to` is synced when this is OK; it need not be longer or shorter than before.
absl::Status WriteBytesOf(const std::string& from, const std::string& to, DiskCalls& calls) {
  const DiskFile source(calls, from, O_RDONLY | O_NOFOLLOW);
  if (!source.ok()) return DiskError("opening", from);
  const DiskFile target(calls, to, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!target.ok()) return DiskError("opening", to);
  std::vector<char> piece(kPieceBytes);
  for (off_t offset = 0;;) {
    const ssize_t size = pread(source.get(), piece.data(), piece.size(), offset);
    if (size < 0) return DiskError("reading", from);
    if (size == 0) break;
    if (calls.Write(target.get(), piece.data(), static_cast<size_t>(size), offset) != size) {
      return DiskError("writing", to);
    }
    offset += size;
  }
  return calls.Sync(target.get()) == 0 ? absl::OkStatus() : DiskError("syncing", to);
}

absl::Status MakeCopy(const DataFolder& folder, DiskCalls& calls, const std::string& log,
                      const std::string& copy) {
  const std::string unfinished = copy + ".unfinished";
  if (absl::Status status = Remove(calls, unfinished); !status.ok()) return status;
  if (absl::Status status = WriteBytesOf(log, unfinished, calls); !status.ok()) return status;
  if (calls.Rename(unfinished, copy) != 0) return DiskError("renaming", unfinished);
  return folder.Sync();
}

}  // namespace

absl::Status RewriteLog(const DataFolder& folder, DiskCalls& calls, const std::string& log) {
  const std::string path = folder.FileIn(log);
  const std::string copy = path + ".copy";
  if (!IsThereWithBytes(copy)) {
    if (!IsThereWithBytes(path)) return absl::OkStatus();
    if (absl::Status status = MakeCopy(folder, calls, path, copy); !status.ok()) return status;
  }
  if (absl::Status status = WriteBytesOf(copy, path, calls); !status.ok()) return status;
  if (absl::Status status = Remove(calls, copy); !status.ok()) return status;
  return folder.Sync();
}

}  // namespace host_stub
