// One thread that ends what takes too long.
#ifndef HOST_STUB_SERVICE_DEADLINE_TIMER_H_
#define HOST_STUB_SERVICE_DEADLINE_TIMER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace host_stub {

// Something with a deadline.
class Expiring {
 public:
  virtual ~Expiring() = default;

  // The deadline has passed. On the timer's thread, under no lock; must not block.
  virtual void Expire() = 0;
};

// Any thread.
class DeadlineTimer {
 public:
  using Token = std::pair<absl::Time, uint64_t>;

  DeadlineTimer();

  // As Stop. Not on the timer's own thread unless it was stopped before: what expires may be the
  // last that refers to who owns the timer.
  ~DeadlineTimer();

  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;

  // Lets go of what has not expired, and joins. Again: does nothing. Not from within Expire.
  void Stop();

  // Keeps `expiring` until it has expired or was removed. After Stop it does nothing.
  Token Add(absl::Time deadline, std::shared_ptr<Expiring> expiring);

  // It may be expiring just now.
  void Remove(const Token& token);

 private:
  void Run();

  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::map<Token, std::shared_ptr<Expiring>> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  // When the thread looks again; what has been removed since may have been what it waits for.
  absl::Time wake_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_DEADLINE_TIMER_H_
