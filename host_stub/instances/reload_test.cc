// The configuration file read again: one change, whole or not at all, while requests come in.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/instances/testing/instance_manager_test_util.h"
#include "plugin/http/testing/free_port.h"
#include "plugin/http/testing/test_client.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::webhook::http::Answer;
using ::webhook::http::FreePort;
using ::webhook::http::FreePorts;
using ::webhook::http::OwnAddress;
using ::webhook::http::TestClient;

// An instance with a listen port.
std::pair<const std::string, Parameters> On(const std::string& name, uint16_t port) {
  return {name, Listening(port)};
}

class ReloadTest : public InstanceManagerTest {
 protected:
  static Answer PostToPort(uint16_t port) {
    TestClient client(port, OwnAddress());
    client.Send(webhook::http::Post("/", "{}"));
    return client.ReadAnswer().value_or(Answer{});
  }
  // The instance that answers on that port.
  static std::string Owner(uint16_t port) {
    const std::string body = PostToPort(port).body;
    for (const char* name : {"a", "b", "c"}) {
      if (body.find(absl::StrCat("\"sourceInstance\":\"", name, "\"")) != std::string::npos) {
        return name;
      }
    }
    return body;
  }

  // Reloads that file while senders post to the ports. Their connections may be refused while a
  // port goes from one instance to another, but every answer is 200.
  void ReloadUnderLoad(const Configuration& configuration, const std::vector<uint16_t>& ports) {
    std::atomic<bool> end{false};
    std::vector<std::atomic<int>> answers(ports.size());
    std::vector<std::thread> senders;
    for (size_t i = 0; i < ports.size(); ++i) {
      senders.emplace_back([&, i] {
        while (!end) {
          const int status = PostToPort(ports[i]).status;
          EXPECT_TRUE(status == 200 || status == 0) << status;
          if (status == 200) ++answers[i];
        }
      });
    }
    const auto await_answers = [&] {
      for (std::atomic<int>& count : answers) {
        for (const int before = count; count < before + 20;) std::this_thread::yield();
      }
    };
    await_answers();
    const absl::Status status = manager_->Reload(configuration);
    EXPECT_TRUE(status.ok()) << status;
    await_answers();
    end = true;
    for (std::thread& sender : senders) sender.join();
  }
};

TEST_F(ReloadTest, RefusedReloadLeavesAllAsItWas) {
  Start(File({{"a", {{"username", "user"}, {"password", "old"}}}, {"b", {}}}));
  ASSERT_TRUE(Create(New("stored")).ok());
  const absl::Status bad = manager_->Reload(
      File({{"a", {{"username", "user"}, {"password", "new"}}}, {"c", {{"password", "x"}}}}));
  EXPECT_TRUE(absl::IsInvalidArgument(bad)) << bad;
  EXPECT_THAT(std::string(bad.message()), AllOf(HasSubstr("instance c"), HasSubstr("username")));
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Reload(File({{"stored", {}}}))));
  Configuration limits = File({});
  limits.limits_set = {{"body_bytes", "1"}};
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Reload(limits)));
  EXPECT_THAT(Names(), ElementsAre("a", "b", "stored"));
  EXPECT_EQ(Post("a", "user:old"), 200);
  EXPECT_EQ(Post("b"), 200);
}

TEST_F(ReloadTest, RefusalNamesTheInstanceAlsoWhereOnlyOneChanges) {
  Start(File({{"a", {}}}));
  const absl::Status bad = manager_->Reload(File({{"a", {{"password", "without a name"}}}}));
  EXPECT_THAT(std::string(bad.message()), HasSubstr("instance a: "));
}

TEST_F(ReloadTest, ReloadAddsChangesAndRemovesAsOneChange) {
  Start(File({{"a", {{"username", "user"}, {"password", "old"}}}, {"b", {}}, {"same", {}}}));
  const std::shared_ptr<HostedInstance> same = Instance("same");
  const absl::Status status = manager_->Reload(
      File({{"a", {{"username", "user"}, {"password", "new"}}}, {"c", {}}, {"same", {}}}));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Names(), ElementsAre("a", "c", "same"));
  EXPECT_EQ(Post("a", "user:old"), 401);
  EXPECT_EQ(Post("a", "user:new"), 200);
  EXPECT_EQ(Post("b"), 0);
  EXPECT_EQ(Post("c"), 200);
  EXPECT_EQ(Instance("same"), same);
}

TEST_F(ReloadTest, ReloadChangesTheServerConfigurationForAll) {
  const Parameters filed = Listening();
  Start(FileOfXsoar6({{"filed", filed}}));
  ASSERT_TRUE(Create(New("stored", Listening())).ok());
  const auto outcome = [&](const std::string& name) {
    return instances_->current()->FindPath("/instance/execute/" + name).outcome;
  };
  EXPECT_EQ(outcome("filed"), InstanceSnapshot::Outcome::kFound);
  EXPECT_EQ(outcome("stored"), InstanceSnapshot::Outcome::kClosed);
  Configuration next = FileOfXsoar6({{"filed", filed}});
  next.server_configuration = {{"instance.execute.external.stored", "true"}};
  ASSERT_TRUE(manager_->Reload(next).ok());
  EXPECT_EQ(outcome("filed"), InstanceSnapshot::Outcome::kClosed);
  EXPECT_EQ(outcome("stored"), InstanceSnapshot::Outcome::kFound);
}

TEST_F(ReloadTest, OnePortForTwoIsRefused) {
  const uint16_t port = FreePort();
  Start(FileOfXsoar6({On("a", port)}));
  const absl::Status status = manager_->Reload(FileOfXsoar6({On("a", port), On("b", port)}));
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("instance "), HasSubstr(absl::StrCat(port))));
  EXPECT_EQ(Owner(port), "a");
}

TEST_F(ReloadTest, RefusedReloadLeavesAPortThatWouldHaveChangedHands) {
  const uint16_t port = FreePort();
  Start(FileOfXsoar6({On("a", port)}));
  const absl::Status status =
      manager_->Reload(FileOfXsoar6({On("b", port), {"c", {{"password", "without a name"}}}}));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(Names(), ElementsAre("a"));
  EXPECT_EQ(Owner(port), "a");
  ASSERT_TRUE(manager_->Reload(FileOfXsoar6({On("b", port)})).ok());
  EXPECT_EQ(Owner(port), "b");
}

TEST_F(ReloadTest, NewInstanceTakesThePortOfOneThatIsRemoved) {
  const uint16_t port = FreePort();
  Start(FileOfXsoar6({On("a", port)}));
  ReloadUnderLoad(FileOfXsoar6({On("b", port)}), {port});
  EXPECT_THAT(Names(), ElementsAre("b"));
  EXPECT_EQ(Owner(port), "b");
  EXPECT_FALSE(Listed("b")->start_error.has_value());
}

TEST_F(ReloadTest, InstanceMovesToThePortOfOneThatIsRemoved) {
  const uint16_t port = FreePort(), other = FreePort();
  Start(FileOfXsoar6({On("a", port), On("b", other)}));
  const std::shared_ptr<HostedInstance> b = Instance("b");
  ReloadUnderLoad(FileOfXsoar6({On("b", port)}), {port});
  EXPECT_EQ(Owner(port), "b");
  EXPECT_EQ(Instance("b"), b);
}

TEST_F(ReloadTest, NewInstanceTakesThePortThatAnotherLeaves) {
  const uint16_t port = FreePort(), other = FreePort();
  Start(FileOfXsoar6({On("a", port)}));
  ReloadUnderLoad(FileOfXsoar6({On("a", other), On("b", port)}), {port});
  EXPECT_EQ(Owner(other), "a");
  EXPECT_EQ(Owner(port), "b");
}

TEST_F(ReloadTest, InstancesSwapTheirPorts) {
  const uint16_t port = FreePort(), other = FreePort();
  Start(FileOfXsoar6({On("a", port), On("b", other)}));
  ReloadUnderLoad(FileOfXsoar6({On("a", other), On("b", port)}), {port, other});
  EXPECT_EQ(Owner(other), "a");
  EXPECT_EQ(Owner(port), "b");
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(Instance(name)->health().state, HealthState::kHealthy) << name;
  }
}

TEST_F(ReloadTest, PortsGoAroundInARing) {
  const std::vector<uint16_t> ports = FreePorts(3);
  Start(FileOfXsoar6({On("a", ports[0]), On("b", ports[1]), On("c", ports[2])}));
  ReloadUnderLoad(FileOfXsoar6({On("a", ports[1]), On("b", ports[2]), On("c", ports[0])}), ports);
  EXPECT_EQ(Owner(ports[1]), "a");
  EXPECT_EQ(Owner(ports[2]), "b");
  EXPECT_EQ(Owner(ports[0]), "c");
}

}  // namespace
}  // namespace host_stub
