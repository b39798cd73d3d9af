// The life of instances over the real plugin: refusals, changes under load, restarts, reloading.
#include "host_stub/instances/instance_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/engine_test_util.h"
#include "host_stub/front/route_table.h"
#include "host_stub/store/memory_store.h"
#include "plugin/http/free_port.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Parameters = std::map<std::string, std::string>;

// On a platform that asks for no parameter.
Configuration File(std::vector<InstanceConfiguration> instances) {
  Configuration configuration;
  configuration.platform.product = "XSOAR_8_ON_PREM";
  configuration.platform.url = "https://my.xsoar.live";
  configuration.instances = std::move(instances);
  return configuration;
}

// On a platform where each instance has a listen port, and is reached from outside by its key.
Configuration FileOfXsoar6(const std::map<std::string, Parameters>& instances) {
  Configuration configuration = File({});
  configuration.platform.product = "XSOAR_6";
  for (const auto& [name, parameters] : instances) {
    configuration.instances.push_back({name, {parameters.begin(), parameters.end()}});
    configuration.server_configuration["instance.execute.external." + name] = "true";
  }
  return configuration;
}

InstanceSettings New(const std::string& name, Parameters parameters = {}) {
  InstanceSettings settings;
  settings.name = name;
  settings.parameters = std::move(parameters);
  return settings;
}

// A listen port with an address of this test alone.
Parameters Listening(uint16_t port = webhook::http::FreePort()) {
  return {{"longRunningPort", std::to_string(port)}, {"bind_address", webhook::http::OwnAddress()}};
}

class InstanceManagerTest : public testing::Test {
 protected:
  InstanceManagerTest() {
    auto plugin = HostedPlugin::Load("plugin/webhook_plugin.so", PluginOptions(), test_.services);
    EXPECT_TRUE(plugin.ok()) << plugin.status();
    plugin_ = *std::move(plugin);
  }
  ~InstanceManagerTest() override { End(); }

  absl::Status TryToStart(const Configuration& configuration) {
    registry_ = std::make_shared<InstanceRegistry>();
    auto manager = InstanceManager::Start(
        {.plugin = plugin_,
         .registry = registry_,
         .store = test_.services.state,
         .logger = test_.logger,
         .publish = [this](auto routes) { routes_->Publish(std::move(routes)); },
         .drain_time = absl::Seconds(5),
         .first_retry_pause = absl::Milliseconds(10)},
        configuration);
    if (manager.ok()) manager_ = *std::move(manager);
    return manager.status();
  }
  void Start(const Configuration& configuration = File({})) {
    const absl::Status status = TryToStart(configuration);
    ASSERT_TRUE(status.ok()) << status;
  }
  void End() {
    if (manager_ != nullptr) manager_->Stop();
    if (registry_ != nullptr) {
      EXPECT_TRUE(registry_->StopAll(absl::Now() + absl::Seconds(10)).ok());
    }
    routes_->Publish(std::make_shared<Routes>());
    manager_.reset();
    registry_.reset();
  }
  void Restart(const Configuration& configuration = File({})) {
    End();
    Start(configuration);
  }

  absl::Status Create(InstanceSettings settings) {
    return manager_->Create(std::move(settings), /*validate_only=*/false).status();
  }
  absl::Status Set(const std::string& name, const std::string& parameter,
                   const std::string& value) {
    return manager_
        ->Update(
            name, "",
            [&](InstanceSettings& settings) {
              settings.parameters[parameter] = value;
              return absl::OkStatus();
            },
            /*validate_only=*/false)
        .status();
  }
  absl::Status SetDisabled(const std::string& name, bool disabled) {
    return manager_
        ->Update(
            name, "",
            [&](InstanceSettings& settings) {
              settings.disabled = disabled;
              return absl::OkStatus();
            },
            /*validate_only=*/false)
        .status();
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const ListedInstance& one : manager_->List()) names.push_back(one.name);
    return names;
  }

  // A request as the front forwards it: its status, 0 where no instance is found, 503 where one
  // refuses it.
  int Post(const std::string& name, const std::string& credentials = "") {
    RouteTable::Reader reader;
    const std::string path = "/xsoar/instance/execute/" + name;
    const std::string authorization = "Basic " + absl::Base64Escape(credentials);
    const lri_pair header = {ToView("Authorization"), ToView(authorization)};
    std::shared_ptr<HostedInstance> instance;
    while (true) {
      const Routes::Match match = reader.Get(*routes_)->Find(path);
      if (match.instance == nullptr) return 0;
      if (*match.instance == instance) return 503;
      instance = *match.instance;
      TestRequest request("{}");
      request.request().head.path = path;
      if (!credentials.empty()) request.request().head.headers = std::span(&header, 1);
      WaitingReceiver receiver;
      CallHandle handle;
      const absl::Status status = instance->Execute(request.request(), &receiver, &handle);
      if (absl::IsUnavailable(status)) continue;
      EXPECT_TRUE(status.ok()) << status;
      receiver.AwaitRelease();
      return receiver.status();
    }
  }

  TestServices test_;
  std::shared_ptr<HostedPlugin> plugin_;
  std::shared_ptr<InstanceRegistry> registry_;
  std::shared_ptr<RouteTable> routes_ = std::make_shared<RouteTable>();
  std::shared_ptr<InstanceManager> manager_;
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
  const auto listening = Listening();
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
  const std::string old = manager_->Find("hook")->etag;
  ASSERT_TRUE(Set("hook", "incidentType", "Phishing").ok());
  EXPECT_NE(manager_->Find("hook")->etag, old);
  EXPECT_TRUE(absl::IsFailedPrecondition(manager_->Delete("hook", old)));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(manager_
                                     ->Update(
                                         "hook", old, [](auto&) { return absl::OkStatus(); }, false)
                                     .status()));
  EXPECT_TRUE(manager_->Delete("hook", manager_->Find("hook")->etag).ok());
}

TEST_F(InstanceManagerTest, RefusedChangeLeavesTheInstanceAsItWas) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Set("hook", "username", "")));
  EXPECT_EQ(Post("hook", "user:old"), 200);
  EXPECT_EQ(manager_->Find("hook")->parameters.size(), 1u);
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
  EXPECT_TRUE(manager_->Create(New("hook"), /*validate_only=*/true).ok());
  EXPECT_THAT(Names(), ElementsAre());
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "old"}})).ok());
  const auto change = [](InstanceSettings& settings) {
    settings.parameters["password"] = "new";
    return absl::OkStatus();
  };
  EXPECT_TRUE(manager_->Update("hook", "", change, /*validate_only=*/true).ok());
  EXPECT_EQ(Post("hook", "user:old"), 200);
  EXPECT_EQ(Post("hook", "user:new"), 401);
}

TEST_F(InstanceManagerTest, SecretsAreNamedAndNeverShown) {
  Start();
  ASSERT_TRUE(Create(New("hook", {{"username", "user"}, {"password", "secret"}})).ok());
  const ListedInstance listed = *manager_->Find("hook");
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
  settings.request_id = "";
  EXPECT_TRUE(absl::IsAlreadyExists(Create(settings)));
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
  EXPECT_TRUE(manager_->Find("hook")->disabled);
  ASSERT_TRUE(SetDisabled("hook", false).ok());
  EXPECT_EQ(Post("hook", "user:new"), 200);
  ASSERT_TRUE(manager_->Delete("hook", "").ok());
  EXPECT_EQ(Post("hook", "user:new"), 0);
  ASSERT_TRUE(Create(New("hook")).ok());
  EXPECT_EQ(Post("hook"), 200);
}

TEST_F(InstanceManagerTest, PortIsFreeAgainWhenItsInstanceIsDisabledOrDeleted) {
  Start(FileOfXsoar6({}));
  const auto listening = Listening();
  ASSERT_TRUE(Create(New("a", listening)).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(Create(New("b", listening))));
  ASSERT_TRUE(SetDisabled("a", true).ok());
  ASSERT_TRUE(SetDisabled("a", false).ok());
  EXPECT_FALSE(manager_->Find("a")->trouble.has_value());
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
  const ListedInstance before = *manager_->Find("hook");
  Restart(File({{"filed", {}}}));
  EXPECT_THAT(Names(), ElementsAre("filed", "hook", "off"));
  const ListedInstance after = *manager_->Find("hook");
  EXPECT_EQ(after.uid, before.uid);
  EXPECT_EQ(after.etag, before.etag);
  EXPECT_EQ(after.created, before.created);
  EXPECT_EQ(after.parameters, before.parameters);
  EXPECT_THAT(after.secrets_set, ElementsAre("password"));
  EXPECT_TRUE(manager_->Find("off")->disabled);
  EXPECT_EQ(registry_->Find("off"), nullptr);
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
  ASSERT_TRUE(manager_->Find("bad")->trouble.has_value());
  EXPECT_THAT(manager_->Find("bad")->trouble->message, HasSubstr("username"));
  EXPECT_TRUE(manager_->Find("broken")->trouble.has_value());
  // And can be mended.
  EXPECT_TRUE(Set("bad", "username", "user").ok());
  EXPECT_FALSE(manager_->Find("bad")->trouble.has_value());
}

TEST_F(InstanceManagerTest, FilesInstanceThatDoesNotStartIsNamed) {
  const absl::Status status = TryToStart(File({{"hook", {{"password", "x"}}}}));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("hook"), HasSubstr("username")));
}

TEST_F(InstanceManagerTest, RefusedReloadLeavesAllAsItWas) {
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

TEST_F(InstanceManagerTest, ReloadAddsChangesAndRemovesAsOneChange) {
  Start(File({{"a", {{"username", "user"}, {"password", "old"}}}, {"b", {}}, {"same", {}}}));
  const std::shared_ptr<HostedInstance> same = registry_->Find("same");
  const absl::Status status = manager_->Reload(
      File({{"a", {{"username", "user"}, {"password", "new"}}}, {"c", {}}, {"same", {}}}));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Names(), ElementsAre("a", "c", "same"));
  EXPECT_EQ(Post("a", "user:old"), 401);
  EXPECT_EQ(Post("a", "user:new"), 200);
  EXPECT_EQ(Post("b"), 0);
  EXPECT_EQ(Post("c"), 200);
  EXPECT_EQ(registry_->Find("same"), same);
}

TEST_F(InstanceManagerTest, ReloadChangesTheServerConfigurationForAll) {
  const auto filed = Listening();
  Start(FileOfXsoar6({{"filed", filed}}));
  ASSERT_TRUE(Create(New("stored", Listening())).ok());
  const auto outcome = [&](const std::string& name) {
    return routes_->current()->Find("/instance/execute/" + name).outcome;
  };
  EXPECT_EQ(outcome("filed"), Routes::Outcome::kFound);
  EXPECT_EQ(outcome("stored"), Routes::Outcome::kNotExternal);
  Configuration next = FileOfXsoar6({{"filed", filed}});
  next.server_configuration = {{"instance.execute.external.stored", "true"}};
  ASSERT_TRUE(manager_->Reload(next).ok());
  EXPECT_EQ(outcome("filed"), Routes::Outcome::kNotExternal);
  EXPECT_EQ(outcome("stored"), Routes::Outcome::kFound);
}

// The front's and gRPC's references stand for requests that do not end.
TEST_F(InstanceManagerTest, ChangesWaitWhileTooManyEarlierInstancesHaveRequests) {
  std::vector<InstanceConfiguration> many;
  for (int i = 0; i < 64; ++i) many.push_back({absl::StrCat("hook-", i), {}});
  Configuration with = File(many);
  Configuration without = File({});
  with.platform.product = without.platform.product = "XSOAR_8_ON_PREM";
  Start(with);
  std::vector<std::shared_ptr<HostedInstance>> busy;
  for (const InstanceConfiguration& one : many) busy.push_back(registry_->Find(one.name));
  ASSERT_TRUE(manager_->Reload(without).ok());
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
        // Always one of the two: the password is either the old or the new one.
        const int status = Post("hook", "user:0");
        EXPECT_TRUE(status == 200 || status == 401) << status;
        ++answered;
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

}  // namespace
}  // namespace host_stub
