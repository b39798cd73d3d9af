// SIGTERM and SIGINT as something to wait for, SIGHUP as something that is done meanwhile.
#ifndef HOST_STUB_CLI_STOP_SIGNALS_H_
#define HOST_STUB_CLI_STOP_SIGNALS_H_

#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace host_stub {

// One in a process, made before other threads: they inherit that these signals are blocked.
// SIGPIPE is ignored.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();

  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  enum class Wish { kStop, kReload };

  // Waits for a signal, but not for longer than that; nothing where none came. Several SIGHUP may
  // count as one. After the first that wants the process to stop, a second one ends it at once,
  // whether or not anybody waits.
  std::optional<Wish> AwaitFor(absl::Duration most);

 private:
  void Watch();

  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool reload_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CLI_STOP_SIGNALS_H_
