// A few threads for work that may wait for a disk or a plugin, so that gRPC's own threads never do.
#ifndef HOST_STUB_SERVICE_THREAD_POOL_H_
#define HOST_STUB_SERVICE_THREAD_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "plugin/base/thread.h"

namespace host_stub {

class ThreadPool {
 public:
  ThreadPool(int threads, size_t most_waiting) : most_waiting_(most_waiting) {
    absl::MutexLock lock(&queue_->mutex);
    for (; queue_->threads < threads; ++queue_->threads) {
      base::StartThread("grpc-work", [queue = queue_] { queue->Run(); }).detach();
    }
  }

  // Stops, and leaves behind what is running. May run on one of its own threads: work may hold the
  // last reference to the owner of the pool.
  ~ThreadPool() { Stop(absl::InfinitePast()); }

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Runs `work`, which owns everything that it uses, later. False: too much is waiting or Stop was
  // called, and it will not run. Any thread, also from within work. Never blocks.
  bool Post(std::function<void()> work) {
    absl::MutexLock lock(&queue_->mutex);
    if (queue_->ending || queue_->waiting.size() >= most_waiting_) return false;
    queue_->waiting.push_back(std::move(work));
    return true;
  }

  // Drops the waiting work and waits for what is running. Work that has not returned by the
  // deadline, a plugin's for example, is left behind on its thread.
  void Stop(absl::Time deadline) {
    std::deque<std::function<void()>> dropped;  // released without the lock
    {
      absl::MutexLock lock(&queue_->mutex);
      queue_->ending = true;
      dropped.swap(queue_->waiting);
    }
    dropped.clear();
    absl::MutexLock lock(&queue_->mutex);
    queue_->mutex.AwaitWithDeadline(absl::Condition(queue_.get(), &Queue::HasEnded), deadline);
  }

 private:
  // Shared with the threads, which may be left behind.
  struct Queue {
    bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return ending || !waiting.empty(); }
    bool HasEnded() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return threads == 0; }

    void Run() {
      absl::MutexLock lock(&mutex);
      for (;;) {
        mutex.Await(absl::Condition(this, &Queue::HasNews));
        if (ending) break;
        std::function<void()> work = std::move(waiting.front());
        waiting.pop_front();
        mutex.Unlock();
        work();
        work = nullptr;
        mutex.Lock();
      }
      --threads;
    }

    absl::Mutex mutex;
    std::deque<std::function<void()>> waiting ABSL_GUARDED_BY(mutex);
    bool ending ABSL_GUARDED_BY(mutex) = false;
    int threads ABSL_GUARDED_BY(mutex) = 0;  // that have not ended
  };

  const size_t most_waiting_;
  const std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_THREAD_POOL_H_
