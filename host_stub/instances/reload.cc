#include "host_stub/instances/reload.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

bool Differs(const PlatformConfiguration& one, const PlatformConfiguration& other) {
  return one.product != other.product || one.url != other.url || one.engine != other.engine;
}

bool Names(const Configuration& configuration, const std::string& name) {
  return std::any_of(configuration.instances.begin(), configuration.instances.end(),
                     [&name](const InstanceConfiguration& one) { return one.name == name; });
}

}  // namespace

absl::StatusOr<InstanceChange> PlanReload(const InstanceSnapshot& table,
                                          const Configuration& configuration) {
  InstanceChange change(table);
  change.names_instances = true;
  change.platform = configuration.platform;
  change.server_configuration = configuration.server_configuration;
  const bool platform_is_new = Differs(configuration.platform, table.platform);
  for (const InstanceConfiguration& one : configuration.instances) {
    InstanceSettings settings = SettingsOf(one, configuration.platform.engine);
    const InstanceEntry* entry = table.Find(one.name);
    if (entry != nullptr && !entry->settings.in_file) {
      return absl::FailedPreconditionError(
          absl::StrCat("instance ", one.name, ": the store has an instance of this name; delete ",
                       "that one first, or choose another name"));
    }
    const bool is_new = entry == nullptr || entry->trouble.has_value() ||
                        entry->settings.parameters != settings.parameters || platform_is_new;
    if (entry != nullptr) settings.generation = entry->settings.generation + 1;
    if (is_new) change.steps.emplace_back(one.name, std::move(settings));
  }
  for (const auto& [name, entry] : table.entries()) {
    if (entry->settings.in_file && !Names(configuration, name)) {
      change.steps.emplace_back(name, std::nullopt);
    } else if (!entry->settings.in_file && platform_is_new && entry->instance != nullptr) {
      change.steps.emplace_back(name, entry->settings);
    }
  }
  return change;
}

}  // namespace host_stub
