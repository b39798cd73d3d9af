// The clock that deadlines are given by.
#ifndef HOST_STUB_CLOCK_MONOTONIC_CLOCK_H_
#define HOST_STUB_CLOCK_MONOTONIC_CLOCK_H_

#include <cstdint>

namespace host_stub {

// CLOCK_MONOTONIC in nanoseconds, as the ABI's deadline_mono_ns. Any thread.
int64_t MonotonicNanoseconds();

}  // namespace host_stub

#endif  // HOST_STUB_CLOCK_MONOTONIC_CLOCK_H_
