// Every bad plugin is refused, or survived, with a line that says what it did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/testing/engine_test_util.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class BadPluginTest : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<HostedPlugin>> Load(absl::string_view name) {
    return HostedPlugin::Load(absl::StrCat("tests/bad_plugins/", name, ".so"), PluginOptions(),
                              test_.services);
  }
  std::string Refusal(absl::string_view name) {
    auto plugin = Load(name);
    EXPECT_FALSE(plugin.ok()) << name;
    return plugin.ok() ? "" : std::string(plugin.status().message());
  }
  std::shared_ptr<HostedInstance> Start(absl::string_view name) {
    auto plugin = Load(name);
    EXPECT_TRUE(plugin.ok()) << plugin.status();
    auto instance = (*plugin)->CreateInstance(TestSpec("hook"));
    EXPECT_TRUE(instance.ok()) << instance.status();
    EXPECT_TRUE((*instance)->Start().ok());
    return *std::move(instance);
  }
  absl::Status Execute(HostedInstance& instance, WaitingReceiver& receiver) {
    return instance.Execute(request_.request(), &receiver, &call_);
  }
  absl::Status Stop(HostedInstance& instance) {
    return instance.Stop(absl::Now() + absl::Milliseconds(20));
  }
  std::vector<std::string> Lines() { return test_.logger->lines(); }

  TestServices test_;
  TestRequest request_{"{}"};
  CallHandle call_;
};

// Refused when loaded.

TEST_F(BadPluginTest, FileWithoutTheSymbolIsRefused) {
  EXPECT_THAT(Refusal("no_symbol"),
              AllOf(HasSubstr("no_symbol.so"), HasSubstr("has no symbol lri_plugin_entry_v1")));
}

TEST_F(BadPluginTest, PluginOfAnotherMajorVersionIsRefused) {
  EXPECT_THAT(Refusal("other_major"), HasSubstr("version 2 of the plugin interface, and this "
                                                "host speaks version 1"));
}

TEST_F(BadPluginTest, PluginThatFindsTheHostTooOldIsRefused) {
  EXPECT_THAT(Refusal("entry_returns_null"),
              AllOf(HasSubstr("refuses this host"), HasSubstr("use a newer host")));
}

TEST_F(BadPluginTest, ShortTableIsRefused) {
  EXPECT_THAT(Refusal("short_table"),
              AllOf(HasSubstr("its table of functions has"), HasSubstr("use a newer plugin")));
}

TEST_F(BadPluginTest, MissingFunctionIsNamed) {
  EXPECT_THAT(Refusal("null_function"), HasSubstr("its function execute is NULL"));
}

TEST_F(BadPluginTest, ReasonOfAPluginThatDoesNotBeginIsShown) {
  EXPECT_THAT(Refusal("plugin_create_fails"),
              AllOf(HasSubstr("plugin_create_fails.so"), HasSubstr("\"body_megabytes\"")));
}

// Refused when an instance is made.

TEST_F(BadPluginTest, ReasonOfARefusedConfigurationIsOneBoundedLine) {
  auto plugin = Load("create_fails");
  ASSERT_TRUE(plugin.ok());
  const absl::Status status = (*plugin)->CreateInstance(TestSpec("hook")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("longRunningPort is in use\\x0aERROR"), Not(HasSubstr("\n"))));
}

TEST_F(BadPluginTest, InstanceThatIsNotThereIsAFault) {
  auto plugin = Load("create_gives_nothing");
  ASSERT_TRUE(plugin.ok());
  EXPECT_EQ((*plugin)->CreateInstance(TestSpec("hook")).status().code(),
            absl::StatusCode::kInternal);
}

// Survived.

TEST_F(BadPluginTest, SecondAnswerIsLoggedAndIgnored) {
  auto instance = Start("completes_twice");
  for (int i = 0; i < 3; ++i) {
    WaitingReceiver receiver;
    ASSERT_TRUE(Execute(*instance, receiver).ok());
    EXPECT_EQ(receiver.answers(), 1);
    EXPECT_TRUE(receiver.released());
  }
  EXPECT_EQ(Lines().size(), 3u);
  EXPECT_THAT(Lines(), Contains(HasSubstr("answered a call that waits for no answer")));
  EXPECT_TRUE(Stop(*instance).ok());
}

TEST_F(BadPluginTest, StaleAndInventedHandlesAnswerNobody) {
  auto instance = Start("completes_stale");
  for (int i = 0; i < 3; ++i) {
    WaitingReceiver receiver;
    ASSERT_TRUE(Execute(*instance, receiver).ok());
    EXPECT_EQ(receiver.answers(), 1);
  }
  EXPECT_EQ(Lines().size(), 9u);
  EXPECT_TRUE(Stop(*instance).ok());
}

TEST_F(BadPluginTest, AnswerAfterAnAbandonmentReleasesTheRequestOnly) {
  auto instance = Start("completes_late");
  WaitingReceiver receiver;
  ASSERT_TRUE(Execute(*instance, receiver).ok());
  EXPECT_TRUE(instance->Abandon(call_));
  receiver.AwaitRelease();
  EXPECT_EQ(receiver.answers(), 0);
  EXPECT_FALSE(instance->Abandon(call_));
  EXPECT_EQ(instance->counts().abandoned, 1);
  EXPECT_TRUE(Stop(*instance).ok());
}

TEST_F(BadPluginTest, ForgottenCallIsAnswered503WhenTheInstanceStops) {
  auto instance = Start("never_completes");
  WaitingReceiver receiver, abandoned;
  ASSERT_TRUE(Execute(*instance, receiver).ok());
  ASSERT_TRUE(Execute(*instance, abandoned).ok());
  EXPECT_TRUE(instance->Abandon(call_));
  EXPECT_EQ(Stop(*instance).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(receiver.answers(), 1);
  EXPECT_EQ(receiver.status(), 503);
  EXPECT_FALSE(receiver.released());
  EXPECT_EQ(abandoned.answers(), 0);
  EXPECT_THAT(Lines(), Contains(HasSubstr("never answered 2 calls")));
  instance.reset();
  EXPECT_THAT(Lines(), Contains(HasSubstr("stays in the process until it ends")));
}

TEST_F(BadPluginTest, PluginThatRefusesToStopStaysLoaded) {
  auto instance = Start("refuses_to_stop");
  const absl::Status status = Stop(*instance);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1 call is in flight"));
  instance.reset();
  EXPECT_THAT(Lines(), Contains(AllOf(HasSubstr("refuses_to_stop.so"),
                                      HasSubstr("\"hook\" cannot be drained"))));
}

TEST_F(BadPluginTest, PluginThatHangsInStopIsLeftBehind) {
  auto instance = Start("hangs_in_stop");
  EXPECT_EQ(Stop(*instance).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(Stop(*instance).ok());
  instance.reset();
  EXPECT_THAT(Lines(), Contains(HasSubstr("function stop does not return")));
  EXPECT_THAT(Lines(), Contains(HasSubstr("stays in the process until it ends")));
}

TEST_F(BadPluginTest, AnswerThatWouldForgeAHeaderBecomes500) {
  auto instance = Start("unusable_answer");
  WaitingReceiver receiver;
  ASSERT_TRUE(Execute(*instance, receiver).ok());
  EXPECT_EQ(receiver.status(), 500);
  EXPECT_THAT(receiver.body(), Not(HasSubstr("Set-Cookie")));
  EXPECT_THAT(Lines(), Contains(HasSubstr("a header has a control character")));
  EXPECT_TRUE(Stop(*instance).ok());
}

TEST_F(BadPluginTest, AnswerBeforeARefusalCounts) {
  auto instance = Start("answers_and_refuses");
  WaitingReceiver receiver;
  ASSERT_TRUE(Execute(*instance, receiver).ok());
  EXPECT_EQ(receiver.answers(), 1);
  EXPECT_EQ(instance->counts().faults, 1);
  EXPECT_TRUE(Stop(*instance).ok());
}

TEST_F(BadPluginTest, BatchesThatCannotBeAreRefused) {
  auto instance = Start("bad_batches");
  WaitingReceiver receiver;
  ASSERT_TRUE(Execute(*instance, receiver).ok());
  EXPECT_EQ(receiver.body(), "fine");
  EXPECT_EQ(test_.services.store->last_id(), 0);
  EXPECT_TRUE(Stop(*instance).ok());
}

TEST_F(BadPluginTest, SecondResultOfACommandIsIgnored) {
  auto instance = Start("command_answers_twice");
  int results = 0;
  ASSERT_TRUE(instance->RunCommand("test", "", [&](auto) { ++results; }).ok());
  EXPECT_EQ(results, 1);
  EXPECT_THAT(Lines(), Contains(HasSubstr("a second result of a command")));
}

// A plugin must not let an exception out: the process ends, and its last line names the plugin.

class ThrowingPluginTest : public BadPluginTest {
 protected:
  // Each death test starts the program again, because this one has threads.
  ThrowingPluginTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  static std::string Line(absl::string_view function) {
    return absl::StrCat("plugin .*/throws_in_", function, "\\.so: its function ", function,
                        " threw an exception \\(out of luck\\)");
  }
  // One that serves, up to where it throws.
  std::shared_ptr<HostedInstance> Throwing(absl::string_view function) {
    return Start(absl::StrCat("throws_in_", function));
  }
};

TEST_F(ThrowingPluginTest, ExceptionsWhileLoadingEndTheProcess) {
  for (const char* function : {"info", "plugin_create"}) {
    EXPECT_DEATH(Load(absl::StrCat("throws_in_", function)).IgnoreError(), Line(function));
  }
}

TEST_F(ThrowingPluginTest, ExceptionsInCreateAndStartEndTheProcess) {
  for (const char* function : {"create", "start"}) EXPECT_DEATH(Throwing(function), Line(function));
}

TEST_F(ThrowingPluginTest, ExceptionsOnTheWayOfARequestEndTheProcess) {
  EXPECT_DEATH(
      {
        RecordingHeadReceiver receiver;
        HeadVerdict verdict;
        Throwing("check_head")->CheckHead(RequestHead(), &receiver, &verdict).IgnoreError();
      },
      Line("check_head"));
  WaitingReceiver receiver;
  EXPECT_DEATH(Execute(*Throwing("execute"), receiver).IgnoreError(), Line("execute"));
  EXPECT_DEATH(
      {
        auto instance = Throwing("cancel");
        EXPECT_TRUE(Execute(*instance, receiver).ok());
        instance->Abandon(call_);
      },
      Line("cancel"));
}

TEST_F(ThrowingPluginTest, ExceptionsInDescribeCommandAndUpdateEndTheProcess) {
  EXPECT_DEATH(Throwing("describe")->Describe().IgnoreError(), Line("describe"));
  EXPECT_DEATH(Throwing("command")->RunCommand("test", "", [](auto) {}).IgnoreError(),
               Line("command"));
  EXPECT_DEATH(
      {
        auto instance = Throwing("update_prepare");
        InstanceSpec spec = TestSpec("hook");
        spec.uid = instance->uid();
        instance->PrepareUpdate(spec).IgnoreError();
      },
      Line("update_prepare"));
}

TEST_F(ThrowingPluginTest, ExceptionsWhileItStopsAndEndsEndTheProcess) {
  for (const char* function : {"stop", "destroy", "plugin_destroy"}) {
    EXPECT_DEATH(
        {
          auto instance = Throwing(function);
          Stop(*instance).IgnoreError();
          instance.reset();
        },
        Line(function));
  }
}

TEST_F(ThrowingPluginTest, ExceptionInACompletionEndsTheProcess) {
  WaitingReceiver receiver;
  EXPECT_DEATH(
      Execute(*Start("throws_in_done"), receiver).IgnoreError(),
      "plugin .*/throws_in_done\\.so: its function done \\(of create_incidents\\) threw an "
      "exception \\(of an unknown type\\)");
}

}  // namespace
}  // namespace host_stub
