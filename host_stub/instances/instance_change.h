// One change of one or of many instances: the host and the plugin check it as a whole, then it is
// applied or undone.
//
// The functions are called in this order, each after the one before returned OK:
//   PrepareChange    refuses what can be refused; nothing has changed when it returns
//   StartFresh       new instances serve, but are not published yet
//   CommitChange     cannot fail
// AbandonChange undoes everything but CommitChange.
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
#include "absl/status/statusor.h"
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
  std::shared_ptr<HostedInstance> fresh;  // takes the place of the present one
  // The new or updated instance is started when the change is committed and the earlier instances
  // have stopped.
  bool deferred_start = false;
};

struct InstanceChange {
  // No step yet, and everything else as it is.
  explicit InstanceChange(const InstanceSnapshot& table)
      : platform(table.platform), server_configuration(table.server_configuration) {}

  // An error of that step. It names its instance, unless the caller asked for that one alone.
  absl::Status ErrorOf(const ChangeStep& step, const absl::Status& status) const;

  std::vector<ChangeStep> steps;
  bool names_instances = false;  // see ErrorOf
  PlatformConfiguration platform;
  std::map<std::string, std::string> server_configuration;
  // The last thing that may fail.
  std::function<absl::Status()> save = [] { return absl::OkStatus(); };
};

bool Differs(const PlatformConfiguration& one, const PlatformConfiguration& other);

// What a configuration file that was read again changes: instances that it no longer names are
// removed, new ones are added, different ones are changed, and all others are left alone. With
// another platform every instance is checked anew, the store's too. FAILED_PRECONDITION: the store
// has an instance of a name in the file.
absl::StatusOr<InstanceChange> PlanReload(const InstanceSnapshot& table,
                                          const Configuration& configuration);

// Prefixes the message, so that it says which instance it is about.
absl::Status OfInstance(absl::string_view instance, const absl::Status& status);

// ALREADY_EXISTS: two instances would have one port. Otherwise an error of the plugin's.
absl::Status PrepareChange(HostedPlugin& plugin, const InstanceSnapshot& table,
                           InstanceChange& change);

absl::Status StartFresh(const InstanceSnapshot& table, InstanceChange& change);

// Returns the new instances that must be retired.
std::vector<std::shared_ptr<HostedInstance>> AbandonChange(InstanceChange& change);

// Updates take effect. Steps that are marked as deferred_start are the caller's to start, when the
// instances that were replaced or removed have stopped.
void CommitChange(const InstanceSnapshot& table, InstanceChange& change);

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_CHANGE_H_
