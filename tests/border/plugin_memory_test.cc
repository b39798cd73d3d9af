// Memory runs out in the plugin: the first allocation of a call fails, then the second, and so on
// until the call needs no more. Each time the outcome is a clean one, and the next call works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/border/abi_host.h"
#include "tests/border/failing_allocations.h"

namespace border {
namespace {

using ::testing::AnyOf;

// More allocations than any of these calls makes.
constexpr int64_t kMany = 20'000;

// Runs `call` with failing allocations until it made fewer than would fail. `check` gets whether
// one failed.
void UntilItSucceeds(const std::function<void()>& call, const std::function<void(bool)>& check) {
  for (const auto fail : {&FailNth, &FailFrom}) {
    for (int64_t n = 1;; ++n) {
      ASSERT_LT(n, kMany);
      SCOPED_TRACE(testing::Message() << (fail == &FailNth ? "the one " : "from ") << n);
      fail(n);
      call();
      const bool failed = StopFailing();
      check(failed);
      if (testing::Test::HasFatalFailure() || testing::Test::HasNonfatalFailure()) return;
      if (!failed) break;
    }
  }
}

class PluginMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    lri_plugin_options options{};
    options.struct_size = sizeof options;
    options.io_threads = 1;
    ASSERT_EQ(library_->plugin_create(host_.table(), &options, &plugin_, nullptr), LRI_OK);
  }
  void TearDown() override {
    if (instance_ != nullptr) {
      EXPECT_EQ(library_->stop(instance_, 0, nullptr), LRI_OK);
      library_->destroy(instance_);
    }
    library_->plugin_destroy(plugin_);
  }

  void Start(Pairs parameters) {
    Options options(std::move(parameters));
    lri_error error{sizeof(lri_error), {}};
    ASSERT_EQ(library_->create(plugin_, options.abi(), &instance_, &error), LRI_OK)
        << error.message;
    ASSERT_EQ(library_->start(instance_, nullptr), LRI_OK);
  }

  // Every execute ends in one answer, or none where it was refused; and then the next one works.
  void CheckExecute(Post& post, int status) {
    int32_t code = LRI_OK;
    UntilItSucceeds([&] { code = library_->execute(instance_, post.abi()); },
                    [&](bool failed) {
                      const auto answers = host_.TakeAnswers();
                      ASSERT_EQ(answers.size(), code == LRI_OK ? 1u : 0u) << code;
                      if (failed) {
                        EXPECT_THAT(code, AnyOf(LRI_OK, LRI_UNAVAILABLE, LRI_RESOURCE_EXHAUSTED));
                        if (code == LRI_OK) {
                          EXPECT_THAT(answers[0].status, AnyOf(status, 500, 503));
                        }
                        ASSERT_EQ(library_->execute(instance_, post.abi()), LRI_OK);
                        EXPECT_EQ(host_.TakeAnswers().at(0).status, status);
                      } else {
                        ASSERT_EQ(code, LRI_OK);
                        EXPECT_EQ(answers[0].status, status);
                      }
                    });
  }

  LoadedPlugin library_;
  AbiHost host_;
  lri_plugin* plugin_ = nullptr;
  lri_instance* instance_ = nullptr;
};

std::string Batch(int incidents) {
  std::string body = "[";
  for (int i = 0; i < incidents; ++i) {
    body += R"({"name":"a name that is \"escaped\" and longer than a short string","type":"T",)"
            R"("occurred":"yesterday","rawJson":{"id":)" +
            std::to_string(i) + R"(,"headers":{"x":1},"text":"abcdefghijklmnopqrstuvwxyz"}},)";
  }
  body.back() = ']';
  return body;
}

TEST_F(PluginMemoryTest, RequestEndsInOneAnswer) {
  Start(Basic());
  Post post(R"({"name":"n","rawJson":{"a":1}})", {BasicHeader()});
  CheckExecute(post, 200);
}

TEST_F(PluginMemoryTest, BatchWithEverythingEndsInOneAnswer) {
  Pairs parameters = Basic();
  parameters.push_back({"store_samples", "true"});
  parameters.push_back({"duplication_key", "id"});
  parameters.push_back({"mirror_direction", "Incoming And Outgoing"});
  parameters.push_back({"mirror_instance", "other"});
  Start(parameters);
  Post post(Batch(100), {BasicHeader(), {"X-One", "1"}, {"X-One", "2"}, {"Cookie", "secret"}});
  CheckExecute(post, 200);
}

TEST_F(PluginMemoryTest, RefusalsAreAnswered) {
  Start(Basic());
  Post unauthorized("{}", {{"Authorization", "Basic bm9ib2R5OmF0IGFsbCBmcm9tIGhlcmU="}});
  CheckExecute(unauthorized, 401);
  Post wrong(R"([{"rawJson":[1]},{}])", {BasicHeader()});
  CheckExecute(wrong, 400);
  Post unknown("{}", {BasicHeader(), {"Content-Encoding", "compress"}});
  CheckExecute(unknown, 415);
}

TEST_F(PluginMemoryTest, CompressedBodyEndsInOneAnswer) {
  Start(Basic());
  // {"name":"zipped","rawJson":{"a":[1,2,3]}}
  const std::string zipped(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x4b\xcc\x4d\x55\xb2\x52\xaa\xca\x2c\x28"
      "\x48\x4d\x51\xd2\x51\x2a\x4a\x2c\xf7\x2a\xce\xcf\x53\xb2\xaa\x56\x4a\x54\xb2\x8a\x36\xd4\x31"
      "\xd2\x31\x8e\xad\xad\x05\x00\xfe\xbf\xec\x7c\x29\x00\x00\x00",
      61);
  Post post(zipped, {BasicHeader(), {"Content-Encoding", "gzip"}});
  CheckExecute(post, 200);
}

TEST_F(PluginMemoryTest, FailedCreationEndsInOneAnswer) {
  Start(Basic());
  host_.create = [](const lri_incident_batch&) { return int32_t{LRI_UNAVAILABLE}; };
  Post post("{}", {BasicHeader()});
  CheckExecute(post, 503);
  host_.create = [](const lri_incident_batch& batch) {
    lri_create_result result{};
    result.struct_size = sizeof result;
    result.outcome = LRI_NOT_CREATED;
    result.code = LRI_UNAVAILABLE;
    result.message = {"the disk is full", 16};
    batch.done(batch.done_context, &result);
    return int32_t{LRI_OK};
  };
  CheckExecute(post, 503);
}

TEST_F(PluginMemoryTest, HeadIsJudgedOrNotAtAll) {
  Start(Basic());
  Pairs many = {{"Authorization", "Basic bm8="}};
  for (int i = 0; i < 100; ++i) many.emplace_back("X-" + std::to_string(i), "value");
  Post refused("{}", many);
  many[0] = BasicHeader();
  Post taken("{}", many);
  for (Post* post : {&refused, &taken}) {
    int32_t code = LRI_OK;
    int calls = 0;
    lri_head_verdict verdict{};
    const auto judge = [&] {
      calls = 0;
      verdict = {sizeof verdict, 0, 0, 0};
      code = library_->check_head(
          instance_, post->head(),
          [](void* calls, const lri_answer*) { ++*static_cast<int*>(calls); }, &calls, &verdict);
    };
    UntilItSucceeds(judge, [&](bool failed) {
      if (failed && code != LRI_OK) {
        EXPECT_EQ(calls, 0);
        return judge();
      }
      EXPECT_EQ(code, LRI_OK);
      EXPECT_EQ(verdict.refused, post == &refused ? 1u : 0u);
      EXPECT_EQ(calls, post == &refused ? 1 : 0);
    });
  }
}

// ---- control ------------------------------------------------------------------------------------

TEST_F(PluginMemoryTest, PluginIsMadeWholeOrNotAtAll) {
  const std::string name = "body_bytes", value = "1000";
  const lri_pair limit{View(name), View(value)};
  lri_plugin_options options{sizeof options, 1, {&limit, 1, sizeof limit}};
  lri_plugin* plugin = nullptr;
  int32_t code = LRI_OK;
  UntilItSucceeds(
      [&] {
        plugin = nullptr;
        code = library_->plugin_create(host_.table(), &options, &plugin, nullptr);
      },
      [&](bool failed) {
        EXPECT_THAT(code, AnyOf(LRI_OK, failed ? LRI_RESOURCE_EXHAUSTED : LRI_OK));
        EXPECT_EQ(plugin != nullptr, code == LRI_OK);
        if (plugin != nullptr) library_->plugin_destroy(plugin);
      });
}

Pairs Everything(const std::string& password) {
  return {{"username", "user"},
          {"password", password},
          {"passwords", R"([{"password":"another","expires":"2999-01-01T00:00:00Z"}])"},
          {"incidentType", "a type that is longer than a short string"},
          {"store_samples", "true"},
          {"duplication_key", "id,name"},
          {"mirror_direction", "Incoming"},
          {"mirror_tags", "one,two"}};
}

TEST_F(PluginMemoryTest, InstanceIsMadeWholeOrNotAtAll) {
  Options options(Everything("pass"));
  UntilItSucceeds(
      [&] {
        lri_instance* instance = nullptr;
        lri_error error{sizeof(lri_error), {}};
        const int32_t code = library_->create(plugin_, options.abi(), &instance, &error);
        EXPECT_EQ(instance != nullptr, code == LRI_OK) << error.message;
        if (instance != nullptr) library_->destroy(instance);
      },
      [](bool) {});
}

TEST_F(PluginMemoryTest, InstanceThatCouldNotStartStartsLater) {
  Options options([] {
    Pairs parameters = Basic();
    parameters.push_back({"store_samples", "true"});
    return parameters;
  }());
  ASSERT_EQ(library_->create(plugin_, options.abi(), &instance_, nullptr), LRI_OK);
  Post post("{}", {BasicHeader()});
  int32_t code = LRI_OK;
  UntilItSucceeds([&] { code = library_->start(instance_, nullptr); },
                  [&](bool) {
                    if (code != LRI_OK) {
                      EXPECT_EQ(library_->execute(instance_, post.abi()), LRI_UNAVAILABLE);
                      ASSERT_EQ(library_->start(instance_, nullptr), LRI_OK);
                    }
                    ASSERT_EQ(library_->execute(instance_, post.abi()), LRI_OK);
                    EXPECT_EQ(host_.TakeAnswers().at(0).status, 200);
                    ASSERT_EQ(library_->stop(instance_, 0, nullptr), LRI_OK);
                  });
}

TEST_F(PluginMemoryTest, InstanceThatCouldNotStopStopsLater) {
  Start(Everything("pass"));
  Post post("{}", {BasicHeader()});
  int32_t code = LRI_OK;
  UntilItSucceeds([&] { code = library_->stop(instance_, 0, nullptr); },
                  [&](bool) {
                    if (code != LRI_OK) {
                      ASSERT_EQ(library_->stop(instance_, 0, nullptr), LRI_OK);
                    }
                    EXPECT_EQ(library_->execute(instance_, post.abi()), LRI_UNAVAILABLE);
                    ASSERT_EQ(library_->start(instance_, nullptr), LRI_OK);
                  });
}

TEST_F(PluginMemoryTest, ChangeIsTakenWholeOrNotAtAllAndCommitCannotFail) {
  Start(Everything("pass"));
  Post with_pass("{}", {BasicHeader()});
  Post with_next("{}", {{"Authorization", "Basic dXNlcjpuZXh0"}});
  Options before(Everything("pass")), after(Everything("next"));
  bool committed = false;
  UntilItSucceeds(
      [&] {
        lri_update* update = nullptr;
        committed = library_->update_prepare(instance_, after.abi(), &update, nullptr) == LRI_OK;
        if (committed) library_->update_commit(update);
      },
      [&](bool) {
        ASSERT_EQ(library_->execute(instance_, with_pass.abi()), LRI_OK);
        ASSERT_EQ(library_->execute(instance_, with_next.abi()), LRI_OK);
        const auto answers = host_.TakeAnswers();
        EXPECT_EQ(answers.at(0).status, committed ? 401 : 200);
        EXPECT_EQ(answers.at(1).status, committed ? 200 : 401);
        lri_update* update = nullptr;
        ASSERT_EQ(library_->update_prepare(instance_, before.abi(), &update, nullptr), LRI_OK);
        library_->update_commit(update);
      });
}

TEST_F(PluginMemoryTest, CommandHasOneResultOrNone) {
  Start(Everything("pass"));
  Post post(Batch(3), {BasicHeader()});
  ASSERT_EQ(library_->execute(instance_, post.abi()), LRI_OK);
  const std::string mapper = R"({"mapper":{"a":"b"}})";
  for (const auto& [name, arguments] :
       Pairs{{"test", ""}, {"samples", ""}, {"fields", ""}, {"map", mapper}, {"nothing", ""}}) {
    int32_t code = LRI_OK;
    int results = 0;
    UntilItSucceeds(
        [&] {
          results = 0;
          code = library_->command(
              instance_, View(name), View(arguments),
              [](void* results, int32_t, lri_view) { ++*static_cast<int*>(results); }, &results);
        },
        [&](bool) { EXPECT_EQ(results, code == LRI_OK ? 1 : 0) << name; });
  }
}

TEST_F(PluginMemoryTest, DescriptionIsWholeOrNotThere) {
  Start({});
  int32_t code = LRI_OK;
  int calls = 0;
  UntilItSucceeds(
      [&] {
        calls = 0;
        code = library_->describe(
            instance_,
            [](void* calls, const lri_description* description) {
              EXPECT_EQ(description->warnings.count, 1u);
              ++*static_cast<int*>(calls);
            },
            &calls);
      },
      [&](bool) { EXPECT_EQ(calls, code == LRI_OK ? 1 : 0); });
}

}  // namespace
}  // namespace border
