// IncidentService over a real connection.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "host_stub/service/testing/grpc_test_client.h"
#include "host_stub/store/position.h"
#include "long_running_integration/v1/incident.grpc.pb.h"

namespace host_stub {
namespace {

using ::grpc::StatusCode;
using ::testing::HasSubstr;

TEST_F(GrpcServerTest, FollowLeavesOutNothingAndEndsWithTheDrain) {
  v1::ExecuteResponse response;
  ASSERT_TRUE(Execute(Request("{\"n\":1}"), &response).ok());
  ASSERT_TRUE(Execute(Request("{\"n\":2}"), &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::FollowIncidentsRequest request;
  request.set_after_id("1");
  grpc::ClientContext context;
  const auto from_second = stub->FollowIncidents(&context, request);
  grpc::ClientContext live_context;
  const auto live = stub->FollowIncidents(&live_context, {});
  live->WaitForInitialMetadata();
  v1::ExecuteRequest other = Request("{\"n\":3}");
  other.set_instance("second");
  ASSERT_TRUE(Execute(other, &response).ok());

  v1::FollowIncidentsResponse followed;
  ASSERT_TRUE(from_second->Read(&followed));
  EXPECT_EQ(followed.incident().raw_json(), "{\"n\":2}");
  ASSERT_TRUE(from_second->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "3");
  ASSERT_TRUE(live->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "3");
  EXPECT_TRUE(server_.server().Drain(absl::Now() + absl::Seconds(60)).ok());
  EXPECT_FALSE(live->Read(&followed));
  EXPECT_EQ(live->Finish().error_code(), StatusCode::UNAVAILABLE);
}

// An export would end well with nothing, and a follower begin with what is old.
TEST_F(GrpcServerTest, FollowOfAStoreThatCannotBeReadIsUnavailable) {
  const auto stub = v1::IncidentService::NewStub(Control());
  server_.store().unreadable = true;
  for (const bool stop_at_end : {true, false}) {
    v1::FollowIncidentsRequest request;
    request.set_stop_at_end(stop_at_end);
    grpc::ClientContext context;
    const auto follow = stub->FollowIncidents(&context, request);
    v1::FollowIncidentsResponse followed;
    EXPECT_FALSE(follow->Read(&followed));
    EXPECT_EQ(follow->Finish().error_code(), StatusCode::UNAVAILABLE);
  }
}

// The name of a deleted instance is nobody's, or another's; its uid stays with its incidents.
TEST_F(GrpcServerTest, IncidentsOfAnInstanceAreFoundByItsUid) {
  v1::ExecuteResponse response;
  v1::ExecuteRequest other = Request();
  other.set_instance("second");
  ASSERT_TRUE(Execute(Request(), &response).ok());
  ASSERT_TRUE(Execute(other, &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  const auto list = [&stub](const std::string& uid, const std::string& name = "") {
    v1::ListIncidentsRequest request;
    request.set_instance_uid(uid);
    request.set_instance(name);
    grpc::ClientContext context;
    v1::ListIncidentsResponse incidents;
    const grpc::Status status = stub->ListIncidents(&context, request, &incidents);
    return std::pair(status.error_code(), incidents);
  };
  const auto [code, all] = list("");
  ASSERT_EQ(all.incidents_size(), 2);
  const auto [found_code, found] = list(all.incidents(0).instance_uid());
  ASSERT_EQ(found.incidents_size(), 1);
  EXPECT_EQ(found.incidents(0).id(), all.incidents(0).id());
  EXPECT_EQ(list("no such uid").second.incidents_size(), 0);
  EXPECT_EQ(list("uid", "second").first, StatusCode::INVALID_ARGUMENT);
}

TEST_F(GrpcServerTest, FollowOfOneInstanceSkipsTheOthers) {
  v1::ExecuteResponse response;
  v1::ExecuteRequest other = Request();
  other.set_instance("second");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(Execute(Request(), &response).ok());
  ASSERT_TRUE(Execute(other, &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::FollowIncidentsRequest request;
  request.set_after_id("0");
  request.set_instance("second");
  grpc::ClientContext context;
  const auto reader = stub->FollowIncidents(&context, request);
  v1::FollowIncidentsResponse followed;
  ASSERT_TRUE(reader->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "6");
  ASSERT_TRUE(Execute(other, &response).ok());
  ASSERT_TRUE(reader->Read(&followed));
  EXPECT_EQ(followed.incident().id(), "7");
}

// Begins a stream, and reads it to its end or until there are `most` responses.
struct Followed {
  std::vector<v1::FollowIncidentsResponse> responses;
  StatusCode code = StatusCode::OK;  // if it ended
};
Followed Follow(const std::shared_ptr<grpc::Channel>& channel,
                const v1::FollowIncidentsRequest& request, size_t most = SIZE_MAX) {
  const auto stub = v1::IncidentService::NewStub(channel);
  grpc::ClientContext context;
  const auto reader = stub->FollowIncidents(&context, request);
  Followed followed;
  v1::FollowIncidentsResponse response;
  while (followed.responses.size() < most && reader->Read(&response)) {
    followed.responses.push_back(response);
  }
  if (followed.responses.size() == most) {
    context.TryCancel();
    reader->Finish();
  } else {
    followed.code = reader->Finish().error_code();
  }
  return followed;
}

TEST_F(GrpcServerTest, FilterOrPositionThatCannotBeReadIsRefusedWithItsField) {
  const auto stub = v1::IncidentService::NewStub(Control());
  const auto refusal = [&](const auto& set) {
    v1::FollowIncidentsRequest follow;
    set(follow);
    grpc::ClientContext context;
    const auto reader = stub->FollowIncidents(&context, follow);
    v1::FollowIncidentsResponse response;
    EXPECT_FALSE(reader->Read(&response));
    const grpc::Status status = reader->Finish();
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
    return status.error_message();
  };
  using Request = v1::FollowIncidentsRequest;
  for (const char* where : {"", "a", "a[=1", "a,b=1"}) {
    EXPECT_THAT(refusal([&](Request& r) {
                  r.mutable_filter()->add_where("a=1");
                  r.mutable_filter()->add_where(where);
                }),
                HasSubstr("filter.where[1]: "));
  }
  EXPECT_THAT(refusal([](Request& r) {
                for (int i = 0; i < 17; ++i) r.mutable_filter()->add_where("a=1");
              }),
              HasSubstr("at most 16"));
  EXPECT_THAT(refusal([](Request& r) { r.mutable_filter()->set_created_since("yesterday"); }),
              HasSubstr("filter.created_since: "));
  EXPECT_THAT(refusal([](Request& r) { r.mutable_filter()->set_created_before("2024-05-01"); }),
              HasSubstr("filter.created_before: "));
  EXPECT_THAT(refusal([](Request& r) { r.set_position("1-0123456789abcdef-0"); }),
              HasSubstr("position: is no position of this store"));
  EXPECT_THAT(refusal([](Request& r) {
                r.set_position("1");
                r.set_after_id("1");
              }),
              HasSubstr("together with after_id"));
  v1::ListIncidentsRequest list;
  list.mutable_filter()->add_where("a");
  grpc::ClientContext context;
  v1::ListIncidentsResponse page;
  EXPECT_EQ(stub->ListIncidents(&context, list, &page).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(GrpcServerTest, ListTakesAFilter) {
  v1::ExecuteResponse response;
  for (const char* body : {R"({"a":[{"b":1}]})", R"({"a":[{"b":2}]})", "{}"}) {
    ASSERT_TRUE(Execute(Request(body), &response).ok());
  }
  const auto stub = v1::IncidentService::NewStub(Control());
  const auto count = [&stub](const auto& set) {
    v1::ListIncidentsRequest request;
    set(*request.mutable_filter());
    grpc::ClientContext context;
    v1::ListIncidentsResponse page;
    EXPECT_TRUE(stub->ListIncidents(&context, request, &page).ok());
    return page.incidents_size();
  };
  using Filter = v1::IncidentFilter;
  EXPECT_EQ(count([](Filter& filter) { filter.set_name_contains("CHO"); }), 3);
  EXPECT_EQ(count([](Filter& filter) { filter.set_name_contains("disk"); }), 0);
  EXPECT_EQ(count([](Filter& filter) { filter.add_where("a[0].b=2"); }), 1);
  EXPECT_EQ(count([](Filter& filter) { filter.set_type("none"); }), 0);
  EXPECT_EQ(count([](Filter& filter) { filter.set_created_since("2024-05-01T10:00:00Z"); }), 3);
  EXPECT_EQ(count([](Filter& filter) { filter.set_created_before("2024-05-01T10:00:00Z"); }), 0);
}

TEST_F(GrpcServerTest, StreamContinuesAfterThePositionThatItToldAndFilterMovesItOn) {
  v1::ExecuteResponse response;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Execute(Request(), &response).ok());
  v1::FollowIncidentsRequest request;
  request.set_after_id("0");
  Followed followed = Follow(Control(), request, 2);
  ASSERT_EQ(followed.responses.size(), 2u);
  request.clear_after_id();
  request.set_position(followed.responses[1].position());
  followed = Follow(Control(), request, 1);
  ASSERT_EQ(followed.responses.size(), 1u);
  EXPECT_EQ(followed.responses[0].incident().id(), "3");

  request.mutable_filter()->set_type("none");
  request.set_tell_positions(true);
  followed = Follow(Control(), request, 2);
  ASSERT_EQ(followed.responses.size(), 2u);
  EXPECT_EQ(followed.responses[0].position(), request.position());
  EXPECT_FALSE(followed.responses[1].has_incident());
  EXPECT_EQ(followed.responses[1].position(), PositionAfter(server_.store(), 3));

  // From now on: the position is told at once.
  v1::FollowIncidentsRequest live;
  live.set_tell_positions(true);
  followed = Follow(Control(), live, 1);
  ASSERT_EQ(followed.responses.size(), 1u);
  EXPECT_FALSE(followed.responses[0].has_incident());
  EXPECT_EQ(followed.responses[0].position(), PositionAfter(server_.store(), 3));
}

TEST_F(GrpcServerTest, ReaderWhomRetentionHasPassedIsToldAndNothingIsSkipped) {
  v1::ExecuteResponse response;
  const std::string large = "\"" + std::string(100'000, 'x') + "\"";
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Execute(Request(large), &response).ok());
  const std::string position = PositionAfter(server_.store(), 1);
  server_.store().SetRetention({.bytes = 1'000'000});
  ASSERT_TRUE(server_.store().List({.limit = 1}).ok());
  ASSERT_GT(server_.store().statistics().deleted_incidents, 5);
  v1::FollowIncidentsRequest request;
  request.set_stop_at_end(true);
  request.set_position(position);
  EXPECT_EQ(Follow(Control(), request).code, StatusCode::OUT_OF_RANGE);
  request.clear_position();
  request.set_after_id("2");
  EXPECT_EQ(Follow(Control(), request).code, StatusCode::OUT_OF_RANGE);
  request.set_after_id("0");
  const Followed rest = Follow(Control(), request);
  EXPECT_EQ(rest.code, StatusCode::OK);
  EXPECT_EQ(rest.responses.size(),
            20 - static_cast<size_t>(server_.store().statistics().deleted_incidents));
  request.clear_after_id();
  request.set_position("1-" + server_.store().identity() + "-21");
  EXPECT_EQ(Follow(Control(), request).code, StatusCode::OUT_OF_RANGE);
}

TEST_F(GrpcServerTest, FollowerThatRetentionOvertakesIsTold) {
  v1::ExecuteResponse response;
  const std::string large = "\"" + std::string(1'000'000, 'x') + "\"";
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Execute(Request(large), &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::FollowIncidentsRequest request;
  request.set_after_id("0");
  grpc::ClientContext context;
  const auto reader = stub->FollowIncidents(&context, request);
  v1::FollowIncidentsResponse followed;
  ASSERT_TRUE(reader->Read(&followed));
  // More than gRPC and the page hold are still to come.
  server_.store().SetRetention({.bytes = 1'500'000});
  ASSERT_TRUE(server_.store().List({.limit = 1}).ok());
  int64_t last = 1;
  while (reader->Read(&followed)) {
    EXPECT_EQ(followed.incident().id(), absl::StrCat(++last));
  }
  EXPECT_LT(last, 39);
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::OUT_OF_RANGE);
}

TEST_F(GrpcServerTest, ExportReturnsWhatIsThereAndEnds) {
  v1::FollowIncidentsRequest request;
  request.set_stop_at_end(true);
  Followed followed = Follow(Control(), request);
  EXPECT_TRUE(followed.responses.empty());
  EXPECT_EQ(followed.code, StatusCode::OK);

  v1::ExecuteResponse response;
  for (int i = 0; i < 250; ++i) ASSERT_TRUE(Execute(Request(), &response).ok());
  followed = Follow(Control(), request);
  EXPECT_EQ(followed.code, StatusCode::OK);
  ASSERT_EQ(followed.responses.size(), 250u);
  EXPECT_EQ(followed.responses[0].incident().id(), "1");
  EXPECT_EQ(followed.responses[0].incident().raw_json(), "{}");
  EXPECT_EQ(followed.responses[124].progress(), 0.5);
  EXPECT_EQ(followed.responses[249].progress(), 1);

  request.set_tell_positions(true);
  request.mutable_filter()->set_type("none");
  followed = Follow(Control(), request);
  EXPECT_EQ(followed.code, StatusCode::OK);
  ASSERT_EQ(followed.responses.size(), 2u);
  EXPECT_EQ(followed.responses[0].progress(), 0);
  EXPECT_EQ(followed.responses[1].progress(), 1);
}

TEST_F(GrpcServerTest, ListShowsTheNewestFirstPageByPageWithoutDetails) {
  v1::ExecuteResponse response;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Execute(Request(), &response).ok());
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::ListIncidentsRequest request;
  request.set_page_size(2);
  std::string ids;
  do {
    grpc::ClientContext context;
    v1::ListIncidentsResponse page;
    ASSERT_TRUE(stub->ListIncidents(&context, request, &page).ok());
    for (const v1::Incident& incident : page.incidents()) {
      absl::StrAppend(&ids, incident.id(), " ");
      EXPECT_EQ(incident.raw_json(), "");
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(ids, "3 2 1 ");
  for (const auto& [token, size, instance, code] :
       {std::tuple("x", 0, "", StatusCode::INVALID_ARGUMENT),
        std::tuple("", -1, "", StatusCode::INVALID_ARGUMENT),
        std::tuple("", 0, "a b", StatusCode::INVALID_ARGUMENT),
        std::tuple("", 0, "nobody", StatusCode::NOT_FOUND),
        std::tuple("", 0, "third_disabled", StatusCode::OK)}) {
    request.set_page_token(token);
    request.set_page_size(size);
    request.set_instance(instance);
    grpc::ClientContext context;
    v1::ListIncidentsResponse page;
    EXPECT_EQ(stub->ListIncidents(&context, request, &page).error_code(), code);
  }
}

TEST_F(GrpcServerTest, ReadsOfCallersThatAreGoneAreNotMadeAndTheServerMayEndMeanwhile) {
  server_.store().HoldReads(true);
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::GetIncidentRequest request;
  request.set_id("1");
  // Two for the pool's threads; the others wait for a thread, longer than their callers do.
  std::vector<std::thread> callers;
  const auto get = [&](int milliseconds) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(milliseconds));
    v1::Incident incident;
    EXPECT_FALSE(stub->GetIncident(&context, request, &incident).ok());
  };
  callers.emplace_back(get, 60'000);
  callers.emplace_back(get, 60'000);
  server_.store().AwaitReads(2);
  for (int i = 0; i < 4; ++i) get(20);
  std::thread stopper([&] { server_.StopServer(); });
  for (std::thread& caller : callers) caller.join();
  server_.store().HoldReads(false);
  stopper.join();
  EXPECT_EQ(server_.store().reads(), 2);
}

TEST_F(GrpcServerTest, AReadThatDoesNotReturnDoesNotHoldUpTheEnd) {
  server_.store().HoldReads(true);
  const auto stub = v1::IncidentService::NewStub(Control());
  v1::GetIncidentRequest request;
  request.set_id("1");
  grpc::ClientContext context;
  std::thread caller([&] {
    v1::Incident incident;
    EXPECT_FALSE(stub->GetIncident(&context, request, &incident).ok());
  });
  server_.store().AwaitReads(1);
  server_.StopServer();
  caller.join();
  server_.store().HoldReads(false);
}

}  // namespace
}  // namespace host_stub
