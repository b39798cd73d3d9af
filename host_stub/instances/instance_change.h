// One change of one or of many instances: checked whole by host and plugin, then applied, or
// undone.
//
// In this order, each function after the one before was OK:
//   CheckPorts, PrepareChange    what can be refused; nothing has changed when they return
//   StartFresh                   new instances serve, and are found by nobody yet
//   CommitChange                 cannot fail
// AbandonChange undoes all but CommitChange.
//
// Where the plugin can update (update_prepare), nothing stops. Where it cannot, a second instance
// is made, takes the first one's place, and the first is drained.
//
// A port may go from one instance to another within a change. The plugin accepts an update to a
// port that another instance has, and binds it when that instance gives it up. A new instance on
// such a port is started when the old one is drained.
#ifndef HOST_STUB_INSTANCES_INSTANCE_CHANGE_H_
#define HOST_STUB_INSTANCES_INSTANCE_CHANGE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/instances/instance_settings.h"
#include "host_stub/instances/snapshot.h"

namespace host_stub {

// What a change does to one instance.
struct ChangeStep {
  ChangeStep(std::string name_in, std::optional<InstanceSettings> after_in)
      : name(std::move(name_in)), after(std::move(after_in)) {}

  std::string name;
  std::optional<InstanceSettings> after;  // none: it is removed

  // Filled while the change runs.
  std::unique_ptr<InstanceUpdate> update;
  bool updated = false;
  std::shared_ptr<HostedInstance> fresh;  // takes the place of the one that is
  bool starts_late = false;               // it, or what is updated, has still to be started
};

struct InstanceChange {
  // Changes nothing yet.
  explicit InstanceChange(const InstanceSnapshot& table)
      : platform(table.platform), server_configuration(table.server_configuration) {}

  std::vector<ChangeStep> steps;
  // Whether an error names its instance: not where the caller asked for that one alone.
  bool names_instances = false;
  PlatformConfiguration platform;
  std::map<std::string, std::string> server_configuration;
  // The last thing that may fail.
  std::function<absl::Status()> save = [] { return absl::OkStatus(); };
};

// Prefixes the message: a person wants to know of which instance it speaks.
absl::Status OfInstance(absl::string_view instance, const absl::Status& status);

// ALREADY_EXISTS: two instances would have one port.
absl::Status CheckPorts(const InstanceSnapshot& table, const InstanceChange& change);

// Everything that the plugin can refuse, ports among it.
absl::Status PrepareChange(HostedPlugin& plugin, const InstanceSnapshot& table,
                           InstanceChange& change);

absl::Status StartFresh(const InstanceSnapshot& table, InstanceChange& change);

// Returns the new instances that must be retired.
std::vector<std::shared_ptr<HostedInstance>> AbandonChange(InstanceChange& change);

// Updates take effect. What is marked as starts_late is to be started when the instances that were
// replaced or removed have stopped.
void CommitChange(const InstanceSnapshot& table, InstanceChange& change);

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_CHANGE_H_
