// A few threads for work that may wait for a disk or for a plugin, so that gRPC's own never do.
#ifndef HOST_STUB_SERVICE_WORKER_H_
#define HOST_STUB_SERVICE_WORKER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/time.h"

namespace host_stub {

class Worker {
 public:
  Worker(int threads, size_t most_waiting);

  // As Stop, without a deadline. May run on one of its own threads: work may hold the last
  // reference to who owns the worker.
  ~Worker();

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs `work` later. False: too much waits already or Stop was called, and it will not run. Any
  // thread, and never blocks; also from within work. `work` owns all that it uses.
  bool Post(std::function<void()> work);

  // Drops what waits and joins. Work that has not returned at the deadline, of a plugin for
  // example, is left behind on its thread. Again: does nothing. One thread at a time.
  void Stop(absl::Time deadline);

 private:
  // Shared with threads that are left behind.
  struct Queue;
  static void Run(const std::shared_ptr<Queue>& queue);

  const size_t most_waiting_;
  const std::shared_ptr<Queue> queue_;
  std::vector<std::thread> threads_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_WORKER_H_
