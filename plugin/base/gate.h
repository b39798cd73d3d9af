// Drains calls: they enter and leave, a closed gate refuses new ones, and the thread that closed it
// can wait until the last one has left.
#ifndef PLUGIN_BASE_GATE_H_
#define PLUGIN_BASE_GATE_H_

#include <atomic>
#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace base {

// Thread-safe. Begins closed.
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // False if it was open already.
  bool Open() { return (state_.fetch_and(~kClosed, std::memory_order_acq_rel) & kClosed) != 0; }

  // From now on Enter refuses. False if it was closed already.
  bool Close() { return (state_.fetch_or(kClosed, std::memory_order_acq_rel) & kClosed) == 0; }

  // True if it is open; then exactly one Leave must follow. Takes no lock.
  bool Enter() {
    const int64_t before = state_.fetch_add(kOne, std::memory_order_acq_rel);
    if ((before & kClosed) == 0) return true;
    Leave();
    return false;
  }

  // Takes a lock only after Close.
  void Leave() {
    // While the gate is open nobody waits. Once it is closed the count falls under the lock, so
    // that the waiter cannot return, and destroy the gate, before the lock is released.
    int64_t before = state_.load(std::memory_order_relaxed);
    while ((before & kClosed) == 0) {
      if (state_.compare_exchange_weak(before, before - kOne, std::memory_order_acq_rel)) return;
    }
    absl::MutexLock lock(&mutex_);
    state_.fetch_sub(kOne, std::memory_order_acq_rel);
  }

  // Waits until every Enter had its Leave. False if that is not so by `deadline`. Call after Close.
  bool WaitUntilEmpty(absl::Time deadline) {
    const auto is_empty = +[](std::atomic<int64_t>* state) { return state->load() < kOne; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithDeadline(absl::Condition(is_empty, &state_), deadline);
  }

  bool is_open() const { return (state_.load(std::memory_order_acquire) & kClosed) == 0; }
  int64_t entered() const { return state_.load(std::memory_order_acquire) / kOne; }

 private:
  static constexpr int64_t kClosed = 1;
  static constexpr int64_t kOne = 2;

  // kClosed, and kOne for each that entered.
  std::atomic<int64_t> state_{kClosed};
  absl::Mutex mutex_;  // makes the last Leave after Close visible to the waiter
};

}  // namespace base

#endif  // PLUGIN_BASE_GATE_H_
