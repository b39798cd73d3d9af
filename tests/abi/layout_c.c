/* The header as C11 sees it: every offset and size is what it always was. */
#include "plugin/abi/long_running_integration.h"

#define SIZE(type, bytes) \
  _Static_assert(sizeof(type) == (bytes), "the size of " #type " has changed");
#define MEMBER(type, member, offset)                 \
  _Static_assert(offsetof(type, member) == (offset), \
                 "the place of " #type "." #member " has changed");
#include "tests/abi/layout.inc"

/* For the test in C++: whether C says the same of a shorter struct. */
int CHasBody(const lri_answer* answer);
int CHasBody(const lri_answer* answer) { return LRI_HAS(answer, body); }
