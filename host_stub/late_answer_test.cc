// A sender that got a 504 must be able to rely on it: what it sent is not created afterwards,
// unless the answer said that this is not known. The disk is slow at the worst moment.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "host_stub/host.h"
#include "host_stub/store/testing/fault_vfs.h"
#include "plugin/http/testing/free_port.h"
#include "plugin/http/testing/test_client.h"

namespace host_stub {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using webhook::http::Answer;
using webhook::http::FreePort;
using webhook::http::OwnAddress;
using webhook::http::Post;
using webhook::http::TestClient;

class LateAnswerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/late-answer-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    listen_port_ = FreePort();
    std::ofstream(folder_ + "/config.json") << absl::StrCat(
        R"({"platform": {"product": "XSOAR_6", "url": "https://my.xsoar.live"},
            "serverConfiguration": {"instance.execute.external.webhook": "true"},
            "limits": {"answer_timeout_ms": 400},
            "instances": [{"name": "webhook", "configuration": {
              "bind_address": ")",
        OwnAddress(), R"(", "longRunningPort": ")", listen_port_, R"("}}]})");
    auto configuration = LoadConfiguration(folder_ + "/config.json");
    ASSERT_TRUE(configuration.ok()) << configuration.status();
    HostOptions options;
    options.plugin_file = std::filesystem::absolute("plugin/webhook_plugin.so");
    options.configuration = *std::move(configuration);
    options.data_dir = folder_ + "/data";
    options.http_address = options.grpc.address = "127.0.0.1:0";
    options.logger = NewFileDescriptorLogger(STDERR_FILENO, LogFormat::kText, Severity::kError,
                                             /*lines_per_second=*/100);
    auto host = Host::Start(std::move(options));
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    const std::string& address = host_->http_address();
    int port = 0;
    ASSERT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    front_port_ = static_cast<uint16_t>(port);
  }

  void TearDown() override {
    host_.reset();
    std::filesystem::remove_all(folder_);
  }

  // The names of all incidents that the database holds; the host is gone then.
  std::multiset<std::string> StopAndReadNames() {
    EXPECT_TRUE(host_->Drain(absl::Seconds(30)).ok());
    host_.reset();
    std::multiset<std::string> names;
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open((folder_ + "/data/incidents.db").c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(
                  database, "SELECT name FROM incidents",
                  [](void* names, int, char** columns, char**) {
                    static_cast<std::multiset<std::string>*>(names)->insert(columns[0]);
                    return 0;
                  },
                  &names, nullptr),
              SQLITE_OK);
    sqlite3_close(database);
    return names;
  }

  void ExpectNoDeceit(const std::string& address, uint16_t port, const std::string& path) {
    const auto post = [&](const std::string& name) {
      return Post(path, absl::StrCat("{\"name\":\"", name, "\"}"));
    };
    TestClient before(port, address), begun(port, address), waiting(port, address),
        last(port, address);
    ASSERT_TRUE(before.Send(post("before")));
    ASSERT_EQ(before.ReadAnswer()->status, 200);

    disk_.HoldSyncs();
    ASSERT_TRUE(begun.Send(post("begun")));
    disk_.AwaitHeldSync();  // of its commit
    ASSERT_TRUE(waiting.Send(post("waiting")));
    const std::optional<Answer> of_begun = begun.ReadAnswer();
    const std::optional<Answer> of_waiting = waiting.ReadAnswer();
    // One more timeout, so that the time of the one before is surely over.
    ASSERT_TRUE(last.Send(post("last")));
    const std::optional<Answer> of_last = last.ReadAnswer();
    disk_.ReleaseSyncs();
    TestClient after(port, address);
    ASSERT_TRUE(after.Send(post("after")));
    ASSERT_EQ(after.ReadAnswer()->status, 200);

    const std::multiset<std::string> names = StopAndReadNames();
    EXPECT_THAT(names, Contains("before"));
    EXPECT_THAT(names, Contains("begun"));  // its answer did not deny it
    EXPECT_THAT(names, Contains("after"));
    EXPECT_THAT(names, Not(Contains("waiting"))) << "it was begun after its sender's 504";
    ASSERT_TRUE(of_begun && of_waiting && of_last);
    for (const Answer* answer : {&*of_begun, &*of_waiting, &*of_last}) {
      EXPECT_EQ(answer->status, 504);
    }
    EXPECT_THAT(of_begun->body, HasSubstr("not known"));
    if (of_last->body.find("not known") == std::string::npos) {
      EXPECT_THAT(names, Not(Contains("last")));
    }
  }

  FaultVfs disk_{"late-answer", 0, FaultVfs::Use::kForAll};
  std::string folder_;
  std::unique_ptr<Host> host_;
  uint16_t front_port_ = 0;
  uint16_t listen_port_ = 0;
};

TEST_F(LateAnswerTest, NothingIsCreatedAfterA504OfTheFrontThatDoesNotSaySo) {
  ExpectNoDeceit("127.0.0.1", front_port_, "/instance/execute/webhook");
}

TEST_F(LateAnswerTest, NothingIsCreatedAfterA504OfTheListenPortThatDoesNotSaySo) {
  ExpectNoDeceit(OwnAddress(), listen_port_, "/");
}

TEST(HostDeathTest, MemoryThatRunsOutOutsideOfARequestEndsTheHostWithOneLine) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        EndWithOneLineOnExceptions();
        std::thread([] { throw std::bad_alloc(); }).join();
      },
      "host_stub: out of memory; the host ends. What was acknowledged is on disk");
}

}  // namespace
}  // namespace host_stub
