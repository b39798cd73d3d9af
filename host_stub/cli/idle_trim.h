// Gives memory that a burst has left free back to the system.
#ifndef HOST_STUB_CLI_IDLE_TRIM_H_
#define HOST_STUB_CLI_IDLE_TRIM_H_

#include <cstdint>

#include "absl/time/time.h"

namespace host_stub {

// The allocator keeps what is freed for the next allocation, so that a process stays for good as
// large as its worst second was. One thread.
class IdleTrim {
 public:
  // How often to call Tick.
  static constexpr absl::Duration kInterval = absl::Seconds(2);

  IdleTrim();

  // Trims if the process has grown since the last time and had little to do meanwhile: who is busy
  // will need the memory again, and should not wait for the allocator's locks.
  void Tick();

 private:
  int64_t resident_bytes_;  // after the last trim, or the least since
  absl::Duration processor_time_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CLI_IDLE_TRIM_H_
