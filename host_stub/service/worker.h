// A few threads for work that may wait for a disk or for a plugin, so that gRPC's own never do.
#ifndef HOST_STUB_SERVICE_WORKER_H_
#define HOST_STUB_SERVICE_WORKER_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace host_stub {

class Worker {
 public:
  Worker(int threads, size_t most_waiting);

  // Runs what waits, then joins.
  ~Worker();

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs `work` later. False: too much waits already, and it will not run. Any thread, and never
  // blocks; also from within work.
  bool Post(std::function<void()> work);

 private:
  void Run();

  const size_t most_waiting_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_WORKER_H_
