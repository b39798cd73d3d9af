#include "plugin/http/workspace.h"

#include <gtest/gtest.h>

namespace webhook::http {
namespace {

constexpr size_t kLarge = 1024 * 1024;

TEST(WorkspaceTest, LargeBuffersAreGivenBackAndSmallOnesKept) {
  Workspace workspace;
  ASSERT_TRUE(workspace.body.Reserve(kLarge));
  workspace.ShrinkBody();
  EXPECT_EQ(workspace.body.capacity(), 0u);
  ASSERT_TRUE(workspace.body.Reserve(4096));
  workspace.ShrinkBody();
  EXPECT_EQ(workspace.body.capacity(), 4096u);

  workspace.out.assign(kLarge, 'x');
  Workspace::Empty(workspace.out);
  EXPECT_TRUE(workspace.out.empty());
  EXPECT_LT(workspace.out.capacity(), 1024u);
  workspace.out.assign(4000, 'x');
  Workspace::Empty(workspace.out);
  EXPECT_TRUE(workspace.out.empty());
  EXPECT_GE(workspace.out.capacity(), 4000u);
}

}  // namespace
}  // namespace webhook::http
