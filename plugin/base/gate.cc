#include "plugin/base/gate.h"

namespace base {

bool Gate::Open() { return (state_.fetch_and(~kClosed, std::memory_order_acq_rel) & kClosed) != 0; }

bool Gate::Close() { return (state_.fetch_or(kClosed, std::memory_order_acq_rel) & kClosed) == 0; }

bool Gate::Enter() {
  const int64_t before = state_.fetch_add(kOne, std::memory_order_acq_rel);
  if ((before & kClosed) == 0) return true;
  Leave();
  return false;
}

void Gate::Leave() {
  // While the gate is open nobody waits. Once it is closed the count falls under the lock, so that
  // the waiter cannot return, and destroy the gate, before the lock is released.
  int64_t before = state_.load(std::memory_order_relaxed);
  while ((before & kClosed) == 0) {
    if (state_.compare_exchange_weak(before, before - kOne, std::memory_order_acq_rel)) return;
  }
  absl::MutexLock lock(&mutex_);
  state_.fetch_sub(kOne, std::memory_order_acq_rel);
}

bool Gate::WaitUntilEmpty(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithDeadline(
      absl::Condition(
          +[](std::atomic<int64_t>* state) { return state->load() < kOne; }, &state_),
      deadline);
}

}  // namespace base
