// The routes that hold now, replaced as a whole while requests come in.
#ifndef HOST_STUB_FRONT_ROUTE_TABLE_H_
#define HOST_STUB_FRONT_ROUTE_TABLE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/front/routes.h"

namespace host_stub {

// Any thread. Readers keep what they got for as long as they use it.
class RouteTable {
 public:
  // Whoever asks after the return gets these.
  void Publish(std::shared_ptr<const Routes> routes) {
    absl::MutexLock lock(&mutex_);
    routes_ = std::move(routes);
    generation_.fetch_add(1, std::memory_order_release);
  }

  std::shared_ptr<const Routes> current() const {
    absl::MutexLock lock(&mutex_);
    return routes_;
  }

  // Grows with each change: cheap to compare, for those who keep a copy.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // A reader's own copy: a lookup costs it one load. For one thread.
  class Reader {
   public:
    const std::shared_ptr<const Routes>& Get(const RouteTable& table) {
      const uint64_t generation = table.generation();
      if (generation != generation_) {
        generation_ = generation;
        own_ = table.current();
      }
      return own_;
    }

   private:
    uint64_t generation_ = UINT64_MAX;
    std::shared_ptr<const Routes> own_;
  };

 private:
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Routes> routes_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Routes>();
  std::atomic<uint64_t> generation_{0};
};

}  // namespace host_stub

#endif  // HOST_STUB_FRONT_ROUTE_TABLE_H_
