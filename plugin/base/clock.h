// The monotonic clock that deadlines are given by. Any thread.
#ifndef PLUGIN_BASE_CLOCK_H_
#define PLUGIN_BASE_CLOCK_H_

#include <cstdint>
#include <ctime>

namespace base {

inline int64_t NanosecondsOf(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// CLOCK_MONOTONIC in nanoseconds.
inline int64_t MonotonicNanoseconds() { return NanosecondsOf(CLOCK_MONOTONIC); }

// The same clock in milliseconds, read without the hardware: a few milliseconds late.
inline int64_t CoarseMonotonicMilliseconds() {
  return NanosecondsOf(CLOCK_MONOTONIC_COARSE) / 1'000'000;
}

}  // namespace base

#endif  // PLUGIN_BASE_CLOCK_H_
