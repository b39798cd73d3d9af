// Memory runs out in the host: of what the front, the engine, the plugin and the store allocate for
// a request on its own thread, until its incidents are queued, the first allocation fails, then the
// second, and so on; then all from the first on, from the second on. Each time the sender gets an
// answer or a closed connection, and a later request is served. Elsewhere in the host (the store's
// writer, completions) memory that runs out ends the process, so nothing fails there. These are
// allocations by operator new: what C libraries take from malloc does not fail here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/front/front.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "plugin/http/server.h"
#include "plugin/http/testing/free_port.h"
#include "plugin/http/testing/test_client.h"
#include "tests/border/abi_host.h"
#include "tests/border/failing_allocations.h"

namespace border {
namespace {

using ::testing::AnyOf;
using webhook::http::TestClient;

constexpr int64_t kMany = 5'000;
constexpr char kBasicLine[] = "Authorization: Basic dXNlcjpwYXNz\r\n";
constexpr absl::Duration kTimeToRecover = absl::Seconds(20);

class SilentLogger : public host_stub::Logger {
 public:
  void Log(host_stub::Severity, absl::string_view, absl::string_view) override {}
};

// Exposes what the front does for a request to allocations that fail.
class ExposedFront : public host_stub::Front {
 public:
  using Front::Front;
  webhook::http::HeadVerdict OnHead(webhook::http::Exchange& exchange) override {
    const Exposed exposed;
    return Front::OnHead(exchange);
  }
  void OnRequest(webhook::http::Exchange& exchange) override {
    const Exposed exposed;
    Front::OnRequest(exchange);
  }
};

webhook::Limits ShortLimits() {
  webhook::Limits limits;
  limits.head_timeout_ms = limits.body_timeout_ms = limits.answer_timeout_ms = 250;
  limits.write_timeout_ms = limits.linger_timeout_ms = 250;
  return limits;
}

// The parts of a host but gRPC, which ends the process where it has no memory.
class HostMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    FailOnlyExposed();
    StartHost();
  }
  void TearDown() override { StopHost(); }

  void StartHost() {
    char folder[] = "/tmp/gw-memory-XXXXXX";
    folder_ = mkdtemp(folder);
    auto store = host_stub::OpenSqliteStore({.data_dir = folder_ + "/data"});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    threads_ = *webhook::http::IoThreads::Start(1);
    const std::vector<std::pair<std::string, std::string>> short_times = {
        {"head_timeout_ms", "250"},  {"body_timeout_ms", "250"},   {"answer_timeout_ms", "250"},
        {"write_timeout_ms", "250"}, {"linger_timeout_ms", "250"},
    };
    auto plugin = host_stub::HostedPlugin::Load(kPlugin, {.io_threads = 1, .limits = short_times},
                                                {.store = store_,
                                                 .state = store_,
                                                 .logger = std::make_shared<SilentLogger>(),
                                                 .threads = host_stub::CompletionsOn(threads_),
                                                 .limits = ShortLimits()});
    ASSERT_TRUE(plugin.ok()) << plugin.status();
    plugin_ = *std::move(plugin);
  }

  void Serve(Pairs parameters) {
    host_stub::InstanceSpec spec;
    spec.uid = host_stub::NewInstanceUid();
    spec.name = "webhook";
    spec.product = "XSOAR_8_ON_PREM";
    spec.on_engine = true;
    spec.parameters = std::move(parameters);
    spec.parameters.push_back({"longRunningPort", std::to_string(port_)});
    spec.parameters.push_back({"bind_address", webhook::http::OwnAddress()});
    auto instance = plugin_->CreateInstance(spec);
    ASSERT_TRUE(instance.ok()) << instance.status();
    instance_ = *std::move(instance);
    ASSERT_TRUE(instance_->Start().ok());
    host_stub::InstanceEntry entry;
    entry.settings.name = "webhook";
    entry.instance = instance_;
    auto snapshot = std::make_shared<host_stub::InstanceSnapshot>();
    ASSERT_TRUE(snapshot->Put(std::move(entry)).ok());
    path_ = snapshot->Find("webhook")->path_prefix + "webhook";
    instances_->Publish(std::move(snapshot));
    front_ = std::make_unique<ExposedFront>(
        instances_, *threads_,
        std::make_shared<host_stub::Traffic>(1'000, std::make_shared<SilentLogger>()), 250);
    auto server = webhook::http::Server::Listen({.limits = ShortLimits()}, *threads_, *front_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  void StopHost() {
    if (server_ == nullptr) return;
    // Nothing is left in flight that a drain would wait for.
    EXPECT_EQ(instance_->Stop(absl::Now() + kTimeToRecover), absl::OkStatus());
    server_.reset();
    instances_->Publish(std::make_shared<host_stub::InstanceSnapshot>());
    front_->RefreshThreads();
    for (const std::string& id : acknowledged_) {
      int64_t number = 0;
      ASSERT_TRUE(absl::SimpleAtoi(id, &number)) << id;
      EXPECT_TRUE(store_->Get(number).ok()) << id;
    }
    acknowledged_.clear();
    store_->Close();
    threads_->Stop();
    front_.reset();
    EXPECT_EQ(instance_.use_count(), 1);
    instance_.reset();
    plugin_.reset();
    EXPECT_EQ(system(("rm -rf " + folder_).c_str()), 0);
  }

  // The status of the answer; 0: the connection was closed without one.
  // On port_ the instance answers itself.
  int Ask(uint16_t port, const std::string& request) {
    TestClient client(port, port == port_ ? webhook::http::OwnAddress() : "127.0.0.1");
    if (!client.connected() || !client.Send(request)) return 0;
    const auto answer = client.ReadAnswer();
    if (!answer.has_value()) {
      EXPECT_TRUE(client.closed()) << "neither answered nor closed";
      return 0;
    }
    if (answer->status == 200) Acknowledge(answer->body);
    return answer->status;
  }

  void Acknowledge(const std::string& body) {
    const size_t begin = body.find(R"("id":")");
    ASSERT_NE(begin, std::string::npos) << body;
    acknowledged_.push_back(body.substr(begin + 6, body.find('"', begin + 6) - begin - 6));
  }

  // Each time with another request, so that nothing is a duplicate.
  void AskWhileMemoryRunsOut(const decltype(&FailNth) fail,
                             const std::function<std::string()>& request) {
    const Spared spared;
    for (int64_t n = 1;; ++n) {
      ASSERT_LT(n, kMany);
      const bool failed = AskOnce(n, fail, server_->port(), request);
      if (HasFatalFailure()) return;
      if (failed) continue;
      EXPECT_GT(n, 1);
      return;
    }
  }

  // Once, with the nth allocation failing, or from it on. True: one failed.
  bool AskOnce(int64_t n, const decltype(&FailNth) fail, uint16_t port,
               const std::function<std::string()>& request) {
    SCOPED_TRACE(testing::Message() << (fail == &FailNth ? "the one " : "from ") << n);
    fail(n);
    const int status = Ask(port, request());
    const bool failed = StopFailing();
    if (failed) {
      EXPECT_THAT(status, AnyOf(0, 200, 408, 500, 503, 504));
    } else {
      EXPECT_EQ(status, 200);
    }
    AwaitService(port, request);
    return failed;
  }

  // The first request of one host after the other: nothing is warm yet, and the batch is so large
  // that buffers grow.
  void AskNewHosts(const decltype(&FailNth) fail) {
    Pairs parameters = Basic();
    parameters.push_back({"store_samples", "true"});
    parameters.push_back({"duplication_key", "id"});
    int id = 0;
    const auto request = [&] {
      std::string body;
      for (int i = 0; i < 100; ++i) {
        absl::StrAppend(&body, body.empty() ? "[" : ",", R"({"name":"n","rawJson":{"id":)", ++id,
                        R"(,"text":"longer than a short string is"}})");
      }
      return webhook::http::Post(path_, body + "]", kBasicLine);
    };
    const Spared spared;
    // Where all fail from one on, the next one on is seldom another way.
    const int64_t step = fail == &FailNth ? 1 : 7;
    for (int64_t n = 1;; n += step) {
      ASSERT_LT(n, kMany);
      if (plugin_ == nullptr) StartHost();
      Serve(parameters);
      const bool failed = AskOnce(n, fail, server_->port(), request);
      StopHost();
      if (HasFatalFailure()) return;
      if (failed) continue;
      EXPECT_GT(n, 10);
      break;
    }
  }

  void AwaitService(uint16_t port, const std::function<std::string()>& request) {
    const absl::Time deadline = absl::Now() + kTimeToRecover;
    int status = 0;
    while ((status = Ask(port, request())) != 200 && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    ASSERT_EQ(status, 200);
  }

  const uint16_t port_ = webhook::http::FreePort();  // that the instance listens on
  std::string folder_, path_;
  std::shared_ptr<host_stub::Store> store_;
  std::shared_ptr<webhook::http::IoThreads> threads_;
  std::shared_ptr<host_stub::HostedPlugin> plugin_;
  std::shared_ptr<host_stub::HostedInstance> instance_;
  std::shared_ptr<host_stub::PublishedInstances> instances_ =
      std::make_shared<host_stub::PublishedInstances>();
  std::unique_ptr<ExposedFront> front_;
  std::shared_ptr<webhook::http::Server> server_;
  std::vector<std::string> acknowledged_;
};

TEST_F(HostMemoryTest, RequestToTheFrontEndsInAnAnswerOrAClosedConnection) {
  Pairs parameters = Basic();
  parameters.push_back({"store_samples", "true"});
  parameters.push_back({"duplication_key", "id"});
  // A new host for each, because one that is warm allocates nothing for this request.
  for (const auto fail : {&FailNth, &FailFrom}) {
    if (plugin_ == nullptr) StartHost();
    Serve(parameters);
    AskWhileMemoryRunsOut(fail, [this, id = 0]() mutable {
      id += 2;
      return webhook::http::Post(
          path_, absl::StrCat(R"([{"name":"n","id":)", id, R"(},{"id":)", id + 1, "}]"),
          kBasicLine);
    });
    StopHost();
  }
}

TEST_F(HostMemoryTest, FirstRequestOfAHostEndsInAnAnswerOrAClosedConnection) {
  AskNewHosts(&FailNth);
}

TEST_F(HostMemoryTest, FirstRequestOfAHostSurvivesThatNothingIsLeft) { AskNewHosts(&FailFrom); }

TEST_F(HostMemoryTest, RefusalEndsInAnAnswerOrAClosedConnection) {
  Serve(Basic());
  const Spared spared;
  for (int64_t n = 1;; ++n) {
    ASSERT_LT(n, kMany);
    FailNth(n);
    const int status = Ask(server_->port(), webhook::http::Post(path_, "{}"));
    const bool failed = StopFailing();
    if (!failed) {
      EXPECT_EQ(status, 401);
      break;
    }
    EXPECT_THAT(status, AnyOf(0, 401, 408, 500, 503));
  }
}

}  // namespace
}  // namespace border
