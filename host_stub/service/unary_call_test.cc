// What is kept of a call for the next.
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "host_stub/service/execute_rpcs.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

class UnaryCallTest : public testing::Test {
 protected:
  UnaryCall call_{std::make_shared<GrpcServerContext>()};
};

TEST_F(UnaryCallTest, ALargeRequestIsNotKept) {
  call_.request()->set_body(std::string(5'000, 'x'));
  EXPECT_FALSE(call_.Recycle());
}

TEST_F(UnaryCallTest, ALargeAnswerIsNotKept) {
  call_.response()->add_headers()->set_value(std::string(5'000, 'x'));
  EXPECT_FALSE(call_.Recycle());
}

TEST_F(UnaryCallTest, WhatThisVersionDoesNotKnowCountsAsWell) {
  v1::ExecuteRequest& request = *call_.request();
  request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(
      99, std::string(5'000, 'x'));
  EXPECT_FALSE(call_.Recycle());
}

// Each keeps the room that it once had.
TEST_F(UnaryCallTest, ManyHeadersAreNotKept) {
  for (int i = 0; i < 100; ++i) call_.request()->add_headers();
  EXPECT_FALSE(call_.Recycle());
}

TEST_F(UnaryCallTest, WhatIsKeptIsEmpty) {
  call_.request()->set_body("{}");
  call_.request()->add_headers()->set_name("Authorization");
  call_.response()->set_status(200);
  ASSERT_TRUE(call_.Recycle());
  EXPECT_EQ(call_.request()->ByteSizeLong(), 0u);
  EXPECT_EQ(call_.response()->ByteSizeLong(), 0u);
}

}  // namespace
}  // namespace host_stub
