#include "host_stub/clock/monotonic_clock.h"

#include <ctime>

namespace host_stub {

int64_t MonotonicNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace host_stub
