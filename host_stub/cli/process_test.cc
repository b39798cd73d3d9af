#include "host_stub/cli/process.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace host_stub {
namespace {

TEST(HardeningTest, NoCoreFileCanBeWrittenOrAllowedAgain) {
  HardenProcess();
  rlimit limit = {1, 1};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, 0u);
  EXPECT_EQ(limit.rlim_max, 0u);
}

// A core that is piped to a program ignores the limit and obeys only this.
TEST(HardeningTest, ProcessCannotBeDumpedOrDebugged) {
  HardenProcess();
#ifdef __SANITIZE_ADDRESS__
  constexpr int kDumpable = 1;
#else
  constexpr int kDumpable = 0;
#endif
  EXPECT_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), kDumpable);
}

TEST(HardeningTest, NewFilesAreTheOwnersAlone) {
  HardenProcess();
  EXPECT_EQ(umask(0), 077u);
}

}  // namespace
}  // namespace host_stub
