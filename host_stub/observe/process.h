// What this process uses of its machine.
#ifndef HOST_STUB_OBSERVE_PROCESS_H_
#define HOST_STUB_OBSERVE_PROCESS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace host_stub {

// 0 for what the system does not tell.
struct ProcessUse {
  absl::Time started;
  absl::Duration processor;  // of all threads, in user and system mode
  int64_t resident_bytes = 0;
  int64_t virtual_bytes = 0;
  int64_t open_descriptors = 0;
  int64_t most_descriptors = 0;
  int64_t threads = 0;
};

// Reads some small files of /proc. Any thread.
ProcessUse ReadProcessUse();

// The resident memory alone.
int64_t ResidentBytes();

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_PROCESS_H_
