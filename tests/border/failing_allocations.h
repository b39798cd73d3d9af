// Makes chosen allocations of the whole process fail: operator new, also where a shared object that
// is loaded later calls it. A program that links this has an operator new of its own.
#ifndef TESTS_BORDER_FAILING_ALLOCATIONS_H_
#define TESTS_BORDER_FAILING_ALLOCATIONS_H_

#include <cstdint>

namespace border {

// The nth allocation from now on (from 1) fails, on whatever thread it is made.
void FailNth(int64_t n);

// That one and all after it.
void FailFrom(int64_t n);

// No more. True: one failed since.
bool StopFailing();

// How many were counted since FailNth or FailFrom.
int64_t AllocationsCounted();

// The calling thread's allocations do not fail, and are not counted: those of a test, and of what
// stands for a host.
class Spared {
 public:
  Spared();
  ~Spared();
  Spared(const Spared&) = delete;
  Spared& operator=(const Spared&) = delete;
};

// From now on only allocations of a thread that has an Exposed can fail and are counted.
void FailOnlyExposed();

class Exposed {
 public:
  Exposed();
  ~Exposed();
  Exposed(const Exposed&) = delete;
  Exposed& operator=(const Exposed&) = delete;
};

}  // namespace border

#endif  // TESTS_BORDER_FAILING_ALLOCATIONS_H_
