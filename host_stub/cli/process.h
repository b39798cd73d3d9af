// What `serve` asks of its own process: protection, signals, file descriptors, memory.
#ifndef HOST_STUB_CLI_PROCESS_H_
#define HOST_STUB_CLI_PROCESS_H_

#include <cstdint>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace host_stub {

// Protects a process that holds secrets: it writes no core file whatever the system's settings are,
// nobody but root can debug it or read its memory, and nobody else can read its new files. Call it
// before any thread is started.
void HardenProcess();

// Raises the soft limit of file descriptors to the hard limit: each connection needs one, and a
// shell's usual soft limit of 1,024 is meant for programs that use select(2). Returns the limit.
int64_t RaiseDescriptorLimit();

// Waits for SIGTERM and SIGINT, for SIGHUP and SIGUSR1. One in a process, made before other
// threads, which inherit that these signals are blocked. SIGPIPE is ignored.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();

  enum class Wish { kStop, kReload, kReopen };

  // Waits for a signal for at most that long. Several SIGHUP may count as one, and so may several
  // SIGUSR1. After the first signal that stops the process, a second one ends it at once, whether
  // or not anybody waits.
  std::optional<Wish> AwaitFor(absl::Duration most);

 private:
  void Watch();

  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool reload_ ABSL_GUARDED_BY(mutex_) = false;
  bool reopen_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

// Returns memory to the system that was freed after a burst. The allocator would keep it for the
// next allocation, and the process would stay as large as it was in its worst second. One thread.
class IdleTrim {
 public:
  // How often to call Tick.
  static constexpr absl::Duration kInterval = absl::Seconds(2);

  IdleTrim();

  // Trims if the process has grown since the last trim and had little to do since the last call: a
  // busy process will need the memory again, and should not wait for the allocator's locks.
  void Tick();

 private:
  int64_t resident_bytes_;  // after the last trim, or the least since then
  absl::Duration processor_time_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CLI_PROCESS_H_
