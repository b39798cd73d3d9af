#include "plugin/runtime/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace webhook::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A host with one context value, which fails or takes its time as a test wants.
class ContextHost {
 public:
  ContextHost() {
    table_.struct_size = sizeof table_;
    table_.context = this;
    table_.context_get = [](void* context, lri_host_instance*, lri_view key, lri_context_done done,
                            void* done_context) {
      EXPECT_EQ(FromView(key), "samples");
      return static_cast<ContextHost*>(context)->Get(done, done_context);
    };
    table_.context_set = [](void* context, lri_host_instance*, lri_view key, lri_view value,
                            lri_context_done done, void* done_context) {
      EXPECT_EQ(FromView(key), "samples");
      return static_cast<ContextHost*>(context)->Set(std::string(FromView(value)), done,
                                                     done_context);
    };
    table_.log = [](void* context, lri_host_instance*, int32_t, lri_view message) {
      ContextHost& host = *static_cast<ContextHost*>(context);
      std::lock_guard lock(host.mutex_);
      host.log_.emplace_back(FromView(message));
    };
  }

  lri_host& table() { return table_; }

  // What the functions return, and what their done tells.
  struct Behaviour {
    int32_t get = LRI_OK;
    int32_t get_done = LRI_OK;
    int32_t set = LRI_OK;
    int32_t set_done = LRI_OK;
    bool hold = false;   // done waits for Release
    bool twice = false;  // done is called a second time
  };

  void Become(const Behaviour& behaviour) {
    std::lock_guard lock(mutex_);
    behaviour_ = behaviour;
  }

  // Calls every done that is held.
  void Release() {
    std::vector<std::function<void()>> held;
    {
      std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (const auto& done : held) done();
  }

  void SetValue(const std::string& value) {
    std::lock_guard lock(mutex_);
    value_ = value;
  }
  std::string value() {
    std::lock_guard lock(mutex_);
    return value_.value_or("");
  }
  std::vector<std::string> log() {
    std::lock_guard lock(mutex_);
    return log_;
  }

  void WaitForGets(int count) {
    Wait([=, this] { return gets_ >= count; });
  }
  void WaitForSets(int count) {
    Wait([=, this] { return sets_ >= count; });
  }
  void WaitForValue() {
    Wait([this] { return value_.has_value(); });
  }
  int gets() {
    std::lock_guard lock(mutex_);
    return gets_;
  }
  int sets() {
    std::lock_guard lock(mutex_);
    return sets_;
  }

 private:
  int32_t Get(lri_context_done done, void* done_context) {
    std::unique_lock lock(mutex_);
    ++gets_;
    changed_.notify_all();
    if (behaviour_.get != LRI_OK)
      return Refuse(std::move(lock), behaviour_.get, done, done_context);
    return Finish(std::move(lock), [=, this] {
      std::unique_lock lock(mutex_);
      int32_t code = behaviour_.get_done;
      if (code == LRI_OK && !value_.has_value()) code = LRI_NOT_FOUND;
      const std::string value = code == LRI_OK ? *value_ : "";
      lock.unlock();
      done(done_context, code, ToView(value));
    });
  }

  int32_t Set(std::string value, lri_context_done done, void* done_context) {
    std::unique_lock lock(mutex_);
    ++sets_;
    changed_.notify_all();
    if (behaviour_.set != LRI_OK)
      return Refuse(std::move(lock), behaviour_.set, done, done_context);
    return Finish(std::move(lock), [=, this] {
      std::unique_lock lock(mutex_);
      const int32_t code = behaviour_.set_done;
      if (code == LRI_OK) value_ = value;
      changed_.notify_all();
      lock.unlock();
      done(done_context, code, {});
    });
  }

  int32_t Refuse(std::unique_lock<std::mutex> lock, int32_t code, lri_context_done done,
                 void* done_context) {
    const bool also_done = behaviour_.twice;
    lock.unlock();
    if (also_done) done(done_context, code, {});
    return code;
  }

  int32_t Finish(std::unique_lock<std::mutex> lock, std::function<void()> done) {
    const int times = behaviour_.twice ? 2 : 1;
    if (behaviour_.hold) {
      held_.insert(held_.end(), times, std::move(done));
    } else {
      lock.unlock();
      for (int i = 0; i < times; ++i) done();
    }
    return LRI_OK;
  }

  void Wait(std::function<bool()> holds) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, holds);
  }

  lri_host table_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  Behaviour behaviour_;
  std::optional<std::string> value_;
  std::vector<std::function<void()>> held_;
  std::vector<std::string> log_;
  int gets_ = 0;
  int sets_ = 0;
};

class SamplesTest : public ::testing::Test {
 protected:
  static constexpr SampleDelays kAtOnce{absl::ZeroDuration(), absl::Milliseconds(1),
                                        absl::Milliseconds(2)};
  static constexpr SampleDelays kMuchLater{absl::Hours(1), absl::Hours(1), absl::Hours(1)};

  std::unique_ptr<Samples> Make(SampleDelays delays = kMuchLater) {
    return std::make_unique<Samples>(abi_host_, nullptr, limits_, tasks_, done_slots_, delays);
  }

  static void Record(Samples& samples, std::initializer_list<absl::string_view> names) {
    std::vector<core::SharedSample> made;
    for (const absl::string_view name : names) {
      const absl::string_view details = R"({"a":1})";
      made.push_back(core::MakeSample(name, "type", "", {&details, 1}, 100));
    }
    samples.Record(made);
  }

  // A command's answer, which may come on another thread.
  struct Result {
    std::mutex mutex;
    std::condition_variable changed;
    int calls = 0;
    int32_t code = -1;
    std::string text;

    void Wait() {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return calls > 0; });
    }
  };

  static void Ask(Samples& samples, Result& result, absl::string_view command = "samples",
                  absl::string_view arguments = "") {
    const auto done = [](void* context, int32_t code, lri_view text) {
      Result& result = *static_cast<Result*>(context);
      std::lock_guard lock(result.mutex);
      ++result.calls;
      result.changed.notify_all();
      result.code = code;
      result.text = std::string(FromView(text));
    };
    EXPECT_EQ(samples.Command(command, arguments, done, &result), LRI_OK);
  }

  static std::vector<std::string> NamesOf(absl::string_view json) {
    std::vector<std::string> names;
    const auto samples = core::ReadSamples(json);
    EXPECT_TRUE(samples.ok()) << json;
    if (!samples.ok()) return names;
    for (const core::SharedSample& sample : *samples) names.push_back(sample->name);
    return names;
  }

  static std::vector<std::string> Names(Samples& samples) {
    Result result;
    Ask(samples, result);
    result.Wait();
    EXPECT_EQ(result.calls, 1);
    EXPECT_EQ(result.code, LRI_OK);
    return NamesOf(result.text);
  }

  static absl::Time Soon() { return absl::Now() + absl::Seconds(30); }

  ContextHost host_;
  Host abi_host_{host_.table()};
  Limits limits_;
  TimerThread tasks_;
  base::ObjectPool<DoneSlot> done_slots_;
};

TEST_F(SamplesTest, SecondCompletionIsIgnoredAndTheInstanceStops) {
  const auto samples = Make(kAtOnce);
  host_.Become({.hold = true, .twice = true});
  samples->Start(true);
  host_.WaitForGets(1);
  host_.Release();
  Record(*samples, {"a"});
  host_.WaitForSets(1);
  host_.Release();
  host_.WaitForValue();
  EXPECT_THAT(Names(*samples), ElementsAre("a"));
  host_.Become({.twice = true});
  EXPECT_TRUE(samples->Stop(Soon()));
}

TEST_F(SamplesTest, CompletionOfARefusedCallCountsOnce) {
  const auto samples = Make(kMuchLater);
  host_.Become({.get = LRI_UNAVAILABLE, .set = LRI_UNAVAILABLE, .twice = true});
  samples->Start(true);
  Record(*samples, {"a"});
  EXPECT_TRUE(samples->Stop(Soon()));
  host_.Become({});
  samples->Start(true);
  host_.WaitForGets(2);
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("a"));
}

TEST_F(SamplesTest, WhatIsDisabledNeverAsksTheHost) {
  const auto samples = Make(kAtOnce);
  samples->Start(false);
  Record(*samples, {"a"});
  EXPECT_THAT(Names(*samples), IsEmpty());
  EXPECT_TRUE(samples->Stop(absl::InfinitePast()));
  EXPECT_EQ(host_.gets() + host_.sets(), 0);
}

TEST_F(SamplesTest, MalformedMapperIsRefused) {
  const auto samples = Make();
  samples->Start(true);
  Result result;
  Ask(*samples, result, "map", "{}");
  EXPECT_EQ(result.code, LRI_INVALID_ARGUMENT);
  EXPECT_THAT(result.text, HasSubstr("mapper"));
  EXPECT_TRUE(samples->Stop(Soon()));
}

TEST_F(SamplesTest, HostWithoutAContextKeepsSamplesInMemoryOnly) {
  for (const bool missing : {false, true}) {
    host_.Become({.get = LRI_UNIMPLEMENTED, .set = LRI_UNIMPLEMENTED});
    if (missing) host_.table().context_get = nullptr;
    if (missing) host_.table().context_set = nullptr;
    const auto samples = Make(kAtOnce);
    samples->Start(true);
    Record(*samples, {"a", "b"});
    EXPECT_THAT(Names(*samples), ElementsAre("b", "a"));
    EXPECT_TRUE(samples->Stop(absl::InfinitePast()));
    EXPECT_EQ(host_.sets(), 0);
    EXPECT_THAT(host_.log(), IsEmpty());
    samples->SetEnabled(false);
    samples->SetEnabled(true);
    EXPECT_THAT(Names(*samples), IsEmpty());
  }
}

TEST_F(SamplesTest, HostThatCanReadButNotWriteIsAskedOnce) {
  host_.Become({.set_done = LRI_UNIMPLEMENTED});
  const auto samples = Make(kAtOnce);
  samples->Start(true);
  Record(*samples, {"a"});
  host_.WaitForSets(1);
  Record(*samples, {"b"});
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_THAT(Names(*samples), ElementsAre("b", "a"));
  EXPECT_LE(host_.sets(), 2);  // b may have come before the first answer
  EXPECT_THAT(host_.log(), IsEmpty());
}

TEST_F(SamplesTest, UnreadableValueIsReportedAndReplaced) {
  host_.SetValue("[{]");
  const auto samples = Make();
  samples->Start(true);
  EXPECT_THAT(host_.log(), ElementsAre(HasSubstr("the kept samples are lost: ")));
  Record(*samples, {"a"});
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("a"));
}

TEST_F(SamplesTest, FailedReadIsTriedAgainAndNothingIsOverwrittenMeanwhile) {
  host_.SetValue(R"([{"name":"old","rawJSON":"{}"}])");
  host_.Become({.get = LRI_UNAVAILABLE});
  const auto samples = Make(kAtOnce);
  samples->Start(true);
  Record(*samples, {"new"});
  host_.WaitForGets(2);
  host_.Become({.get_done = LRI_INTERNAL});
  host_.WaitForGets(4);
  EXPECT_EQ(host_.sets(), 0);
  EXPECT_THAT(Names(*samples), ElementsAre("new"));
  EXPECT_THAT(host_.log(), SizeIs(1));
  host_.Become({});
  host_.WaitForSets(1);
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("new", "old"));
}

TEST_F(SamplesTest, FailedWriteIsTriedAgain) {
  host_.Become({.set = LRI_UNAVAILABLE});
  const auto samples = Make(kAtOnce);
  samples->Start(true);
  Record(*samples, {"a"});
  host_.WaitForSets(2);
  host_.Become({.set_done = LRI_INTERNAL});
  host_.WaitForSets(4);
  EXPECT_THAT(host_.log(), ElementsAre(HasSubstr("cannot be kept")));
  EXPECT_EQ(host_.value(), "");
  host_.Become({});
  host_.WaitForValue();
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("a"));
}

TEST_F(SamplesTest, StopGivesALastWriteThatFailsUp) {
  const auto samples = Make();
  samples->Start(true);
  Record(*samples, {"a"});
  host_.Become({.set = LRI_UNAVAILABLE});
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_EQ(host_.sets(), 1);
}

TEST_F(SamplesTest, StopWaitsForWhatTheHostHas) {
  const auto samples = Make();
  samples->Start(true);
  Record(*samples, {"a"});
  host_.Become({.hold = true});
  EXPECT_FALSE(samples->Stop(absl::InfinitePast()));
  EXPECT_FALSE(samples->Stop(absl::Now() + absl::Milliseconds(5)));
  EXPECT_EQ(host_.sets(), 1);
  host_.Release();
  EXPECT_TRUE(samples->Stop(absl::InfinitePast()));
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("a"));
}

TEST_F(SamplesTest, LateReadMergesBehindWhatCameMeanwhile) {
  host_.SetValue(R"([{"name":"old1","rawJSON":"{}"},)"
                 R"({"name":"new","type":"type","rawJSON":"{\"a\":1}"},)"
                 R"({"name":"old2","rawJSON":"{"  ,"truncated":true}])");
  host_.Become({.hold = true});
  const auto samples = Make();
  samples->Start(true);
  Record(*samples, {"new", "newer"});
  host_.Release();
  EXPECT_THAT(Names(*samples), ElementsAre("newer", "new", "old1", "old2"));
  host_.Become({});
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("newer", "new", "old1", "old2"));
}

TEST_F(SamplesTest, CommandWaitsForTheReadAndIsAnsweredOnce) {
  host_.SetValue(R"([{"name":"old","rawJSON":"{\"a\":5}"}])");
  host_.Become({.hold = true});
  const auto samples = Make();
  samples->Start(true);
  Result listed, fields, mapped;
  Ask(*samples, listed);
  Ask(*samples, fields, "fields");
  Ask(*samples, mapped, "map", R"({"mapper":{"t":"a"}})");
  EXPECT_EQ(listed.calls + fields.calls + mapped.calls, 0);
  host_.Release();
  EXPECT_THAT(NamesOf(listed.text), ElementsAre("old"));
  EXPECT_EQ(fields.text, R"([{"path":"a","types":["number"],"example":"5","count":1}])");
  EXPECT_EQ(mapped.text, R"([{"t":5}])");
  EXPECT_EQ(listed.calls + fields.calls + mapped.calls, 3);
  EXPECT_TRUE(samples->Stop(absl::InfinitePast()));
}

TEST_F(SamplesTest, CommandsThatWaitAreBounded) {
  host_.Become({.hold = true});
  const auto samples = Make();
  samples->Start(true);
  Result result;
  for (int i = 0; i < 64; ++i) Ask(*samples, result);
  const auto done = [](void*, int32_t, lri_view) { FAIL() << "done without OK"; };
  EXPECT_EQ(samples->Command("samples", "", done, nullptr), LRI_UNAVAILABLE);
  host_.Release();
  EXPECT_EQ(result.calls, 64);
  EXPECT_TRUE(samples->Stop(absl::InfinitePast()));
}

TEST_F(SamplesTest, SamplesSurviveARestart) {
  {
    const auto samples = Make();
    samples->Start(true);
    for (int i = 0; i < 25; ++i) Record(*samples, {"s" + std::to_string(i)});
    EXPECT_THAT(Names(*samples), SizeIs(20));
    EXPECT_TRUE(samples->Stop(Soon()));
  }
  const auto samples = Make();
  samples->Start(true);
  EXPECT_THAT(Names(*samples), SizeIs(20));
  EXPECT_EQ(Names(*samples).front(), "s24");
  EXPECT_EQ(Names(*samples).back(), "s5");
  EXPECT_TRUE(samples->Stop(Soon()));
}

TEST_F(SamplesTest, OneWriteIsAtTheHostAtATimeAndTheNextHoldsAllThatCame) {
  const auto samples = Make(kAtOnce);
  samples->Start(true);
  host_.Become({.hold = true});
  Record(*samples, {"a"});
  host_.WaitForSets(1);
  for (const char* name : {"b", "c", "d"}) Record(*samples, {name});
  EXPECT_EQ(host_.sets(), 1);
  host_.Release();
  host_.WaitForSets(2);
  host_.Release();
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_EQ(host_.sets(), 2);
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("d", "c", "b", "a"));
}

TEST_F(SamplesTest, TurnedOffTheyAreKeptForTheNextTime) {
  const auto samples = Make();
  samples->Start(true);
  Record(*samples, {"a"});
  samples->SetEnabled(false);
  Record(*samples, {"b"});
  EXPECT_THAT(Names(*samples), IsEmpty());
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_THAT(NamesOf(host_.value()), ElementsAre("a"));
  samples->Start(false);
  EXPECT_THAT(Names(*samples), IsEmpty());
  samples->SetEnabled(true);
  EXPECT_THAT(Names(*samples), ElementsAre("a"));
  EXPECT_TRUE(samples->Stop(Soon()));
}

TEST_F(SamplesTest, ManyThreadsRecordAtTheSameTime) {
  const auto samples = Make(kAtOnce);
  samples->Start(true);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 200; ++i) {
        Record(*samples, {std::to_string(thread) + "." + std::to_string(i)});
        if (i % 50 == 0) Names(*samples);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> names = Names(*samples);
  EXPECT_THAT(names, SizeIs(20));
  EXPECT_TRUE(samples->Stop(Soon()));
  EXPECT_EQ(NamesOf(host_.value()), names);
}

}  // namespace
}  // namespace webhook::runtime
