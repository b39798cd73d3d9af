#include "host_stub/instances/instance_change.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

absl::Status PrepareStep(HostedPlugin& plugin, const InstanceSnapshot& table,
                         const InstanceChange& change, ChangeStep& step) {
  if (!step.after.has_value()) return absl::OkStatus();
  const InstanceSpec spec = ToSpec(*step.after, change.platform);
  const InstanceEntry* entry = table.Find(step.name);
  if (entry != nullptr && entry->instance != nullptr) {
    const InstanceSettings& before = entry->settings;
    const bool same =
        before.parameters == step.after->parameters && before.on_engine == step.after->on_engine;
    if (step.after->disabled && same) return absl::OkStatus();
    auto update = entry->instance->PrepareUpdate(spec);
    // One that will be disabled is only judged.
    if (update.ok() && !step.after->disabled) step.update = *std::move(update);
    if (!absl::IsUnimplemented(update.status())) return update.status();
  }
  auto fresh = plugin.CreateInstance(spec);
  if (!fresh.ok()) return fresh.status();
  // A disabled one was only made to be judged.
  if (!step.after->disabled) step.fresh = *std::move(fresh);
  return absl::OkStatus();
}

// Whether an instance that this change stops, or moves to another port, has the step's port now.
bool PortComesFree(const InstanceSnapshot& table, const InstanceChange& change,
                   const ChangeStep& step) {
  const int port = step.after->port();
  return port != 0 &&
         std::any_of(change.steps.begin(), change.steps.end(), [&](const ChangeStep& other) {
           const InstanceEntry* entry = table.Find(other.name);
           return entry != nullptr && entry->instance != nullptr && entry->settings.port() == port;
         });
}

bool Names(const Configuration& configuration, const std::string& name) {
  return std::any_of(configuration.instances.begin(), configuration.instances.end(),
                     [&name](const InstanceConfiguration& one) { return one.name == name; });
}

}  // namespace

bool Differs(const PlatformConfiguration& one, const PlatformConfiguration& other) {
  return one.product != other.product || one.url != other.url || one.engine != other.engine;
}

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
    const bool is_new = entry == nullptr || entry->start_error.has_value() ||
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

absl::Status OfInstance(absl::string_view instance, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("instance ", instance, ": ", status.message()));
}

absl::Status InstanceChange::ErrorOf(const ChangeStep& step, const absl::Status& status) const {
  return names_instances ? OfInstance(step.name, status) : status;
}

namespace {

absl::Status CheckPorts(const InstanceSnapshot& table, const InstanceChange& change) {
  std::map<std::string, int> ports;
  for (const auto& [name, entry] : table.entries()) ports[name] = entry->settings.port();
  for (const ChangeStep& step : change.steps) {
    ports[step.name] = step.after.has_value() ? step.after->port() : 0;
  }
  for (const ChangeStep& step : change.steps) {
    const int port = ports[step.name];
    if (port == 0) continue;
    for (const auto& [name, other] : ports) {
      if (name == step.name || other != port) continue;
      return change.ErrorOf(step, absl::AlreadyExistsError(absl::StrCat(
                                      "longRunningPort: ", port, " is taken by instance \"", name,
                                      "\"; each instance needs its own")));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PrepareChange(HostedPlugin& plugin, const InstanceSnapshot& table,
                           InstanceChange& change) {
  if (absl::Status status = CheckPorts(table, change); !status.ok()) return status;
  for (ChangeStep& step : change.steps) {
    absl::Status status = PrepareStep(plugin, table, change, step);
    if (!status.ok()) return change.ErrorOf(step, status);
  }
  return absl::OkStatus();
}

absl::Status StartFresh(const InstanceSnapshot& table, InstanceChange& change) {
  for (ChangeStep& step : change.steps) {
    if (step.fresh == nullptr) continue;
    const absl::Status status = step.fresh->Start();
    step.deferred_start = absl::IsAlreadyExists(status) && PortComesFree(table, change, step);
    if (status.ok() || step.deferred_start) continue;
    return change.ErrorOf(step, status);
  }
  return absl::OkStatus();
}

std::vector<std::shared_ptr<HostedInstance>> AbandonChange(InstanceChange& change) {
  std::vector<std::shared_ptr<HostedInstance>> fresh;
  for (ChangeStep& step : change.steps) {
    step.update.reset();
    if (step.fresh != nullptr) fresh.push_back(std::move(step.fresh));
  }
  return fresh;
}

void CommitChange(const InstanceSnapshot& table, InstanceChange& change) {
  for (ChangeStep& step : change.steps) {
    if (step.update == nullptr) continue;
    step.update->Commit();
    step.update.reset();
    step.updated = true;
    // One that did not serve may do so with the new settings.
    step.deferred_start = table.Find(step.name)->start_error.has_value();
  }
}

}  // namespace host_stub
