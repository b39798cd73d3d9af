#include "host_stub/service/thread_pool.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace host_stub {

struct ThreadPool::Queue {
  absl::Mutex mutex;
  std::deque<std::function<void()>> waiting ABSL_GUARDED_BY(mutex);
  bool ending ABSL_GUARDED_BY(mutex) = false;
  int threads ABSL_GUARDED_BY(mutex) = 0;  // that have not ended

  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return ending || !waiting.empty(); }
  bool HasEnded() const ABSL_SHARED_LOCKS_REQUIRED(mutex) { return threads == 0; }
};

ThreadPool::ThreadPool(int threads, size_t most_waiting)
    : most_waiting_(most_waiting), queue_(std::make_shared<Queue>()) {
  absl::MutexLock lock(&queue_->mutex);
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([queue = queue_] { Run(queue); });
    ++queue_->threads;
  }
}

ThreadPool::~ThreadPool() { Stop(absl::InfiniteFuture()); }

bool ThreadPool::Post(std::function<void()> work) {
  absl::MutexLock lock(&queue_->mutex);
  if (queue_->ending || queue_->waiting.size() >= most_waiting_) return false;
  queue_->waiting.push_back(std::move(work));
  return true;
}

void ThreadPool::Stop(absl::Time deadline) {
  std::deque<std::function<void()>> dropped;  // released after the lock
  // Empty at a second call: that may be on a thread that was left behind.
  std::vector<std::thread> threads = std::exchange(threads_, {});
  if (threads.empty()) return;
  const bool is_own = std::any_of(threads.begin(), threads.end(), [](const std::thread& thread) {
    return thread.get_id() == std::this_thread::get_id();
  });
  {
    absl::MutexLock lock(&queue_->mutex);
    queue_->ending = true;
    dropped.swap(queue_->waiting);
  }
  dropped.clear();
  bool ended = false;
  if (!is_own) {
    absl::MutexLock lock(&queue_->mutex);
    ended =
        queue_->mutex.AwaitWithDeadline(absl::Condition(queue_.get(), &Queue::HasEnded), deadline);
  }
  for (std::thread& thread : threads) ended ? thread.join() : thread.detach();
}

void ThreadPool::Run(const std::shared_ptr<Queue>& queue) {
  for (;;) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&queue->mutex);
      queue->mutex.Await(absl::Condition(queue.get(), &Queue::HasNews));
      if (queue->ending) {
        --queue->threads;
        return;
      }
      work = std::move(queue->waiting.front());
      queue->waiting.pop_front();
    }
    work();
  }
}

}  // namespace host_stub
