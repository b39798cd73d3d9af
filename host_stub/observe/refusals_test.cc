#include "host_stub/observe/refusals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct LineKeeper : Logger {
  void Log(Severity, absl::string_view instance, absl::string_view message) override {
    lines.push_back(absl::StrCat("[", instance, "] ", message));
  }
  std::vector<std::string> lines;
};

lri_view View(absl::string_view text) { return {text.data(), text.size()}; }

lri_answered Refused(lri_reason reason, absl::string_view peer = "192.0.2.7") {
  lri_answered answered{};
  answered.struct_size = sizeof answered;
  answered.door = LRI_DOOR_FRONT;
  answered.request_id = View("http-1-7");
  answered.peer_address = View(peer);
  answered.method = View("POST");
  answered.path = View("/instance/execute/webhook");
  answered.header_names = {nullptr, 0, sizeof(lri_view)};
  answered.status = 401;
  answered.reason = reason;
  answered.detail = View("no password matches");
  return answered;
}

class RefusalsTest : public testing::Test {
 protected:
  void Add(lri_reason reason, absl::string_view instance = "webhook",
           absl::string_view peer = "192.0.2.7") {
    refusals_.Add(instance, Refused(reason, peer), now_);
  }
  RefusalPage List(const RefusalQuery& query = {}) {
    auto page = refusals_.List(query);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *std::move(page) : RefusalPage{};
  }
  static std::vector<int64_t> NumbersOf(const RefusalPage& page) {
    std::vector<int64_t> numbers;
    for (const Refusal& refusal : page.refusals) numbers.push_back(refusal.number);
    return numbers;
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::shared_ptr<LineKeeper> log_ = std::make_shared<LineKeeper>();
  Refusals refusals_{10, log_};
};

TEST_F(RefusalsTest, APositionThatIsNoneIsRefused) {
  for (const char* position : {"x", "refusals:", "refusals:abc", "refusals:abc:-1", "after:7"}) {
    EXPECT_EQ(refusals_.List({.position = position}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << position;
  }
}

TEST_F(RefusalsTest, EachIsKeptWithWhatIsKnownOfIt) {
  lri_answered answered = Refused(LRI_REASON_CREDENTIALS);
  const lri_view names[] = {View("Host"), View("Authorization")};
  answered.header_names = {names, std::size(names), sizeof(lri_view)};
  answered.trace_id = View("4bf92f3577b34da6a3ce929d0e0e4736");
  answered.duration_ns = 1'500'000;
  refusals_.Add("webhook", answered, now_);
  const RefusalPage page = List();
  ASSERT_EQ(page.refusals.size(), 1u);
  const Refusal& refusal = page.refusals[0];
  EXPECT_EQ(refusal.number, 1);
  EXPECT_EQ(refusal.time, now_);
  EXPECT_EQ(refusal.instance, "webhook");
  EXPECT_EQ(refusal.request_id, "http-1-7");
  EXPECT_EQ(refusal.peer, "192.0.2.7");
  EXPECT_EQ(refusal.path, "/instance/execute/webhook");
  EXPECT_THAT(refusal.header_names, ElementsAre("Host", "Authorization"));
  EXPECT_EQ(refusal.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(refusal.status, 401);
  EXPECT_EQ(refusal.detail, "no password matches");
  EXPECT_EQ(refusal.duration, absl::Microseconds(1'500));
}

TEST_F(RefusalsTest, AFloodOfOneKindDoesNotWashAwayAnother) {
  Add(LRI_REASON_CREDENTIALS);
  for (int i = 0; i < 100; ++i) Add(LRI_REASON_UNKNOWN_PATH, "");
  const RefusalPage page = List();
  EXPECT_EQ(page.refusals.size(), 10u);
  EXPECT_EQ(page.refusals[0].reason, LRI_REASON_CREDENTIALS);
  EXPECT_EQ(page.refusals[0].number, 1);
  EXPECT_EQ(page.refusals[9].number, 101);
}

TEST_F(RefusalsTest, AFloodOfManyKindsIsBoundedToo) {
  for (int i = 0; i < 100; ++i) {
    Add(i % 2 == 0 ? LRI_REASON_METHOD : LRI_REASON_ADDRESS, i % 3 == 0 ? "a" : "b");
  }
  EXPECT_EQ(List().refusals.size(), 10u);
}

TEST_F(RefusalsTest, ANewKindIsSeenEvenWhereManyKindsHaveOneEach) {
  for (int i = 0; i < 10; ++i) Add(LRI_REASON_METHOD, absl::StrCat("instance-", i));
  const std::string position = List().position;
  Add(LRI_REASON_CREDENTIALS, "z");
  const RefusalPage page = List();
  ASSERT_EQ(page.refusals.size(), 10u);
  EXPECT_EQ(page.refusals[0].instance, "instance-1");
  EXPECT_EQ(page.refusals[9].instance, "z");
  // The oldest made room, and its kind is gone.
  EXPECT_FALSE(List({.position = position}).gap);
  EXPECT_TRUE(List({.position = page.position.substr(0, page.position.rfind(':')) + ":0"}).gap);
}

TEST_F(RefusalsTest, AListIsFilteredByInstanceAndReason) {
  Add(LRI_REASON_CREDENTIALS, "a");
  Add(LRI_REASON_METHOD, "a");
  Add(LRI_REASON_CREDENTIALS, "b");
  EXPECT_THAT(NumbersOf(List({.instance = "a"})), ElementsAre(1, 2));
  EXPECT_THAT(NumbersOf(List({.reason = LRI_REASON_CREDENTIALS})), ElementsAre(1, 3));
  EXPECT_THAT(NumbersOf(List({.instance = "b", .reason = LRI_REASON_METHOD})), IsEmpty());
}

TEST_F(RefusalsTest, WithoutAPositionTheLastOnesComeAndWithItThoseThatFollow) {
  for (int i = 0; i < 5; ++i) Add(LRI_REASON_METHOD);
  const RefusalPage last = List({.limit = 2});
  EXPECT_THAT(NumbersOf(last), ElementsAre(4, 5));
  EXPECT_THAT(NumbersOf(List({.position = last.position})), IsEmpty());
  for (int i = 0; i < 3; ++i) Add(LRI_REASON_ADDRESS);
  const RefusalPage next = List({.position = last.position, .limit = 2});
  EXPECT_THAT(NumbersOf(next), ElementsAre(6, 7));
  EXPECT_FALSE(next.gap);
  EXPECT_THAT(NumbersOf(List({.position = next.position})), ElementsAre(8));
}

TEST_F(RefusalsTest, AFollowerIsToldOfAGapAndOfARestart) {
  Add(LRI_REASON_METHOD);
  const std::string position = List().position;
  for (int i = 0; i < 20; ++i) Add(LRI_REASON_METHOD);
  const RefusalPage page = List({.position = position});
  EXPECT_TRUE(page.gap);
  EXPECT_EQ(page.refusals.size(), 10u);
  Refusals again(10, log_);
  again.Add("webhook", Refused(LRI_REASON_METHOD), now_);
  const auto restarted = again.List({.position = position});
  ASSERT_TRUE(restarted.ok());
  EXPECT_TRUE(restarted->gap);
  EXPECT_THAT(NumbersOf(*restarted), ElementsAre(1));
}

TEST_F(RefusalsTest, OneLineAMinuteForEachKindAndNetworkTellsWhatWasLeftOut) {
  Add(LRI_REASON_CREDENTIALS);
  Add(LRI_REASON_CREDENTIALS);
  Add(LRI_REASON_CREDENTIALS, "webhook", "2001:db8::1");
  Add(LRI_REASON_CREDENTIALS, "webhook", "2001:db8::2");  // the same network
  Add(LRI_REASON_CREDENTIALS, "other");
  ASSERT_EQ(log_->lines.size(), 3u);
  EXPECT_EQ(log_->lines[0],
            "[webhook] a request from 192.0.2.7 was refused: no password matches (401 credentials, "
            "http-1-7)");
  now_ += absl::Minutes(1);
  Add(LRI_REASON_CREDENTIALS);
  ASSERT_EQ(log_->lines.size(), 4u);
  EXPECT_THAT(log_->lines[3], HasSubstr("(1 more like this was left out)"));
}

TEST_F(RefusalsTest, AFloodFromManyNetworksHasABoundedNumberOfLines) {
  for (int i = 0; i < 1'000; ++i) {
    Add(LRI_REASON_CREDENTIALS, "webhook", absl::StrCat("10.1.", i / 250, ".", i % 250));
  }
  EXPECT_EQ(log_->lines.size(), 65u);  // 64 networks, and one line for all others
  Add(LRI_REASON_METHOD);
  EXPECT_EQ(log_->lines.size(), 66u);  // another reason has lines of its own
}

TEST_F(RefusalsTest, AClockThatIsSetBackDoesNotSilenceTheLog) {
  Add(LRI_REASON_CREDENTIALS);
  now_ -= absl::Hours(1);
  Add(LRI_REASON_CREDENTIALS);
  EXPECT_EQ(log_->lines.size(), 2u);
}

}  // namespace
}  // namespace host_stub
