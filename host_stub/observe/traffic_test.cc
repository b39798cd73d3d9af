#include "host_stub/observe/traffic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace host_stub {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct NoLog : Logger {
  void Log(Severity, absl::string_view, absl::string_view) override {}
};

lri_answered Answered(int status, lri_reason reason, int64_t duration_ns = 0) {
  lri_answered answered{};
  answered.struct_size = sizeof answered;
  answered.door = LRI_DOOR_FRONT;
  answered.method = {"POST", 4};
  answered.header_names = {nullptr, 0, sizeof(lri_view)};
  answered.status = status;
  answered.reason = reason;
  answered.bytes_received = 100;
  answered.duration_ns = duration_ns;
  return answered;
}

class TrafficTest : public testing::Test {
 protected:
  Traffic traffic_{10, std::make_shared<NoLog>()};
};

TEST_F(TrafficTest, EachOutcomeIsCountedAtItsDoor) {
  TrafficCounts counts;
  lri_answered connection = Answered(0, LRI_REASON_TOO_MANY_CONNECTIONS);
  connection.door = LRI_DOOR_LISTEN;
  for (const lri_answered& answered :
       {Answered(200, LRI_REASON_ANSWERED), Answered(200, LRI_REASON_DUPLICATE),
        Answered(200, LRI_REASON_DROPPED), Answered(200, LRI_REASON_HANDSHAKE),
        Answered(401, LRI_REASON_CREDENTIALS), Answered(503, LRI_REASON_OVERLOAD), connection}) {
    traffic_.OnAnswered("webhook", &counts, answered);
  }
  for (int outcome = 0; outcome < static_cast<int>(Outcome::kUnanswered); ++outcome) {
    EXPECT_EQ(counts.of(LRI_DOOR_FRONT, static_cast<Outcome>(outcome)), 1)
        << OutcomeName(static_cast<Outcome>(outcome));
  }
  EXPECT_EQ(counts.of(LRI_DOOR_LISTEN, Outcome::kUnanswered), 1);
  EXPECT_EQ(counts.bytes_received(), 700);
  EXPECT_THAT(traffic_.without_instance().reasons(), IsEmpty());
}

TEST_F(TrafficTest, OnlyWhatIsRefusedIsKept) {
  TrafficCounts counts;
  traffic_.OnAnswered("webhook", &counts, Answered(200, LRI_REASON_ANSWERED));
  traffic_.OnAnswered("webhook", &counts, Answered(200, LRI_REASON_DUPLICATE));
  traffic_.OnAnswered("webhook", &counts, Answered(401, LRI_REASON_CREDENTIALS));
  traffic_.OnAnswered("", nullptr, Answered(404, LRI_REASON_UNKNOWN_PATH));
  const auto page = traffic_.refusals().List({});
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->refusals.size(), 2u);
  EXPECT_EQ(page->refusals[0].reason, LRI_REASON_CREDENTIALS);
  EXPECT_EQ(page->refusals[1].instance, "");
  EXPECT_THAT(traffic_.without_instance().reasons(), UnorderedElementsAre(Pair("unknown_path", 1)));
}

TEST_F(TrafficTest, AReasonOfANewerPluginCountsAsOther) {
  TrafficCounts counts;
  traffic_.OnAnswered("webhook", &counts, Answered(400, static_cast<lri_reason>(999)));
  traffic_.OnAnswered("webhook", &counts, Answered(400, static_cast<lri_reason>(-1)));
  EXPECT_THAT(counts.reasons(), UnorderedElementsAre(Pair("other", 2)));
}

TEST_F(TrafficTest, DurationsOfAllThreadsAddUpInTheirBuckets) {
  TrafficCounts counts;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        traffic_.OnAnswered("webhook", &counts, Answered(200, LRI_REASON_ANSWERED, 250'000));
        traffic_.OnAnswered("webhook", &counts, Answered(200, LRI_REASON_ANSWERED, 250'001));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  traffic_.OnAnswered("webhook", &counts, Answered(299, LRI_REASON_ANSWERED, 20'000'000'000));
  int series_seen = 0;
  traffic_.durations().ForEach([&](const RequestDurations::Series& series) {
    ++series_seen;
    EXPECT_EQ(series.method, "POST");
    EXPECT_EQ(series.route, RequestDurations::Route::kInstance);
    if (series.status == "200") {
      EXPECT_EQ(series.durations.counts[0], 400);
      EXPECT_EQ(series.durations.counts[1], 400);
      EXPECT_EQ(series.durations.sum, 400 * 500'001);
    } else {
      EXPECT_EQ(series.status, "_OTHER");
      EXPECT_EQ(series.durations.counts.back(), 1);
    }
  });
  EXPECT_EQ(series_seen, 2);
}

}  // namespace
}  // namespace host_stub
