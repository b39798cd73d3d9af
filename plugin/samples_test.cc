// Samples, duplicates and mirroring as a host sees them: through the plugin's table alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "plugin/abi/long_running_integration.h"

extern "C" const lri_plugin_table* lri_plugin_entry_v1(uint32_t);

namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Pairs = std::vector<std::pair<std::string, std::string>>;

lri_view View(const std::string& text) { return {text.data(), text.size()}; }
std::string Text(lri_view view) { return std::string(view.data, view.size); }

struct Incident {
  std::string id, name, type, occurred, details, delivery_key, content;
};

// A host that decides by delivery keys what is a duplicate, and has a context of its own mind.
class FakeHost {
 public:
  FakeHost() {
    table_.struct_size = sizeof table_;
    table_.context = this;
    table_.create_incidents = [](void* context, lri_host_instance*,
                                 const lri_incident_batch* batch) {
      static_cast<FakeHost*>(context)->Create(*batch);
      return int32_t{LRI_OK};
    };
    table_.complete = [](void* context, lri_call*, const lri_answer* answer) {
      FakeHost& host = *static_cast<FakeHost*>(context);
      // From here on the request's bytes are the host's, and it writes over them.
      if (host.body != nullptr) host.body->assign(host.body->size(), '#');
      host.status = answer->status;
      host.answer = Text(answer->body);
    };
    table_.context_get = [](void* context, lri_host_instance*, lri_view key, lri_context_done done,
                            void* done_context) {
      return static_cast<FakeHost*>(context)->Get(Text(key), done, done_context);
    };
    table_.context_set = [](void* context, lri_host_instance*, lri_view key, lri_view value,
                            lri_context_done done, void* done_context) {
      return static_cast<FakeHost*>(context)->Set(Text(key), Text(value), done, done_context);
    };
    table_.now = [](void*) { return int64_t{1'714'557'600'000'000'000}; };  // 2024-05-01 10:00
  }

  lri_host& table() { return table_; }

  // Calls what the context holds back.
  void Release() {
    std::vector<std::function<void()>> held;
    {
      std::lock_guard lock(mutex_);
      held.swap(held_);
      hold = false;
    }
    for (const auto& done : held) done();
  }

  std::map<std::string, std::string> Values() {
    std::lock_guard lock(mutex_);
    return values_;
  }

  std::vector<Incident> incidents;
  std::string* body = nullptr;
  int status = 0;
  std::string answer;
  // Set while no instance serves.
  int32_t context_code = LRI_OK;       // what the context functions return
  int32_t context_done_code = LRI_OK;  // what their done tells
  bool hold = false;                   // done waits for Release

 private:
  void Create(const lri_incident_batch& batch) {
    std::vector<lri_created_incident> created;
    std::deque<std::string> ids;
    const std::string when = "2024-05-01T10:00:01Z";
    for (size_t i = 0; i < batch.incidents.count; ++i) {
      const lri_incident& incident = batch.incidents.data[i];
      const auto [first, is_new] = Remember(incident);
      const bool other_content = !is_new && Text(incident.content) != first.content;
      created.push_back({View(ids.emplace_back(first.id)), View(when), !is_new, other_content,
                         View(ids.emplace_back(first.name)), View(ids.emplace_back(first.type)),
                         View(ids.emplace_back(first.occurred))});
    }
    lri_create_result result{};
    result.struct_size = sizeof result;
    result.outcome = LRI_CREATED;
    result.incidents = created.data();
    result.count = created.size();
    result.stride = sizeof(lri_created_incident);
    batch.done(batch.done_context, &result);
  }

  std::pair<Incident, bool> Remember(const lri_incident& incident) {
    const std::string key = Text(incident.delivery_key);
    for (const Incident& one : incidents) {
      if (!key.empty() && one.delivery_key == key) return {one, false};
    }
    std::string details;
    for (size_t i = 0; i < incident.details.count; ++i) {
      details += Text(incident.details.data[i]);
    }
    incidents.push_back({std::to_string(incidents.size() + 1), Text(incident.name),
                         Text(incident.type), Text(incident.occurred), details, key,
                         Text(incident.content)});
    return {incidents.back(), true};
  }

  int32_t Get(const std::string& key, lri_context_done done, void* done_context) {
    return Finish([=, this] {
      std::unique_lock lock(mutex_);
      const auto found = values_.find(key);
      const bool ok = context_done_code == LRI_OK && found != values_.end();
      const std::string value = ok ? found->second : "";
      lock.unlock();
      const int32_t otherwise = context_done_code == LRI_OK ? LRI_NOT_FOUND : context_done_code;
      done(done_context, ok ? LRI_OK : otherwise, View(value));
    });
  }

  int32_t Set(const std::string& key, const std::string& value, lri_context_done done,
              void* done_context) {
    return Finish([=, this] {
      std::unique_lock lock(mutex_);
      if (context_done_code == LRI_OK) values_[key] = value;
      lock.unlock();
      done(done_context, context_done_code, View(value));
    });
  }

  int32_t Finish(std::function<void()> done) {
    if (context_code != LRI_OK) return context_code;
    {
      std::lock_guard lock(mutex_);
      if (hold) {
        held_.push_back(std::move(done));
        return LRI_OK;
      }
    }
    done();
    return LRI_OK;
  }

  lri_host table_{};
  std::mutex mutex_;
  std::map<std::string, std::string> values_;
  std::vector<std::function<void()>> held_;
};

class InstanceTest : public ::testing::Test {
 protected:
  void SetUp() override { MakePlugin({}); }

  void TearDown() override {
    Stop();
    table_->plugin_destroy(plugin_);
  }

  void MakePlugin(const Pairs& limits) {
    if (plugin_ != nullptr) table_->plugin_destroy(plugin_);
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : limits) pairs.push_back({View(key), View(value)});
    lri_plugin_options options{};
    options.struct_size = sizeof options;
    options.limits = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    ASSERT_EQ(table_->plugin_create(&host_.table(), &options, &plugin_, nullptr), LRI_OK);
  }

  std::string Create(const Pairs& parameters) {
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : parameters) pairs.push_back({View(key), View(value)});
    const std::string name = "webhook", product = "XSOAR_8_ON_PREM";
    lri_instance_options options{};
    options.struct_size = sizeof options;
    options.name = View(name);
    options.product = View(product);
    options.parameters = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    lri_error error{sizeof(lri_error), {}};
    const int32_t code = table_->create(plugin_, &options, &instance_, &error);
    return code == LRI_OK ? "ok" : error.message;
  }

  void Start(const Pairs& parameters) {
    ASSERT_EQ(Create(parameters), "ok");
    ASSERT_EQ(table_->start(instance_, nullptr), LRI_OK);
  }

  void Stop() {
    if (instance_ == nullptr) return;
    EXPECT_EQ(table_->stop(instance_, INT64_MAX, nullptr), LRI_OK);
    table_->destroy(std::exchange(instance_, nullptr));
  }

  // Posts, and returns the answer's body.
  std::string Post(const std::string& body, const Pairs& headers = {}) {
    std::vector<lri_pair> pairs;
    for (const auto& [key, value] : headers) pairs.push_back({View(key), View(value)});
    const std::string method = "POST";
    std::string padded = body + std::string(LRI_BODY_PADDING, '\0');
    lri_request_head head{};
    head.struct_size = sizeof head;
    head.method = View(method);
    head.headers = {pairs.data(), pairs.size(), sizeof(lri_pair)};
    head.content_length = body.size();
    lri_request request{};
    request.struct_size = sizeof request;
    request.head = &head;
    request.body = {padded.data(), body.size()};
    host_.body = &padded;
    EXPECT_EQ(table_->execute(instance_, &request), LRI_OK);
    host_.body = nullptr;
    EXPECT_EQ(host_.status, 200) << host_.answer;
    return host_.answer;
  }

  struct Result {
    int32_t code = -1;
    std::string text = "(none)";
  };

  void Ask(Result& result, const std::string& command, const std::string& arguments = "") {
    const auto done = [](void* context, int32_t code, lri_view text) {
      *static_cast<Result*>(context) = {code, Text(text)};
    };
    EXPECT_EQ(table_->command(instance_, View(command), View(arguments), done, &result), LRI_OK);
  }

  std::string Command(const std::string& command, const std::string& arguments = "") {
    Result result;
    Ask(result, command, arguments);
    return (result.code == LRI_OK ? "" : std::to_string(result.code) + " ") + result.text;
  }

  const lri_plugin_table* const table_ = lri_plugin_entry_v1(LRI_ABI_MINOR);
  FakeHost host_;
  lri_plugin* plugin_ = nullptr;
  lri_instance* instance_ = nullptr;
};

const Pairs kStore = {{"store_samples", "true"}};

// ---- samples -----------------------------------------------------------------------------------

class SamplesTest : public InstanceTest {};

TEST_F(SamplesTest, NothingIsKeptWhileTheParameterIsOff) {
  Start({});
  Post(R"({"a":1})");
  EXPECT_EQ(Command("samples"), "[]");
  EXPECT_EQ(Command("fields"), "[]");
  EXPECT_EQ(Command("map", R"({"mapper":{"t":"a"}})"), "[]");
  Stop();
  EXPECT_THAT(host_.Values(), IsEmpty());
}

TEST_F(SamplesTest, MalformedMapperIsInvalidArgumentInOneLine) {
  Start(kStore);
  EXPECT_THAT(Command("map"), StartsWith("3 mapper: "));
  EXPECT_THAT(Command("map", R"({"mapper":{"t":"a..b"}})"), StartsWith("3 mapper: target \"t\""));
}

TEST_F(SamplesTest, RefusedRequestLeavesNoSample) {
  Start({{"store_samples", "true"}, {"username", "user"}, {"password", "pass"}});
  const std::string method = "POST";
  const std::string padded = "{}" + std::string(LRI_BODY_PADDING, '\0');
  lri_request_head head{};
  head.struct_size = sizeof head;
  head.method = View(method);
  lri_request request{};
  request.struct_size = sizeof request;
  request.head = &head;
  request.body = {padded.data(), 2};
  ASSERT_EQ(table_->execute(instance_, &request), LRI_OK);
  EXPECT_EQ(host_.status, 401);
  EXPECT_EQ(Command("samples"), "[]");
}

TEST_F(SamplesTest, ContextThatFailsNeitherFailsNorDelaysAnAnswer) {
  for (const int32_t code : {LRI_UNAVAILABLE, LRI_UNIMPLEMENTED, LRI_INTERNAL}) {
    for (const bool at_once : {true, false}) {
      host_.context_code = at_once ? code : LRI_OK;
      host_.context_done_code = at_once ? LRI_OK : code;
      Start(kStore);
      EXPECT_THAT(Post(R"({"a":1})"), StartsWith("[{\"id\":"));
      EXPECT_THAT(Command("samples"), HasSubstr(R"({\"a\":1,)"));
      Stop();
    }
  }
}

TEST_F(SamplesTest, HostWithAnOldTableKeepsSamplesInMemory) {
  host_.table().context_get = nullptr;
  host_.table().context_set = nullptr;
  Start(kStore);
  Post(R"({"a":1})");
  EXPECT_THAT(Command("samples"), HasSubstr(R"({\"a\":1,)"));
}

TEST_F(SamplesTest, LateContextDelaysNoAnswerAndHoldsTheStopOnly) {
  host_.hold = true;
  Start(kStore);
  Post(R"({"a":1})");
  Result samples;
  Ask(samples, "samples");
  EXPECT_EQ(samples.text, "(none)");
  lri_error error{sizeof(lri_error), {}};
  EXPECT_EQ(table_->stop(instance_, 0, &error), LRI_DEADLINE_EXCEEDED);
  EXPECT_THAT(error.message, HasSubstr("samples"));
  host_.Release();
  EXPECT_THAT(samples.text, HasSubstr(R"({\"a\":1,)"));
  Stop();
  EXPECT_THAT(host_.Values(), SizeIs(1));
}

TEST_F(SamplesTest, SecretsAreInNoSample) {
  Start({{"store_samples", "true"}, {"username", "_header:X-Token"}, {"password", "hunter2"}});
  Post(R"({"a":1})", {{"X-Token", "hunter2"},
                      {"Authorization", "Bearer hunter2"},
                      {"Cookie", "hunter2"},
                      {"Host", "h"}});
  const std::string samples = Command("samples");
  EXPECT_THAT(samples, HasSubstr(R"(\"headers\":{\"host\":\"h\"})"));
  EXPECT_THAT(samples, Not(HasSubstr("hunter2")));
}

TEST_F(SamplesTest, LongSampleIsCutAndMarked) {
  Start(kStore);
  Post("{\"a\":\"" + std::string(300 * 1024, 'x') + "\"}");
  const std::string samples = Command("samples");
  EXPECT_THAT(samples.substr(samples.size() - 30), HasSubstr(R"(x","truncated":true}])"));
  EXPECT_LT(samples.size(), 257u * 1024);
  EXPECT_GT(samples.size(), 256u * 1024);
}

TEST_F(SamplesTest, SampleShowsTheIncidentAsItWasGiven) {
  Start({{"store_samples", "true"}, {"incidentType", "Phishing"}});
  Post(R"({"name":"n","rawJson":{"a":1.50}})");
  EXPECT_EQ(Command("samples"),
            R"([{"name":"n","type":"Phishing","occurred":"2024-05-01T10:00:00Z",)"
            R"("rawJSON":"{\"a\":1.50,\"headers\":{}}","truncated":false}])");
}

TEST_F(SamplesTest, LastTwentyAreKeptWithoutRepeatsNewestFirst) {
  Start(kStore);
  std::string batch = "[";
  for (int i = 0; i < 30; ++i) batch += "{\"name\":\"b" + std::to_string(i) + "\"},";
  Post(batch + "{\"name\":\"s0\"}]");
  for (const char* name : {"s1", "s0", "s2"}) Post(std::string("{\"name\":\"") + name + "\"}");

  EXPECT_EQ(Command("map", R"({"mapper":{"n":"name"}})"),
            R"([{"n":"s2"},{"n":"s0"},{"n":"s1"},{"n":"b29"},{"n":"b28"},{"n":"b27"},)"
            R"({"n":"b26"},{"n":"b25"},{"n":"b24"},{"n":"b23"},{"n":"b22"},{"n":"b21"},)"
            R"({"n":"b20"},{"n":"b19"},{"n":"b18"},{"n":"b17"},{"n":"b16"},{"n":"b15"},)"
            R"({"n":"b14"},{"n":"b13"}])");
}

TEST_F(SamplesTest, SamplesSurviveARestartAndATimeWithoutThem) {
  Start(kStore);
  Post(R"({"name":"first"})");
  Stop();
  Start({});
  Post(R"({"name":"not kept"})");
  Stop();
  Start(kStore);
  Post(R"({"name":"second"})");
  EXPECT_EQ(Command("map", R"({"mapper":{"n":"name"}})"), R"([{"n":"second"},{"n":"first"}])");
}

TEST_F(SamplesTest, FieldsTellWhatAMapperCanName) {
  Start(kStore);
  Post(R"({"items":[{"user":{"id":5}}]})");
  Post(R"({"items":[]})", {{"Host", "h"}});
  const std::string fields = Command("fields");
  EXPECT_THAT(fields, HasSubstr(R"({"path":"items[].user.id","types":["number"],)"
                                R"("example":"5","count":1})"));
  EXPECT_THAT(fields, HasSubstr(R"({"path":"headers.host","types":["string"],)"
                                R"("example":"\"h\"","count":1})"));
  EXPECT_THAT(fields, HasSubstr(R"("path":"items","types":["array"],)"));
}

TEST_F(SamplesTest, ResultPastItsLimitIsRefused) {
  MakePlugin({{"command_result_bytes", "65536"}});
  Start(kStore);
  Post("{\"a\":\"" + std::string(60 * 1024, 'x') + "\"}");
  EXPECT_THAT(Command("map", R"({"mapper":{"t":"a","u":"a"}})"), StartsWith("8 "));
}

// ---- duplicates --------------------------------------------------------------------------------

class DuplicationTest : public InstanceTest {};

TEST_F(DuplicationTest, MalformedParameterIsRefusedByName) {
  EXPECT_THAT(Create({{"duplication_key", "a..b"}}), StartsWith("duplication_key "));
  instance_ = nullptr;
}

TEST_F(DuplicationTest, WithoutTheParameterNothingIsADuplicate) {
  Start({});
  Post(R"({"id":1})");
  EXPECT_THAT(Post(R"({"id":1})"), Not(HasSubstr("duplicate")));
  EXPECT_EQ(host_.incidents[0].delivery_key, "");
}

TEST_F(DuplicationTest, IncidentWithoutAKeyIsNoDuplicate) {
  Start({{"duplication_key", "event.id"}});
  Post(R"({"event":{"id":null}})");
  EXPECT_THAT(Post(R"({"event":{"id":null}})"), Not(HasSubstr("duplicate")));
  EXPECT_EQ(host_.incidents.size(), 2u);
}

TEST_F(DuplicationTest, DuplicateIsAnsweredWithTheFirstIncidentAndLeavesNoSample) {
  Start({{"duplication_key", "headers.x-request-id, event.id"}, {"store_samples", "true"}});
  Post(R"({"name":"first","event":{"id":7}})");
  EXPECT_EQ(Post(R"([{"name":"first","event":{"id":7}},{"name":"other","event":{"id":8}}])"),
            R"([{"id":"1","name":"first","type":"","occurred":"2024-05-01T10:00:00Z",)"
            R"("created":"2024-05-01T10:00:01Z","sourceBrand":"Generic Webhook",)"
            R"("sourceInstance":"webhook","duplicate":true},)"
            R"({"id":"2","name":"other","type":"","occurred":"2024-05-01T10:00:00Z",)"
            R"("created":"2024-05-01T10:00:01Z","sourceBrand":"Generic Webhook",)"
            R"("sourceInstance":"webhook"}])");
  EXPECT_EQ(host_.incidents[0].delivery_key, "\2in8:event.id:7");
  EXPECT_EQ(Command("map", R"({"mapper":{"n":"name"}})"), R"([{"n":"other"},{"n":"first"}])");
}

TEST_F(DuplicationTest, KnownKeyWithAnotherBodyIsAnsweredWithAWarningAndNoMoreThanTheId) {
  Start({{"duplication_key", "event.id"}});
  Post(R"({"name":"first","event":{"id":7}})");
  EXPECT_EQ(Post(R"([{"name":"guess","occurred":"x","event":{"id":7}}])"),
            R"([{"id":"1","duplicate":true,"warnings":["this delivery key is known with another )"
            R"(content, so nothing was created; the id is that of the first incident"]}])");
  EXPECT_THAT(Post(R"({"event":{"id":"7"}})"), StartsWith(R"([{"id":"2","name")"));
}

TEST_F(DuplicationTest, TestWarnsWhereNoSampleHasAKey) {
  Start({{"duplication_key", "event.id+status, headers.x-id"}, {"store_samples", "true"}});
  EXPECT_THAT(Command("test", ""), Not(HasSubstr("duplication_key")));
  Post(R"({"event":{"id":7}})");
  Post(R"({"other":1})");
  EXPECT_THAT(Command("test", ""),
              HasSubstr("duplication_key: none of the last 2 samples has a value there"));
  Post("{}", {{"X-Id", "7"}});
  EXPECT_THAT(Command("test", ""), Not(HasSubstr("duplication_key")));
}

TEST_F(DuplicationTest, BatchOfDuplicatesOnlyIsAnsweredWithTheirFirst) {
  Start({{"duplication_key", "headers.x-request-id"}});
  Post("{}", {{"X-Request-Id", "abc"}});
  EXPECT_EQ(host_.incidents[0].delivery_key, "\2rs20:headers.x-request-id:abc");
  // The header names the whole delivery; the second incident of an array has a key of its own.
  const std::string first = Post("[{},{}]", {{"x-request-id", "abc"}});
  EXPECT_THAT(first, StartsWith("[{\"id\":\"1\""));
  EXPECT_THAT(first, HasSubstr("\"duplicate\":true},{\"id\":\"2\""));
  EXPECT_EQ(host_.incidents.size(), 2u);
  const std::string again = Post("[{},{}]", {{"x-request-id", "abc"}});
  EXPECT_THAT(again, StartsWith("[{\"id\":\"1\""));
  EXPECT_THAT(again, HasSubstr("\"duplicate\":true},{\"id\":\"2\""));
  EXPECT_THAT(again, EndsWith("\"duplicate\":true}]"));
  EXPECT_EQ(host_.incidents.size(), 2u);
}

// ---- mirroring ---------------------------------------------------------------------------------

class MirroringTest : public InstanceTest {};

TEST_F(MirroringTest, UnknownDirectionIsRefusedByName) {
  EXPECT_THAT(Create({{"mirror_direction", "Both"}}), StartsWith("mirror_direction "));
  instance_ = nullptr;
}

TEST_F(MirroringTest, MembersAreWrittenIntoTheDetails) {
  Start({{"mirror_direction", "Incoming And Outgoing"}, {"mirror_tags", "comments, files"}});
  Post(R"({"a":1,"mirror_direction":"None"})");
  EXPECT_EQ(host_.incidents[0].details,
            R"({"a":1,"body_mirror_direction":"None","headers":{},"mirror_direction":"Both",)"
            R"("mirror_tags":["comments","files"],"mirror_instance":"webhook"})");
}

// It would be the key of every incident, so that only one were ever created.
TEST_F(MirroringTest, MirroredMembersCannotBeADuplicationKey) {
  EXPECT_THAT(Create({{"mirror_instance", "other"}, {"duplication_key", "mirror_instance"}}),
              StartsWith("duplication_key: mirror_instance is the same for all incidents"));
  instance_ = nullptr;
}

TEST(InfoTest, EveryParameterIsNamed) {
  std::vector<std::string> names;
  lri_plugin_entry_v1(LRI_ABI_MINOR)
      ->info(
          [](void* context, const lri_plugin_info* info) {
            for (size_t i = 0; i < info->parameters.count; ++i) {
              static_cast<std::vector<std::string>*>(context)->push_back(
                  Text(info->parameters.data[i]));
            }
          },
          &names);
  EXPECT_THAT(names,
              ::testing::IsSupersetOf({"store_samples", "duplication_key", "mirror_direction",
                                       "mirror_tags", "mirror_instance"}));
}

}  // namespace
