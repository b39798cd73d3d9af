// The life of instances over the real plugin: refusals, changes under load, restarts.
#include "host_stub/instances/instance_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "host_stub/instances/testing/instance_manager_test_util.h"
#include "host_stub/store/memory_store.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

sockaddr_in AnyAddress(const std::string& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(port)));
  return address;
}

// The socket of this process that listens on that port, or -1.
int ListeningSocket(const std::string& port) {
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    int listening = 0;
    socklen_t listening_size = sizeof listening;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (address.sin_family != AF_INET || address.sin_port != AnyAddress(port).sin_port) continue;
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_size);
    if (listening != 0) return fd;
  }
  return -1;
}

// Has a port although an instance listens on it.
class OtherProgram {
 public:
  explicit OtherProgram(const std::string& port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    const int yes = 1;
    // The listener's own address: another process may have this port on another address.
    sockaddr_in address{};
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(ListeningSocket(port), reinterpret_cast<sockaddr*>(&address), &size), 0);
    for (const int fd : {ListeningSocket(port), socket_}) {
      EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes), 0);
    }
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~OtherProgram() { close(socket_); }

 private:
  const int socket_;
};

TEST_F(InstanceManagerTest, WhatIsWrongIsRefusedWithTheFieldAndNothingIsKept) {
  Start();
  for (const std::string& name : {std::string(), std::string("a b"), std::string(65, 'a')}) {
    const absl::Status status = Create(New(name));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("A-Z a-z 0-9 _ -"));
  }
  absl::Status status = Create(New("hook", {{"passwrd", "secret"}}));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("passwrd"), HasSubstr("password"), Not(HasSubstr("secret"))));
  status = Create(New("hook", {{"password", "without a name"}}));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("username"));
  EXPECT_THAT(Names(), ElementsAre());
  EXPECT_EQ(test_.services.state->ListInstances()->size(), 0u);
}

TEST_F(InstanceManagerTest, TakenNameAndTakenPortAreRefused) {
  const Parameters listening = Listening();
  const std::string port = listening.at("longRunningPort");
  Start(FileOfXsoar6({{"first", listening}}));
  EXPECT_TRUE(absl::IsAlreadyExists(Create(New("first"))));
  const absl::Status status = Create(New("second", listening));
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(port), HasSubstr("\"first\"")));
  ASSERT_TRUE(Create(New("second", Listening())).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Set("second", "longRunningPort", port)));
  EXPECT_THAT(Names(), ElementsAre("first", "second"));
}

TEST_F(InstanceManagerTest, WhatTheFileNamesIsChangedInTheFile) {
  Start(File({{"hook", {}}}));
  for (const absl::Status& status :
       {Set("hook", "username", "x"), SetDisabled("hook", true), manager_->Delete("hook", "")}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("configuration file"));
  }
  EXPECT_EQ(Post("hook"), 200);
}

TEST_F(InstanceManagerTest, UnknownInstanceIsNotFound) {
  Start();
  EXPECT_TRUE(absl::IsNotFound(Set("none", "username", "x")));
  EXPECT_TRUE(absl::IsNotFound(manager_->Delete("none", "")));
}

TEST_F(InstanceManagerTest, AnotherEtagIsRefusedAndAnOldOneBecomesAnother) {
  Start();
  ASSERT_TRUE(Create(New("hook")).ok());
  const std::string old = Listed("hook")->etag;
  ASSERT_TRUE(Set("hook", "incidentType", "Phishing").ok());
  EXPECT_NE(Listed("hook")->etag, old);
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Delete("hook", old)));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(manager_
                                     ->Update(
                                         "hook", old, [](auto&) { return absl::OkStatus(); }, false)
                                     .status()));
  EXPECT_TRUE(manager_->Delete("hook", Listed("hook")->etag).ok());
}

TEST_F(InstanceManagerTest, UpdateThatChangesNothingKeepsTheEtag) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  const std::string etag = Listed("hook")->etag;
  ASSERT_TRUE(Set("hook", "password", "old").ok());
  EXPECT_EQ(Listed("hook")->etag, etag);
}

TEST_F(InstanceManagerTest, RefusedChangeLeavesTheInstanceAsItWas) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Set("hook", "username", "")));
  EXPECT_EQ(Post("hook", "user:old"), 200);
  EXPECT_EQ(Listed("hook")->parameters.size(), 1u);
}

TEST_F(InstanceManagerTest, StoreThatRefusesChangesNothing) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  StoredInstance rival;
  rival.uid = "rival";
  rival.name = "new";
  rival.configuration = "{\"parameters\":{}}";
  ASSERT_TRUE(test_.services.state->SaveInstance(rival).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Create(New("new"))));
  EXPECT_THAT(Names(), ElementsAre("hook"));
  EXPECT_EQ(Post("new"), 0);
}

TEST_F(InstanceManagerTest, ValidationAloneChangesNothing) {
  Start();
  const auto valid = manager_->Create(New("hook"), /*validate_only=*/true);
  ASSERT_TRUE(valid.ok());
  EXPECT_EQ(valid->uid, "");
  EXPECT_EQ(valid->etag, "");
  EXPECT_THAT(Names(), ElementsAre());
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  const auto change = [](InstanceSettings& settings) {
    settings.parameters["password"] = "new";
    return absl::OkStatus();
  };
  const std::string etag = Listed("hook")->etag;
  EXPECT_EQ(manager_->Update("hook", "", change, /*validate_only=*/true)->etag, etag);
  EXPECT_EQ(Listed("hook")->etag, etag);
  EXPECT_EQ(Post("hook", "user:old"), 200);
  EXPECT_EQ(Post("hook", "user:new"), 401);
}

TEST_F(InstanceManagerTest, SecretsAreNamedAndNeverShown) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "secret"}})).ok());
  const ListedInstance listed = *Listed("hook");
  EXPECT_THAT(listed.secrets_set, ElementsAre("password"));
  EXPECT_THAT(listed.parameters,
              ElementsAre(std::pair<std::string, std::string>("username", "user")));
}

TEST_F(InstanceManagerTest, SameRequestIdGivesTheFirstResult) {
  Start();
  InstanceSettings settings = New("hook");
  settings.request_id = "11111111-2222-3333-4444-555555555555";
  const auto first = manager_->Create(settings, false);
  const auto second = manager_->Create(settings, false);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(first->uid, second->uid);
  settings.name = "other";
  const absl::Status other = Create(settings);
  EXPECT_TRUE(absl::IsAlreadyExists(other)) << other;
  EXPECT_THAT(std::string(other.message()), AllOf(HasSubstr("request_id"), HasSubstr("\"hook\"")));
  settings.name = "hook";
  settings.request_id = "";
  EXPECT_TRUE(absl::IsAlreadyExists(Create(settings)));
}

TEST_F(InstanceManagerTest, ParameterThatIsNotKnownIsRefusedAlsoWhereItIsToBeRemoved) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  const absl::Status status = Set("hook", "pasword", "");
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("parameters.pasword"));
}

TEST_F(InstanceManagerTest, LifeOfAnInstance) {
  Start();
  EXPECT_EQ(Post("hook"), 0);
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  EXPECT_EQ(Post("hook", "user:old"), 200);
  ASSERT_TRUE(Set("hook", "password", "new").ok());
  EXPECT_EQ(Post("hook", "user:old"), 401);
  EXPECT_EQ(Post("hook", "user:new"), 200);
  ASSERT_TRUE(SetDisabled("hook", true).ok());
  EXPECT_EQ(Post("hook", "user:new"), 0);
  EXPECT_TRUE(Listed("hook")->disabled);
  ASSERT_TRUE(SetDisabled("hook", false).ok());
  EXPECT_EQ(Post("hook", "user:new"), 200);
  ASSERT_TRUE(manager_->Delete("hook", "").ok());
  EXPECT_EQ(Post("hook", "user:new"), 0);
  ASSERT_TRUE(Create(New("hook")).ok());
  EXPECT_EQ(Post("hook"), 200);
}

TEST_F(InstanceManagerTest, PortIsFreeAgainWhenItsInstanceIsDisabledOrDeleted) {
  Start(FileOfXsoar6({}));
  const Parameters listening = Listening();
  ASSERT_TRUE(Create(New("a", listening)).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Create(New("b", listening))));
  ASSERT_TRUE(SetDisabled("a", true).ok());
  ASSERT_TRUE(SetDisabled("a", false).ok());
  EXPECT_FALSE(Listed("a")->start_error.has_value());
  ASSERT_TRUE(Set("a", "incidentType", "Phishing").ok());
  ASSERT_TRUE(manager_->Delete("a", "").ok());
  const absl::Status again = Create(New("b", listening));
  EXPECT_TRUE(again.ok()) << again;
}

TEST_F(InstanceManagerTest, RestartBringsTheStoresInstancesBack) {
  Start();
  ASSERT_TRUE(
      Create(New("hook", {{"username", "u"}, {"password", "p\"\\ "}, {"incidentType", "\"\\\n\t"}}))
          .ok());
  ASSERT_TRUE(Create(New("off")).ok());
  ASSERT_TRUE(SetDisabled("off", true).ok());
  const ListedInstance before = *Listed("hook");
  Restart(File({{"filed", {}}}));
  EXPECT_THAT(Names(), ElementsAre("filed", "hook", "off"));
  const ListedInstance after = *Listed("hook");
  EXPECT_EQ(after.uid, before.uid);
  EXPECT_EQ(after.etag, before.etag);
  EXPECT_EQ(after.created, before.created);
  EXPECT_EQ(after.parameters, before.parameters);
  EXPECT_THAT(after.secrets_set, ElementsAre("password"));
  EXPECT_TRUE(Listed("off")->disabled);
  EXPECT_EQ(Instance("off"), nullptr);
}

TEST_F(InstanceManagerTest, StoredInstanceThatCannotBeMadeDoesNotStopTheHost) {
  StoredInstance bad;
  bad.uid = "1";
  bad.name = "bad";
  bad.configuration = R"({"parameters":{"password":"without a name"}})";
  ASSERT_TRUE(test_.services.state->SaveInstance(bad).ok());
  StoredInstance broken = bad;
  broken.uid = "2";
  broken.name = "broken";
  broken.configuration = "{";
  ASSERT_TRUE(test_.services.state->SaveInstance(broken).ok());
  Start(File({{"good", {}}}));
  EXPECT_EQ(Post("good"), 200);
  ASSERT_TRUE(Listed("bad")->start_error.has_value());
  EXPECT_THAT(Listed("bad")->start_error->message, HasSubstr("username"));
  // Without its parameters it would let anybody in.
  absl::SleepFor(absl::Milliseconds(50));  // five of the pauses before it would be tried again
  EXPECT_TRUE(Listed("broken")->start_error.has_value());
  EXPECT_TRUE(absl::IsFailedPrecondition(SetDisabled("broken", true)));
  // And can be mended.
  EXPECT_TRUE(Set("bad", "username", "user").ok());
  EXPECT_FALSE(Listed("bad")->start_error.has_value());
}

TEST_F(InstanceManagerTest, FilesInstanceThatDoesNotStartIsNamed) {
  const absl::Status status = TryToStart(File({{"hook", {{"password", "x"}}}}));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("hook"), HasSubstr("username")));
}

TEST_F(InstanceManagerTest, FilesInstanceIsServedWhereTheStoreHasOneOfThatName) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "stored"}})).ok());
  Restart(File({{"hook", {{"username", "user"}, {"password", "filed"}}}}));
  EXPECT_THAT(Names(), ElementsAre("hook"));
  EXPECT_TRUE(Listed("hook")->in_file);
  EXPECT_EQ(Post("hook", "user:filed"), 200);
  EXPECT_EQ(Post("hook", "user:stored"), 401);
  EXPECT_THAT(test_.logger->lines(),
              Contains(HasSubstr("the store has an instance of this name too")));
  // It is hidden, and not lost.
  Restart();
  EXPECT_FALSE(Listed("hook")->in_file);
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Reload(File({{"hook", {}}}))));
}

TEST_F(InstanceManagerTest, ListenerThatDiesIsToldByHealthAndPutUpAgain) {
  const Parameters listening = Listening();
  const std::string port = listening.at("longRunningPort");
  Start(FileOfXsoar6({}));
  ASSERT_TRUE(Create(New("hook", listening)).ok());
  const std::shared_ptr<HostedInstance> instance = Instance("hook");
  ASSERT_EQ(instance->health().state, HealthState::kHealthy);
  {
    // Another program gets the port as soon as it is free, so that it cannot come back at once.
    const OtherProgram other(port);
    shutdown(ListeningSocket(port), SHUT_RDWR);
    test_.logger->AwaitLine("is unhealthy");
    EXPECT_EQ(instance->health().state, HealthState::kUnhealthy);
    EXPECT_THAT(instance->health().message, AllOf(HasSubstr(port), HasSubstr("does not listen")));
    // What comes by the host is served all the same.
    Configuration open = FileOfXsoar6({});
    open.server_configuration["instance.execute.external.hook"] = "true";
    ASSERT_TRUE(manager_->Reload(open).ok());
    EXPECT_EQ(Post("hook"), 200);
    test_.logger->AwaitLine("is in use); trying again in 1s");
  }
  test_.logger->AwaitLine("it listens again");
  test_.logger->AwaitLine("is healthy");
  EXPECT_EQ(instance->health().state, HealthState::kHealthy);
  EXPECT_THAT(instance->health().last_fault, HasSubstr("does not listen"));
  EXPECT_GE(ListeningSocket(port), 0);
}

// The front's and gRPC's references stand for requests that do not end.
TEST_F(InstanceManagerTest, ChangesWaitWhileTooManyEarlierInstancesHaveRequests) {
  std::vector<InstanceConfiguration> many;
  for (int i = 0; i < 64; ++i) many.push_back({absl::StrCat("hook-", i), {}});
  Start(File(many));
  std::vector<std::shared_ptr<HostedInstance>> busy;
  for (const InstanceConfiguration& one : many) busy.push_back(Instance(one.name));
  ASSERT_TRUE(manager_->Reload(File({})).ok());
  const absl::Status refused = Create(New("one-more"));
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("earlier instances still have requests"));
  busy.clear();
  absl::Status status = refused;
  while (absl::IsUnavailable(status)) status = Create(New("one-more"));
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(InstanceManagerTest, RequestsUnderWayNeverFailWhileSettingsChange) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "0"}})).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        // The password is either the old or the new one. One of each two is right, so the sender is
        // not slowed down.
        for (const char* const credentials : {"user:0", "user:1"}) {
          const int status = Post("hook", credentials);
          EXPECT_TRUE(status == 200 || status == 401) << status;
          ++answered;
        }
      }
    });
  }
  for (int i = 1; i <= 40; ++i) {
    const int before = answered;
    ASSERT_TRUE(Set("hook", "password", std::to_string(i % 2)).ok());
    while (answered < before + 20) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Post("hook", "user:0"), 200);
}

// "WHO WHAT INSTANCE OUTCOME PARAMETERS" of each entry, oldest first.
std::vector<std::string> AuditOf(StateStore& store) {
  std::vector<std::string> lines;
  const auto entries = store.ListAudit(0, 100);
  EXPECT_TRUE(entries.ok()) << entries.status();
  for (const AuditEntry& entry : *entries) {
    EXPECT_GT(entry.time, absl::Now() - absl::Minutes(10));
    lines.insert(lines.begin(),
                 absl::StrCat(entry.who, " ", entry.what, " ", entry.instance, " ", entry.outcome,
                              " ", absl::StrJoin(entry.parameters, ",")));
  }
  return lines;
}

TEST_F(InstanceManagerTest, ChangesAreAuditedWithTheNamesOfWhatChangedAndNothingElseIs) {
  Start(File({{"filed", {{"username", "user"}, {"password", "old"}}}}));
  const auto by = [](const char* what, const char* instance) {
    AuditEntry audit;
    audit.who = "somebody";
    audit.what = what;
    audit.instance = instance;
    return audit;
  };
  const InstanceSettings hook = New("hook", {{"username", "user"}, {"password", "planted"}});
  const auto change = [](InstanceSettings& settings) {
    settings.parameters = {{"username", "user"}, {"password", "planted-2"}, {"incidentType", "a"}};
    settings.disabled = true;
    return absl::OkStatus();
  };
  ASSERT_TRUE(manager_->Create(hook, /*validate_only=*/true, by("create", "hook")).ok());
  EXPECT_FALSE(manager_->Create(New("hook", {{"passwrd", "x"}}), false, by("create", "hook")).ok());
  EXPECT_THAT(AuditOf(*test_.services.state), ElementsAre());
  ASSERT_TRUE(manager_->Create(hook, false, by("create", "hook")).ok());
  ASSERT_TRUE(manager_->Update("hook", "", change, true, by("update", "hook")).ok());
  ASSERT_TRUE(manager_->Update("hook", "", change, false, by("update", "hook")).ok());
  ASSERT_TRUE(manager_->Update("hook", "", change, false, by("update", "hook")).ok());
  ASSERT_TRUE(manager_->Delete("hook", "", by("delete", "hook")).ok());
  Configuration file = File({{"filed", {{"username", "user"}, {"password", "planted-3"}}}});
  file.server_configuration["key"] = "value";
  ASSERT_TRUE(manager_->Reload(file, by("reload", "")).ok());
  ASSERT_TRUE(manager_->Reload(File({{"other", {}}}), by("reload", "")).ok());
  EXPECT_TRUE(manager_->AuditNoChange(by("delete", "none"), absl::NotFoundError("none")).ok());
  EXPECT_THAT(AuditOf(*test_.services.state),
              ElementsAre("somebody create hook OK password,username",
                          "somebody update hook OK incidentType,password,disabled",
                          "somebody update hook OK ", "somebody delete hook OK ",
                          "somebody reload  OK serverConfiguration,filed.password",
                          "somebody reload  OK serverConfiguration,other,filed",
                          "somebody delete none NOT_FOUND "));
}

// Its audit cannot be written.
class StateWithoutAudit : public StateStore {
 public:
  explicit StateWithoutAudit(std::shared_ptr<StateStore> store) : store_(std::move(store)) {}

  absl::Status GetContext(absl::string_view uid, absl::string_view key, ContextDone done) override {
    return store_->GetContext(uid, key, std::move(done));
  }
  absl::Status SetContext(absl::string_view uid, absl::string_view key, std::string value,
                          ContextDone done) override {
    return store_->SetContext(uid, key, std::move(value), std::move(done));
  }
  absl::StatusOr<std::vector<StoredInstance>> ListInstances(int64_t* version) override {
    return store_->ListInstances(version);
  }
  absl::Status SaveInstance(const StoredInstance& instance, const AuditEntry* audit,
                            int64_t) override {
    return audit == nullptr ? store_->SaveInstance(instance, nullptr) : Fault();
  }
  absl::Status DeleteInstance(absl::string_view uid, const AuditEntry* audit, int64_t) override {
    return audit == nullptr ? store_->DeleteInstance(uid, nullptr) : Fault();
  }
  absl::Status AddAudit(const AuditEntry&) override { return Fault(); }
  absl::StatusOr<std::vector<AuditEntry>> ListAudit(int64_t, int64_t) override { return Fault(); }

 private:
  static absl::Status Fault() { return absl::UnavailableError("no audit"); }

  const std::shared_ptr<StateStore> store_;
};

TEST_F(InstanceManagerTest, AChangeWhoseAuditCannotBeStoredIsRefusedAndChangesNothing) {
  const Configuration file = File({{"filed", {{"username", "user"}, {"password", "old"}}}});
  Start(file);
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  End();
  test_.services.state = std::make_shared<StateWithoutAudit>(test_.services.state);
  Start(file);
  EXPECT_TRUE(absl::IsUnavailable(Create(New("more"))));
  EXPECT_TRUE(absl::IsUnavailable(Set("hook", "password", "new")));
  EXPECT_TRUE(absl::IsUnavailable(Set("hook", "password", "old")));  // nothing to change
  EXPECT_TRUE(absl::IsUnavailable(SetDisabled("hook", true)));
  EXPECT_TRUE(absl::IsUnavailable(manager_->Delete("hook", "")));
  EXPECT_TRUE(absl::IsUnavailable(manager_->Reload(File({}))));
  EXPECT_THAT(Names(), ElementsAre("filed", "hook"));
  EXPECT_EQ(Post("hook", "user:old"), 200);
  EXPECT_EQ(Post("filed", "user:old"), 200);
}

}  // namespace
}  // namespace host_stub
