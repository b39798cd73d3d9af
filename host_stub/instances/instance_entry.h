// What the host keeps of each instance, and of what all have in common.
#ifndef HOST_STUB_INSTANCES_INSTANCE_ENTRY_H_
#define HOST_STUB_INSTANCES_INSTANCE_ENTRY_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/instance_status.h"
#include "host_stub/instances/instance_settings.h"

namespace host_stub {

struct InstanceEntry {
  InstanceSettings settings;
  std::shared_ptr<HostedInstance> instance;  // null: disabled, or it cannot even be made
  std::optional<InstanceHealth> trouble;     // it should serve, and does not
  absl::Time retry_at = absl::InfiniteFuture();
  absl::Duration pause;  // after the next failure
};

struct InstanceTable {
  const InstanceEntry* Find(const std::string& name) const {
    const auto found = entries.find(name);
    return found == entries.end() ? nullptr : &found->second;
  }

  std::map<std::string, InstanceEntry> entries;  // by name
  PlatformConfiguration platform;
  std::map<std::string, std::string> server_configuration;
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_ENTRY_H_
