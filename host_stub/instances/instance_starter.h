// Makes instances serve that should and do not.
#ifndef HOST_STUB_INSTANCES_INSTANCE_STARTER_H_
#define HOST_STUB_INSTANCES_INSTANCE_STARTER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/instance_registry.h"
#include "host_stub/engine/logger.h"
#include "host_stub/instances/instance_entry.h"

namespace host_stub {

class InstanceStarter {
 public:
  // `first_pause` between two attempts; it doubles up to 60 times.
  InstanceStarter(std::shared_ptr<HostedPlugin> plugin, std::shared_ptr<InstanceRegistry> registry,
                  std::shared_ptr<Logger> logger, absl::Duration first_pause);

  // Makes and starts it. Where that fails the entry tells why and when to try again, and what could
  // be made is in the registry all the same: found, it refuses, which is more than "not found".
  void Try(InstanceEntry& entry, const PlatformConfiguration& platform) const;

  void Fail(InstanceEntry& entry, const absl::Status& why) const;

  // Forgets its trouble.
  void Reset(InstanceEntry& entry) const;

 private:
  const std::shared_ptr<HostedPlugin> plugin_;
  const std::shared_ptr<InstanceRegistry> registry_;
  const std::shared_ptr<Logger> logger_;
  const absl::Duration first_pause_;
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_STARTER_H_
