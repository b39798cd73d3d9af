#include "host_stub/engine/pending_calls.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "host_stub/engine/border.h"

namespace host_stub {
namespace {

class SilentLogger : public Logger {
 public:
  void Log(Severity, absl::string_view, absl::string_view) override {}
};

class CountingReceiver : public AnswerReceiver {
 public:
  void OnAnswer(const Answer& answer) override {
    ++answers;
    status = answer.status;
  }
  void OnRequestReleased() override { ++releases; }

  std::atomic<int> answers{0};
  std::atomic<int> releases{0};
  int status = 0;
};

class PendingCallsTest : public testing::Test {
 protected:
  PendingCallsTest() : record_("uid", "name", "brand", logger_), ok_() {
    ok_.struct_size = sizeof(ok_);
    ok_.status = 200;
  }
  CallHandle Begin() {
    return PendingCalls::FromAbi(calls_.Begin(Request(), record_, &receiver_)->call);
  }

  SilentLogger logger_;
  InstanceRecord record_;
  PendingCalls calls_;
  CountingReceiver receiver_;
  lri_answer ok_;
};

TEST_F(PendingCallsTest, SecondAnswerIsRecognised) {
  const CallHandle call = Begin();
  EXPECT_TRUE(calls_.Complete(call, &ok_));
  EXPECT_FALSE(calls_.Complete(call, &ok_));
  EXPECT_EQ(receiver_.answers, 1);
  EXPECT_EQ(receiver_.releases, 1);
}

TEST_F(PendingCallsTest, StaleHandleDoesNotAnswerTheNextCallOfItsSlot) {
  const CallHandle stale = Begin();
  EXPECT_TRUE(calls_.Complete(stale, &ok_));
  const CallHandle next = Begin();
  EXPECT_FALSE(calls_.Complete(stale, &ok_));
  EXPECT_FALSE(calls_.Abandon(stale));
  EXPECT_EQ(receiver_.answers, 1);
  EXPECT_TRUE(calls_.Complete(next, &ok_));
}

TEST_F(PendingCallsTest, HandleThatNeverWasIsRecognised) {
  EXPECT_FALSE(calls_.Complete(CallHandle{0}, &ok_));
  Begin();
  for (uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 62, UINT64_MAX}) {
    EXPECT_FALSE(calls_.Complete(CallHandle{value}, &ok_)) << value;
  }
  EXPECT_EQ(receiver_.answers, 0);
}

TEST_F(PendingCallsTest, AbandonedCallIsReleasedByItsLateAnswerAndNotAnswered) {
  const CallHandle call = Begin();
  EXPECT_TRUE(calls_.Abandon(call));
  EXPECT_FALSE(calls_.Abandon(call));
  EXPECT_EQ(receiver_.releases, 0);
  EXPECT_EQ(record_.counts().calls_in_flight, 1);
  EXPECT_TRUE(calls_.Complete(call, &ok_));
  EXPECT_EQ(receiver_.answers, 0);
  EXPECT_EQ(receiver_.releases, 1);
  EXPECT_EQ(record_.counts().calls_in_flight, 0);
  EXPECT_FALSE(calls_.Complete(call, &ok_));
}

TEST_F(PendingCallsTest, WithdrawnCallCountsAsNeverBegun) {
  const CallHandle call = Begin();
  EXPECT_TRUE(calls_.Withdraw(call));
  EXPECT_FALSE(calls_.Complete(call, &ok_));
  EXPECT_EQ(receiver_.answers + receiver_.releases, 0);
  EXPECT_EQ(record_.counts().calls, 0);
}

TEST_F(PendingCallsTest, AbandonAllAnswersTheCallsOfThatInstanceOnly) {
  InstanceRecord other("uid2", "other", "brand", logger_);
  CountingReceiver other_receiver;
  const CallHandle call = Begin();
  calls_.Begin(Request(), other, &other_receiver);
  const Answer answer = PlainAnswer(503, LRI_REASON_INSTANCE_STOPPED, "stopped");
  calls_.AbandonAll(record_, answer);
  EXPECT_EQ(receiver_.answers, 1);
  EXPECT_EQ(receiver_.status, 503);
  EXPECT_EQ(other_receiver.answers, 0);
  EXPECT_EQ(receiver_.releases, 0);
  EXPECT_TRUE(calls_.Complete(call, &ok_));
  EXPECT_EQ(receiver_.answers, 1);
  EXPECT_EQ(receiver_.releases, 1);
}

// Refuses the call, as the plugin, at the very moment at which AbandonAll answers it.
class RefusingReceiver : public CountingReceiver {
 public:
  explicit RefusingReceiver(PendingCalls& calls) : calls_(calls) {}
  void OnAnswer(const Answer& answer) override {
    CountingReceiver::OnAnswer(answer);
    withdrawn = calls_.Withdraw(call);
  }

  CallHandle call;
  bool withdrawn = true;

 private:
  PendingCalls& calls_;
};

TEST_F(PendingCallsTest, CallThatIsRefusedWhileAbandonAllAnswersItIsReleasedOnce) {
  RefusingReceiver receiver(calls_);
  receiver.call = PendingCalls::FromAbi(calls_.Begin(Request(), record_, &receiver)->call);
  const Answer answer = PlainAnswer(503, LRI_REASON_INSTANCE_STOPPED, "stopped");
  calls_.AbandonAll(record_, answer);
  EXPECT_FALSE(receiver.withdrawn);
  EXPECT_EQ(receiver.answers, 1);
  EXPECT_EQ(receiver.releases, 1);
  EXPECT_EQ(record_.counts().calls_in_flight, 0);
}

TEST_F(PendingCallsTest, UnusableAnswerBecomes500) {
  ok_.status = 7;
  EXPECT_TRUE(calls_.Complete(Begin(), &ok_));
  EXPECT_EQ(receiver_.status, 500);
  EXPECT_EQ(record_.counts().faults, 1);
}

TEST_F(PendingCallsTest, RequestIsCopiedMemberByMember) {
  const lri_pair header = {ToView("A"), ToView("b")};
  Request request;
  request.head.method = "PUT";
  request.head.query = "q=1";
  request.head.headers = {&header, 1};
  request.head.deadline_mono_ns = 5;
  request.body = "body";
  request.head_ticket = 9;
  const lri_request* abi = calls_.Begin(request, record_, &receiver_);
  EXPECT_EQ(abi->struct_size, sizeof(lri_request));
  EXPECT_EQ(abi->head->struct_size, sizeof(lri_request_head));
  EXPECT_EQ(ToStringView(abi->head->method), "PUT");
  EXPECT_EQ(ToStringView(abi->head->query), "q=1");
  EXPECT_EQ(abi->head->headers.count, 1u);
  EXPECT_EQ(abi->head->deadline_mono_ns, 5);
  EXPECT_EQ(ToStringView(abi->body), "body");
  EXPECT_EQ(abi->head_ticket, 9u);
}

// Of everything that may happen to a call at once, exactly one answers it and one releases it.
TEST_F(PendingCallsTest, RacesOfAnswersAndAbandonmentsHaveOneWinner) {
  constexpr int kRounds = 1'000;
  const Answer stopped = PlainAnswer(503, LRI_REASON_INSTANCE_STOPPED, "stopped");
  for (int round = 0; round < kRounds; ++round) {
    auto receiver = std::make_unique<CountingReceiver>();
    const CallHandle call =
        PendingCalls::FromAbi(calls_.Begin(Request(), record_, receiver.get())->call);
    std::atomic<int> ready{0};
    std::array<bool, 3> won{};
    const auto race = [&](int runner, auto action) {
      return std::thread([&, runner, action] {
        ++ready;
        while (ready < 3) std::this_thread::yield();
        won[runner] = action();
      });
    };
    std::array<std::thread, 3> threads = {
        race(0, [&] { return calls_.Complete(call, &ok_); }),
        race(1, [&] { return calls_.Abandon(call); }),
        race(2, [&] { return calls_.AbandonAll(record_, stopped), true; })};
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(won[0]);
    ASSERT_EQ(receiver->answers, won[1] ? 0 : 1);
    ASSERT_EQ(receiver->releases, 1);
  }
  EXPECT_EQ(record_.counts().calls_in_flight, 0);
}

class PendingCommandsTest : public testing::Test {
 protected:
  void* Begin() {
    return commands_.Begin([this](absl::StatusOr<std::string> result) {
      results_.push_back(result.ok() ? *result : "failed");
    });
  }

  SilentLogger logger_;
  PendingCommands commands_{logger_};
  std::vector<std::string> results_;
};

TEST_F(PendingCommandsTest, FirstResultOfACommandCounts) {
  void* const command = Begin();
  PendingCommands::Done(command, LRI_OK, ToView("first"));
  PendingCommands::Done(command, LRI_OK, ToView("second"));
  EXPECT_FALSE(commands_.Withdraw(command));
  EXPECT_EQ(results_, std::vector<std::string>{"first"});
}

TEST_F(PendingCommandsTest, StaleContextDoesNotEndALaterCommand) {
  void* const stale = Begin();
  PendingCommands::Done(stale, LRI_OK, ToView("first"));
  void* const next = Begin();
  EXPECT_NE(next, stale);
  PendingCommands::Done(stale, LRI_OK, ToView("stale"));
  EXPECT_TRUE(commands_.Withdraw(next));
  PendingCommands::Done(next, LRI_OK, ToView("withdrawn"));
  EXPECT_EQ(results_, std::vector<std::string>{"first"});
}

}  // namespace
}  // namespace host_stub
