// SIGTERM, SIGINT and SIGHUP as something to wait for.
#ifndef HOST_STUB_CLI_STOP_SIGNALS_H_
#define HOST_STUB_CLI_STOP_SIGNALS_H_

#include <thread>

#include "absl/synchronization/notification.h"

namespace host_stub {

// One in a process, made before other threads: they inherit that these signals are blocked.
// SIGPIPE is ignored.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();

  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Returns after the first signal. A second one ends the process at once.
  void Await() { first_.WaitForNotification(); }

 private:
  void Watch();

  absl::Notification first_;
  std::thread watcher_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CLI_STOP_SIGNALS_H_
