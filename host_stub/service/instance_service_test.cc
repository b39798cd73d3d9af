// InstanceService over a real connection.
#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "host_stub/service/testing/grpc_test_client.h"
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
  EXPECT_EQ(page.next_page_token(), "after:first");
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

TEST_F(GrpcServerTest, WhatIsNoNameNoPageAndNoTokenIsRefused) {
  const auto stub = v1::InstanceService::NewStub(Control());
  v1::GetInstanceRequest get;
  get.set_name("a b");
  grpc::ClientContext get_context;
  v1::Instance none;
  const grpc::Status status = stub->GetInstance(&get_context, get, &none);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("name: must be"));
  for (const auto& [size, token] : {std::pair(-1, ""), std::pair(0, "a b"), std::pair(0, "junk"),
                                    std::pair(0, "after:"), std::pair(0, "after:a b")}) {
    v1::ListInstancesRequest list;
    list.set_page_size(size);
    list.set_page_token(token);
    grpc::ClientContext context;
    v1::ListInstancesResponse page;
    EXPECT_EQ(stub->ListInstances(&context, list, &page).error_code(),
              StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(GrpcServerTest, PagesGoOnAfterTheirTokenAndTellEveryState) {
  const auto stub = v1::InstanceService::NewStub(Control());
  v1::ListInstancesRequest list;
  list.set_page_size(3);
  std::string states;
  do {
    grpc::ClientContext context;
    v1::ListInstancesResponse page;
    ASSERT_TRUE(stub->ListInstances(&context, list, &page).ok());
    for (const v1::Instance& instance : page.instances()) {
      states += instance.name() + "=" + v1::InstanceState_Name(instance.health().state()) + " ";
    }
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(states,
            "first=INSTANCE_STATE_HEALTHY second=INSTANCE_STATE_HEALTHY "
            "third_disabled=INSTANCE_STATE_DISABLED unserved=INSTANCE_STATE_UNHEALTHY ");
}

TEST_F(GrpcServerTest, InstancesOfAHostThatDrainsAreDraining) {
  const auto stub = v1::InstanceService::NewStub(Control());
  server_.server().BeginDrain();
  v1::GetInstanceRequest get;
  get.set_name("first");
  grpc::ClientContext context;
  v1::Instance instance;
  ASSERT_TRUE(stub->GetInstance(&context, get, &instance).ok());
  EXPECT_EQ(instance.health().state(), v1::INSTANCE_STATE_DRAINING);
}

}  // namespace
}  // namespace host_stub
