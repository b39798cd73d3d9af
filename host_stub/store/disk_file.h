// A descriptor that is closed at its end, and the words for what the system refused.
#ifndef HOST_STUB_STORE_DISK_FILE_H_
#define HOST_STUB_STORE_DISK_FILE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "host_stub/store/disk_calls.h"

namespace host_stub {

// UNAVAILABLE, with errno's text: "incident store: syncing /data: Input/output error".
absl::Status DiskError(absl::string_view doing, const std::string& path);

class DiskFile {
 public:
  DiskFile(DiskCalls& calls, const std::string& path, int flags, mode_t mode = 0);
  ~DiskFile();
  DiskFile(const DiskFile&) = delete;
  DiskFile& operator=(const DiskFile&) = delete;

  bool ok() const { return descriptor_ >= 0; }  // if not, errno tells why
  int get() const { return descriptor_; }
  // The caller closes it.
  int Release();

 private:
  int descriptor_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_DISK_FILE_H_
