// A host that breaks the border's rules. The plugin refuses, answers, or ignores it, and goes on;
// after an exception out of a callback it ends the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/border/abi_host.h"

namespace border {
namespace {

using ::testing::HasSubstr;

class BadHostTest : public testing::Test {
 protected:
  void SetUp() override {
    lri_plugin_options options{};
    options.struct_size = sizeof options;
    options.io_threads = 1;
    ASSERT_EQ(library_->plugin_create(host_.table(), &options, &plugin_, nullptr), LRI_OK);
    Options instance(Basic());
    ASSERT_EQ(library_->create(plugin_, instance.abi(), &instance_, nullptr), LRI_OK);
    ASSERT_EQ(library_->start(instance_, nullptr), LRI_OK);
  }
  void TearDown() override {
    if (instance_ != nullptr) {
      EXPECT_EQ(library_->stop(instance_, 0, nullptr), LRI_OK);
      library_->destroy(instance_);
    }
    library_->plugin_destroy(plugin_);
  }

  int32_t Execute() { return library_->execute(instance_, post_.abi()); }
  // The status of the one answer that came; -1: none, or several.
  int OneStatus() {
    const auto answers = host_.TakeAnswers();
    return answers.size() == 1 ? answers[0].status : -1;
  }
  void ExpectThatItServes() {
    host_.create = nullptr;
    host_.completed = nullptr;
    EXPECT_EQ(Execute(), LRI_OK);
    EXPECT_EQ(OneStatus(), 200);
  }
  // The batch is kept; `done` may be called with it.
  void HoldBatches() {
    host_.create = [this](const lri_incident_batch& batch) {
      held_.push_back(batch);
      return int32_t{LRI_OK};
    };
  }

  LoadedPlugin library_;
  AbiHost host_;
  lri_plugin* plugin_ = nullptr;
  lri_instance* instance_ = nullptr;
  Post post_{R"({"name":"n"})", {BasicHeader()}};
  std::vector<lri_incident_batch> held_;
};

// ---- done ---------------------------------------------------------------------------------------

TEST_F(BadHostTest, SecondDoneIsIgnored) {
  for (int i = 0; i < 600; ++i) {
    HoldBatches();
    ASSERT_EQ(Execute(), LRI_OK);
    AbiHost::Done(held_[0]);
    EXPECT_EQ(OneStatus(), 200);
    AbiHost::Done(held_[0], 1);
    AbiHost::Done(held_[0], 1);
    EXPECT_TRUE(host_.TakeAnswers().empty());
    held_.clear();
  }
  ExpectThatItServes();
}

TEST_F(BadHostTest, OldDoneDoesNotAnswerALaterCall) {
  HoldBatches();
  ASSERT_EQ(Execute(), LRI_OK);
  const lri_incident_batch old = held_[0];
  AbiHost::Done(old, 1);
  EXPECT_EQ(OneStatus(), 200);
  ASSERT_EQ(Execute(), LRI_OK);
  AbiHost::Done(old, 1);
  EXPECT_TRUE(host_.TakeAnswers().empty());
  AbiHost::Done(held_[1], 1);
  EXPECT_EQ(OneStatus(), 200);
}

TEST_F(BadHostTest, DoneForARefusedBatchIsIgnored) {
  host_.create = [this](const lri_incident_batch& batch) {
    held_.push_back(batch);
    return int32_t{LRI_UNAVAILABLE};
  };
  ASSERT_EQ(Execute(), LRI_OK);
  EXPECT_EQ(OneStatus(), 503);
  AbiHost::Done(held_[0], 1);
  EXPECT_TRUE(host_.TakeAnswers().empty());
  ExpectThatItServes();
}

TEST_F(BadHostTest, DoneBeforeARefusalCounts) {
  host_.create = [](const lri_incident_batch& batch) {
    AbiHost::Done(batch);
    return int32_t{LRI_INTERNAL};
  };
  ASSERT_EQ(Execute(), LRI_OK);
  EXPECT_EQ(OneStatus(), 200);
  ExpectThatItServes();
}

TEST_F(BadHostTest, WrongCountsAreNotKnown) {
  for (const int64_t count : {0, 2, 1000}) {
    host_.create = [count](const lri_incident_batch& batch) {
      AbiHost::Done(batch, count);
      return int32_t{LRI_OK};
    };
    ASSERT_EQ(Execute(), LRI_OK);
    EXPECT_EQ(OneStatus(), 503) << count;
  }
  ExpectThatItServes();
}

TEST_F(BadHostTest, ResultsThatCannotBeReadAreNotKnown) {
  const lri_created_incident one{};
  lri_create_result good{};
  good.struct_size = sizeof good;
  good.outcome = LRI_CREATED;
  good.incidents = &one;
  good.count = 1;
  good.stride = sizeof one;
  std::vector<lri_create_result> bad(5, good);
  bad[0].struct_size = 0;
  bad[1].struct_size = sizeof good - 1;
  bad[2].incidents = nullptr;
  bad[3].stride = 1;
  bad[4].outcome = 77;
  for (size_t i = 0; i <= bad.size(); ++i) {
    const lri_create_result* const result = i == bad.size() ? nullptr : &bad[i];
    host_.create = [result](const lri_incident_batch& batch) {
      batch.done(batch.done_context, result);
      return int32_t{LRI_OK};
    };
    ASSERT_EQ(Execute(), LRI_OK);
    EXPECT_EQ(OneStatus(), i == 4 ? 500 : 503) << i;
  }
  ExpectThatItServes();
}

TEST_F(BadHostTest, ViewsThatAreNullWithASizeAreEmpty) {
  host_.create = [](const lri_incident_batch& batch) {
    const lri_view nothing{nullptr, SIZE_MAX};
    const lri_created_incident one{nothing, nothing, 1, 0, nothing, nothing, nothing};
    const lri_create_result result{sizeof result, LRI_CREATED, 0, 0, nothing, &one, 1, sizeof one};
    batch.done(batch.done_context, &result);
    return int32_t{LRI_OK};
  };
  ASSERT_EQ(Execute(), LRI_OK);
  EXPECT_EQ(OneStatus(), 200);
}

TEST_F(BadHostTest, DoneMayComeOnAnotherThreadAndAfterAStopThatGaveUp) {
  HoldBatches();
  ASSERT_EQ(Execute(), LRI_OK);
  EXPECT_EQ(library_->stop(instance_, 0, nullptr), LRI_DEADLINE_EXCEEDED);
  EXPECT_EQ(Execute(), LRI_UNAVAILABLE);
  std::thread([this] { AbiHost::Done(held_[0]); }).join();
  EXPECT_EQ(OneStatus(), 200);
  EXPECT_EQ(library_->stop(instance_, 0, nullptr), LRI_OK);
  ASSERT_EQ(library_->start(instance_, nullptr), LRI_OK);
  ExpectThatItServes();
}

TEST_F(BadHostTest, ExecuteFromWithinCreateAndCompleteIsServed) {
  int depth = 0;
  host_.create = [&](const lri_incident_batch& batch) {
    if (++depth < 50) {
      EXPECT_EQ(Execute(), LRI_OK);
    }
    AbiHost::Done(batch);
    return int32_t{LRI_OK};
  };
  ASSERT_EQ(Execute(), LRI_OK);
  EXPECT_EQ(host_.TakeAnswers().size(), 50u);
}

TEST_F(BadHostTest, DestroyOfAServingInstanceStopsItFirst) {
  library_->destroy(std::exchange(instance_, nullptr));
}

// ---- exceptions ---------------------------------------------------------------------------------

// No callback may throw. After one that does, nobody knows what the host did, so the process ends
// with a line that names the function.
class BadHostDeathTest : public BadHostTest {
 protected:
  BadHostDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  static std::string Line(const std::string& function) {
    return "the plugin Generic Webhook ends the process: the host's function " + function +
           " threw an exception: ";
  }
};

TEST_F(BadHostDeathTest, ExceptionOutOfCreateEndsTheProcessAndIsNamed) {
  host_.create = [](const lri_incident_batch&) -> int32_t { throw std::runtime_error("no"); };
  EXPECT_DEATH(Execute(), Line("create_incidents") + "no");
  host_.create = [](const lri_incident_batch&) -> int32_t { throw 7; };
  EXPECT_DEATH(Execute(), Line("create_incidents"));
  host_.create = [](const lri_incident_batch& batch) -> int32_t {
    AbiHost::Done(batch);
    throw std::runtime_error("after it was done");
  };
  EXPECT_DEATH(Execute(), Line("create_incidents") + "after it was done");
}

TEST_F(BadHostDeathTest, ExceptionOutOfCompleteEndsTheProcessAndIsNamed) {
  host_.completed = [](lri_call*, const lri_answer&) { throw std::runtime_error("no"); };
  EXPECT_DEATH(Execute(), Line("complete") + "no");
  Post refused("{}");
  EXPECT_DEATH(library_->execute(instance_, refused.abi()), Line("complete") + "no");
}

TEST_F(BadHostDeathTest, ExceptionOutOfEveryOtherFunctionEndsTheProcessAndIsNamed) {
  Pairs parameters = {{"store_samples", "true"}};
  Options options(parameters, "another");
  const auto use = [&] {
    lri_instance* another = nullptr;
    library_->create(plugin_, options.abi(), &another, nullptr);
    library_->start(another, nullptr);
    library_->execute(another, post_.abi());
    library_->stop(another, 0, nullptr);
  };
  lri_host& table = *host_.table();
  const lri_host good = table;
  table.now = [](void*) -> int64_t { throw std::runtime_error("time"); };
  EXPECT_DEATH(use(), Line("now") + "time");
  table = good;
  table.log = [](void*, lri_host_instance*, int32_t, lri_view) { throw 1; };
  EXPECT_DEATH(use(), Line("log"));
  table = good;
  table.set_health = [](void*, lri_host_instance*, int32_t, lri_view) { throw 1; };
  EXPECT_DEATH(use(), Line("set_health"));
  table = good;
  table.context_get = [](void*, lri_host_instance*, lri_view, lri_context_done, void*) -> int32_t {
    throw 1;
  };
  EXPECT_DEATH(use(), Line("context_get"));
  table.context_get = [](void*, lri_host_instance*, lri_view, lri_context_done done,
                         void* done_context) -> int32_t {
    done(done_context, LRI_NOT_FOUND, {});
    return LRI_OK;
  };
  table.context_set = [](void*, lri_host_instance*, lri_view, lri_view, lri_context_done,
                         void*) -> int32_t { throw 1; };
  EXPECT_DEATH(use(), Line("context_set"));
}

TEST_F(BadHostDeathTest, ExceptionsOutOfSinksAndResultsEndTheProcessAndAreNamed) {
  EXPECT_DEATH(library_->info([](void*, const lri_plugin_info*) { throw 1; }, nullptr),
               Line("sink of info"));
  EXPECT_DEATH(library_->describe(
                   instance_, [](void*, const lri_description*) { throw 1; }, nullptr),
               Line("sink of describe"));
  lri_head_verdict verdict{sizeof verdict, 0, 0, 0};
  Post refused("{}");
  EXPECT_DEATH(
      library_->check_head(
          instance_, refused.head(), [](void*, const lri_answer*) { throw 1; }, nullptr, &verdict),
      Line("sink of check_head"));
  for (const std::string name : {"test", "samples"}) {
    EXPECT_DEATH(library_->command(
                     instance_, View(name), {}, [](void*, int32_t, lri_view) { throw 1; }, nullptr),
                 Line("done of command"));
  }
}

// ---- what cannot be read ------------------------------------------------------------------------

TEST_F(BadHostTest, TablesThatAreShortOrIncompleteAreRefused) {
  lri_plugin* plugin = nullptr;
  lri_error error{sizeof(lri_error), {}};
  for (const uint32_t size : {uint32_t{0}, uint32_t{8}, uint32_t(offsetof(lri_host, complete))}) {
    lri_host table = *host_.table();
    table.struct_size = size;
    EXPECT_EQ(library_->plugin_create(&table, nullptr, &plugin, &error), LRI_INVALID_ARGUMENT);
    EXPECT_THAT(error.message, HasSubstr("create_incidents"));
  }
  lri_host table = *host_.table();
  table.complete = nullptr;
  EXPECT_EQ(library_->plugin_create(&table, nullptr, &plugin, &error), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->plugin_create(nullptr, nullptr, &plugin, &error), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->plugin_create(host_.table(), nullptr, nullptr, &error), LRI_INVALID_ARGUMENT);
}

TEST_F(BadHostTest, TableOfTheRequiredFunctionsAloneIsServed) {
  lri_host table = *host_.table();
  table.struct_size = offsetof(lri_host, context_get);
  std::memset(reinterpret_cast<char*>(&table) + table.struct_size, 0x55,
              sizeof table - table.struct_size);
  lri_plugin* plugin = nullptr;
  lri_instance* instance = nullptr;
  ASSERT_EQ(library_->plugin_create(&table, nullptr, &plugin, nullptr), LRI_OK);
  Pairs parameters = Basic();
  parameters.push_back({"store_samples", "true"});
  Options options(parameters);
  ASSERT_EQ(library_->create(plugin, options.abi(), &instance, nullptr), LRI_OK);
  ASSERT_EQ(library_->start(instance, nullptr), LRI_OK);
  EXPECT_EQ(library_->execute(instance, post_.abi()), LRI_OK);
  EXPECT_EQ(OneStatus(), 200);
  EXPECT_EQ(library_->stop(instance, 0, nullptr), LRI_OK);
  library_->destroy(instance);
  library_->plugin_destroy(plugin);
}

TEST_F(BadHostTest, NullsAreRefused) {
  lri_instance* instance = nullptr;
  lri_update* update = nullptr;
  lri_head_verdict verdict{sizeof verdict, 0, 0, 0};
  const auto sink = [](void*, const lri_answer*) {};
  Options options(Basic());
  EXPECT_EQ(library_->create(nullptr, options.abi(), &instance, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->create(plugin_, nullptr, &instance, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->create(plugin_, options.abi(), nullptr, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->start(nullptr, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->stop(nullptr, 0, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->execute(nullptr, post_.abi()), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->execute(instance_, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->check_head(instance_, nullptr, sink, nullptr, &verdict),
            LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->check_head(instance_, post_.head(), nullptr, nullptr, &verdict),
            LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->check_head(instance_, post_.head(), sink, nullptr, nullptr),
            LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->update_prepare(instance_, nullptr, &update, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->update_prepare(instance_, options.abi(), nullptr, nullptr),
            LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->describe(instance_, nullptr, nullptr), LRI_INVALID_ARGUMENT);
  EXPECT_EQ(library_->command(instance_, {}, {}, nullptr, nullptr), LRI_INVALID_ARGUMENT);
  library_->info(nullptr, nullptr);
  library_->destroy(nullptr);
  library_->plugin_destroy(nullptr);
  library_->update_commit(nullptr);
  library_->update_abort(nullptr);
  library_->cancel(nullptr, nullptr);
  ExpectThatItServes();
}

TEST_F(BadHostTest, RequestsThatCannotBeReadAreRefused) {
  const std::vector<std::function<void(Post&)>> faults = {
      [](Post& post) { post.abi()->struct_size = 0; },
      [](Post& post) { post.abi()->struct_size -= 1; },
      [](Post& post) { post.abi()->head = nullptr; },
      [](Post& post) { post.head()->struct_size = 4; },
      [](Post& post) { post.head()->headers.data = nullptr; },
      [](Post& post) { post.head()->headers.stride = 1; },
      [](Post& post) { post.head()->headers.stride = 0; },
      [](Post& post) { post.head()->headers.count = SIZE_MAX; },
      [](Post& post) {
        post.abi()->body = {nullptr, 10};
      },
  };
  for (size_t i = 0; i < faults.size(); ++i) {
    Post post("{}", {BasicHeader()});
    faults[i](post);
    EXPECT_EQ(library_->execute(instance_, post.abi()), LRI_INVALID_ARGUMENT) << i;
  }
  Post huge("{}", {BasicHeader()});
  huge.abi()->body.size = SIZE_MAX;
  huge.head()->content_length = LRI_LENGTH_UNKNOWN;
  EXPECT_EQ(library_->execute(instance_, huge.abi()), LRI_OK);
  EXPECT_EQ(OneStatus(), 413);
  Post empty_views("{}", {BasicHeader()});
  empty_views.head()->method = {nullptr, SIZE_MAX};
  EXPECT_EQ(library_->execute(instance_, empty_views.abi()), LRI_OK);
  EXPECT_EQ(OneStatus(), 405);
  Post newer("{}", {BasicHeader()});
  newer.abi()->struct_size = newer.head()->struct_size = UINT32_MAX;
  EXPECT_EQ(library_->execute(instance_, newer.abi()), LRI_OK);
  EXPECT_EQ(OneStatus(), 200);
}

TEST_F(BadHostTest, OptionsThatCannotBeReadAreRefused) {
  lri_instance* instance = nullptr;
  lri_error error{sizeof(lri_error), {}};
  Options options(Basic(), "another");
  options.abi()->struct_size = 8;
  EXPECT_EQ(library_->create(plugin_, options.abi(), &instance, &error), LRI_INVALID_ARGUMENT);
  EXPECT_THAT(error.message, HasSubstr("too short"));
  options.abi()->struct_size = sizeof(lri_instance_options);
  options.abi()->parameters.count = SIZE_MAX;
  EXPECT_EQ(library_->create(plugin_, options.abi(), &instance, &error), LRI_INVALID_ARGUMENT);
  options.abi()->parameters.count = 2;
  options.abi()->name = {nullptr, 7};
  EXPECT_EQ(library_->create(plugin_, options.abi(), &instance, &error), LRI_INVALID_ARGUMENT);
  // Too short for a message: nothing is written.
  lri_error tiny{4, {}};
  EXPECT_EQ(library_->create(plugin_, options.abi(), &instance, &tiny), LRI_INVALID_ARGUMENT);
  EXPECT_STREQ(tiny.message, "");
}

}  // namespace
}  // namespace border
