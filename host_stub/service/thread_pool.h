// A few threads for work that may wait for a disk or a plugin, so that gRPC's own threads never do.
#ifndef HOST_STUB_SERVICE_THREAD_POOL_H_
#define HOST_STUB_SERVICE_THREAD_POOL_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/time.h"

namespace host_stub {

class ThreadPool {
 public:
  ThreadPool(int threads, size_t most_waiting);

  // Stops without a deadline. May run on one of its own threads: work may hold the last reference
  // to the owner of the pool.
  ~ThreadPool();

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Runs `work`, which owns everything that it uses, later. False: too much is waiting or Stop was
  // called, and it will not run. Any thread, also from within work. Never blocks.
  bool Post(std::function<void()> work);

  // Drops the waiting work and joins. Work that has not returned by the deadline, a plugin's for
  // example, is left behind on its thread. A second call does nothing. One thread at a time.
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

#endif  // HOST_STUB_SERVICE_THREAD_POOL_H_
