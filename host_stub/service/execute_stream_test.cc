// The stream of requests, over a real connection.
#include <set>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "host_stub/service/execute_rpcs.h"
#include "host_stub/service/testing/grpc_test_client.h"

namespace host_stub {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;

v1::ExecuteStreamRequest StreamMessage(uint64_t id, const std::string& instance = "first") {
  v1::ExecuteStreamRequest message;
  message.set_correlation_id(id);
  message.mutable_request()->set_instance(instance);
  message.mutable_request()->set_body("{}");
  return message;
}

TEST_F(GrpcServerTest, AStreamAnswersEachRequestAndOutlivesThoseThatFail) {
  grpc::ClientContext context;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  const auto stream = stub->ExecuteStream(&context);
  std::thread writer([&] {
    for (uint64_t id = 0; id < 200; ++id) {
      stream->Write(StreamMessage(id, id % 10 == 0 ? "nobody" : "first"));
    }
    v1::ExecuteStreamRequest empty;
    empty.set_correlation_id(200);
    stream->Write(empty);
    stream->WritesDone();
  });
  std::set<uint64_t> answered;
  v1::ExecuteStreamResponse response;
  while (stream->Read(&response)) {
    const uint64_t id = response.correlation_id();
    EXPECT_TRUE(answered.insert(id).second) << id;
    if (id == 200) {
      EXPECT_EQ(response.failure().code(), StatusCode::INVALID_ARGUMENT);
    } else if (id % 10 == 0) {
      EXPECT_EQ(response.failure().code(), StatusCode::NOT_FOUND);
    } else {
      EXPECT_EQ(response.response().status(), 200);
    }
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answered.size(), 201u);
  EXPECT_EQ(server_.store().last_id(), 180);
}

class ShortStreamTest : public GrpcServerTest {
 protected:
  ShortStreamTest() : GrpcServerTest(Short()) {}
  static webhook::Limits Short() {
    webhook::Limits limits;
    limits.stream_calls_in_flight = 2;
    return limits;
  }
};

TEST_F(ShortStreamTest, AStreamReadsNoFurtherThanItsLimitInFlight) {
  server_.store().Hold();
  grpc::ClientContext context;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  const auto stream = stub->ExecuteStream(&context);
  for (uint64_t id = 0; id < 6; ++id) ASSERT_TRUE(stream->Write(StreamMessage(id)));
  stream->WritesDone();
  v1::ExecuteStreamResponse response;
  for (int answered = 0; answered < 4; ++answered) {
    server_.store().AwaitHeld(2);
    server_.store().ReleaseOne();
    ASSERT_TRUE(stream->Read(&response));
  }
  server_.store().ReleaseAll();
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(server_.store().most_held(), 2);
}

TEST_F(GrpcServerTest, AStreamMessagesOwnTimeoutFailsThatMessageAlone) {
  server_.store().Hold();
  grpc::ClientContext context;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  const auto stream = stub->ExecuteStream(&context);
  v1::ExecuteStreamRequest message = StreamMessage(7);
  message.mutable_timeout()->set_nanos(50'000'000);
  ASSERT_TRUE(stream->Write(message));
  v1::ExecuteStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.failure().code(), StatusCode::DEADLINE_EXCEEDED);
  server_.store().ReleaseAll();
  ASSERT_TRUE(stream->Write(StreamMessage(8)));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.response().status(), 200);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcServerTest, DrainAnswersWhatAStreamHasInFlightAndRefusesWhatIsNew) {
  server_.store().Hold();
  grpc::ClientContext context;
  const auto channel = Public();
  const auto stub = v1::LongRunningIntegration::NewStub(channel);
  const auto stream = stub->ExecuteStream(&context);
  ASSERT_TRUE(stream->Write(StreamMessage(1)));
  server_.store().AwaitHeld(1);
  std::thread drainer(
      [&] { EXPECT_TRUE(server_.server().Drain(absl::Now() + absl::Seconds(60)).ok()); });
  while (Health(channel, "") == 1) continue;
  server_.store().ReleaseAll();
  v1::ExecuteStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.response().status(), 200);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
  drainer.join();
}

TEST_F(GrpcServerTest, DrainAtItsDeadlineTellsAStreamWhatIsNotKnown) {
  server_.store().Hold();
  grpc::ClientContext context;
  const auto stub = v1::LongRunningIntegration::NewStub(Public());
  const auto stream = stub->ExecuteStream(&context);
  for (const uint64_t id : {1, 2}) ASSERT_TRUE(stream->Write(StreamMessage(id)));
  server_.store().AwaitHeld(2);
  EXPECT_EQ(server_.server().Drain(absl::Now()).code(), absl::StatusCode::kDeadlineExceeded);
  std::set<uint64_t> answered;
  v1::ExecuteStreamResponse response;
  while (stream->Read(&response)) {
    answered.insert(response.correlation_id());
    EXPECT_EQ(response.failure().code(), StatusCode::UNAVAILABLE);
    EXPECT_THAT(response.failure().message(),
                HasSubstr("it is not known whether incidents were created"));
  }
  EXPECT_EQ(answered, std::set<uint64_t>({1, 2}));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the host is stopping");
}

}  // namespace
}  // namespace host_stub
