// The instances of the real plugin over a store in memory, and requests to them.
#ifndef HOST_STUB_INSTANCES_TESTING_INSTANCE_MANAGER_TEST_UTIL_H_
#define HOST_STUB_INSTANCES_TESTING_INSTANCE_MANAGER_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/testing/engine_test_util.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/instances/snapshot.h"
#include "plugin/http/testing/free_port.h"

namespace host_stub {

using Parameters = std::map<std::string, std::string>;

// On a platform that asks for no parameter.
inline Configuration File(std::vector<InstanceConfiguration> instances) {
  Configuration configuration;
  configuration.platform.product = "XSOAR_8_ON_PREM";
  configuration.platform.url = "https://my.xsoar.live";
  configuration.instances = std::move(instances);
  return configuration;
}

// On a platform where each instance has a listen port, and is reached from outside by its key.
inline Configuration FileOfXsoar6(const std::map<std::string, Parameters>& instances) {
  Configuration configuration = File({});
  configuration.platform.product = "XSOAR_6";
  for (const auto& [name, parameters] : instances) {
    configuration.instances.push_back({name, {parameters.begin(), parameters.end()}});
    configuration.server_configuration["instance.execute.external." + name] = "true";
  }
  return configuration;
}

inline InstanceSettings New(const std::string& name, Parameters parameters = {}) {
  InstanceSettings settings;
  settings.name = name;
  settings.parameters = std::move(parameters);
  return settings;
}

// A listen port with an address of this test alone.
inline Parameters Listening(uint16_t port = webhook::http::FreePort()) {
  return {{"longRunningPort", std::to_string(port)}, {"bind_address", webhook::http::OwnAddress()}};
}

class InstanceManagerTest : public ::testing::Test {
 protected:
  InstanceManagerTest() {
    auto plugin = HostedPlugin::Load("plugin/webhook_plugin.so", PluginOptions(), test_.services);
    EXPECT_TRUE(plugin.ok()) << plugin.status();
    plugin_ = *std::move(plugin);
  }
  ~InstanceManagerTest() override { End(); }

  absl::Status TryToStart(const Configuration& configuration) {
    path_prefix_ = configuration.platform.product == "XSOAR_6" ? "" : "/xsoar";
    auto manager = InstanceManager::Start({.plugin = plugin_,
                                           .published = instances_,
                                           .store = test_.services.state,
                                           .logger = test_.logger,
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
    if (manager_ != nullptr) {
      EXPECT_TRUE(manager_->Stop(absl::Now() + absl::Seconds(10)).ok());
    }
    manager_.reset();
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
    for (const auto& [name, entry] : instances_->current()->entries()) names.push_back(name);
    return names;
  }
  std::optional<ListedInstance> Listed(const std::string& name) {
    const std::shared_ptr<const InstanceSnapshot> snapshot = instances_->current();
    const InstanceEntry* const entry = snapshot->Find(name);
    if (entry == nullptr) return std::nullopt;
    return ToListed(*snapshot, *entry);
  }
  // The handle; null where there is none.
  std::shared_ptr<HostedInstance> Instance(const std::string& name) {
    const std::shared_ptr<const InstanceEntry> entry = instances_->Find(name);
    return entry == nullptr ? nullptr : entry->instance;
  }

  // A request as the front forwards it: its status, 0 where no instance is found, 503 where one
  // refuses it.
  int Post(const std::string& name, const std::string& credentials = "") {
    PublishedInstances::Reader reader;
    const std::string path = path_prefix_ + "/instance/execute/" + name;
    const std::string authorization = "Basic " + absl::Base64Escape(credentials);
    const lri_pair header = {ToView("Authorization"), ToView(authorization)};
    std::shared_ptr<HostedInstance> instance;
    while (true) {
      const InstanceSnapshot::Match match = reader.Get(*instances_).FindPath(path);
      if (match.entry == nullptr) return 0;
      if (match.entry->instance == instance) return 503;
      instance = match.entry->instance;
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
  std::string path_prefix_;
  std::shared_ptr<HostedPlugin> plugin_;
  const std::shared_ptr<PublishedInstances> instances_ = std::make_shared<PublishedInstances>();
  std::shared_ptr<InstanceManager> manager_;
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_TESTING_INSTANCE_MANAGER_TEST_UTIL_H_
