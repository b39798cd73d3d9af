// InstanceService over a real connection.
#include <grpcpp/grpcpp.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "host_stub/service/grpc_test_client.h"
#include "long_running_integration/v1/instance.grpc.pb.h"

namespace host_stub {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(GrpcServerTest, InstancesAreShownWithoutTheirSecrets) {
  const auto stub = v1::InstanceService::NewStub(Control());
  v1::ListInstancesRequest request;
  request.set_page_size(1);
  grpc::ClientContext context;
  v1::ListInstancesResponse page;
  ASSERT_TRUE(stub->ListInstances(&context, request, &page).ok());
  ASSERT_EQ(page.instances_size(), 1);
  EXPECT_EQ(page.next_page_token(), "first");
  const v1::Instance& instance = page.instances(0);
  EXPECT_EQ(instance.parameters().at("username"), "user");
  EXPECT_EQ(instance.secrets_set_size(), 1);
  EXPECT_EQ(instance.secrets_set(0), "password");
  EXPECT_THAT(page.SerializeAsString(), Not(HasSubstr("secret-word")));
  EXPECT_EQ(instance.health().state(), v1::INSTANCE_STATE_HEALTHY);

  grpc::ClientContext missing_context;
  v1::GetInstanceRequest missing;
  missing.set_name("nobody");
  v1::Instance none;
  EXPECT_EQ(stub->GetInstance(&missing_context, missing, &none).error_code(),
            StatusCode::NOT_FOUND);
  grpc::ClientContext create_context;
  EXPECT_EQ(stub->CreateInstance(&create_context, {}, &none).error_code(),
            StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace host_stub
