// The life of the host's instances: made, changed, started, stopped, while requests come in.
//
// An instance belongs to the configuration file or to the store. A change is checked whole, by the
// host and by the plugin, before any of it applies; what belongs to the store is on disk before the
// change is answered. Requests in flight finish under the settings they began with.
//
// Where the plugin can update (update_prepare), nothing stops. Where it cannot, a second instance is
// made, takes the first one's place, and the first is drained. Then two things are lost: the counts
// begin anew, and if both listen on the same port, connections to that port are closed and new ones
// refused for as long as draining takes (the host's own front answers 503 meanwhile).
#ifndef HOST_STUB_INSTANCES_INSTANCE_MANAGER_H_
#define HOST_STUB_INSTANCES_INSTANCE_MANAGER_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/instance_registry.h"
#include "host_stub/engine/logger.h"
#include "host_stub/front/routes.h"
#include "host_stub/instances/instance_change.h"
#include "host_stub/instances/instance_entry.h"
#include "host_stub/instances/instance_settings.h"
#include "host_stub/instances/instance_starter.h"
#include "host_stub/instances/retired_instances.h"
#include "host_stub/service/instance_directory.h"
#include "host_stub/store/state_store.h"

namespace host_stub {

struct InstanceManagerParts {
  std::shared_ptr<HostedPlugin> plugin;
  std::shared_ptr<InstanceRegistry> registry;
  std::shared_ptr<StateStore> store;
  std::shared_ptr<Logger> logger;
  // Given the routes after each change; whoever looks them up after its return must find these.
  std::function<void(std::shared_ptr<const Routes>)> publish;
  absl::Duration drain_time = absl::Seconds(15);
  // Between two attempts to start an instance that should serve and does not; grows up to 60 times.
  absl::Duration first_retry_pause = absl::Seconds(1);
};

// Any thread, but none of the store's or of those that answer requests: functions that change wait
// for the disk, for the plugin and for requests in flight. Changes wait for each other.
class InstanceManager : public InstanceDirectory {
 public:
  // Starts the file's instances and the store's. The file's must all start: the error names the
  // one that does not. One of the store's that does not start is unhealthy, and is tried again.
  static absl::StatusOr<std::shared_ptr<InstanceManager>> Start(InstanceManagerParts parts,
                                                                const Configuration& configuration);
  ~InstanceManager() override;

  InstanceManager(const InstanceManager&) = delete;
  InstanceManager& operator=(const InstanceManager&) = delete;

  std::vector<ListedInstance> List() const override;
  std::optional<ListedInstance> Find(absl::string_view name) const override;

  // Makes an instance of the store: name, parameters, disabled, on_engine and request_id count. The
  // same request_id again within an hour returns the first result. INVALID_ARGUMENT,
  // ALREADY_EXISTS (name or port), FAILED_PRECONDITION, UNAVAILABLE.
  absl::StatusOr<ListedInstance> Create(InstanceSettings settings, bool validate_only);

  // Changes what `change` changes: parameters, disabled, on_engine. NOT_FOUND, FAILED_PRECONDITION
  // (of the file; another etag, unless empty), and those of Create.
  absl::StatusOr<ListedInstance> Update(
      const std::string& name, const std::string& etag,
      const std::function<absl::Status(InstanceSettings& settings)>& change, bool validate_only);

  // Drains it and removes it with its context. NOT_FOUND, FAILED_PRECONDITION.
  absl::Status Delete(const std::string& name, const std::string& etag);

  // Takes another configuration's platform, serverConfiguration and instances as one change. On an
  // error, one line, all stays as it is. Limits are read at the start only: FAILED_PRECONDITION
  // where they differ.
  absl::Status Reload(const Configuration& configuration);

  // Where the host's own front listens, as in http://127.0.0.1:8080; shown in addresses.
  void SetFrontUrl(std::string url);

  // Ends the retries; from now on changes are UNAVAILABLE. The instances serve on, until the
  // registry stops them.
  void Stop();

 private:
  explicit InstanceManager(InstanceManagerParts parts);

  absl::Status StartFileInstances(const Configuration& configuration);
  absl::Status LoadStoredInstances();
  absl::Status CheckOpen() const;
  // The entry that may be changed: the store's, and as the etag says.
  absl::StatusOr<const InstanceEntry*> FindToChange(const std::string& name,
                                                    const std::string& etag) const;

  // All with change_ held.
  absl::Status Run(InstanceChange& change, bool validate_only);
  absl::Status StartAndSave(InstanceChange& change);
  void Apply(InstanceChange& change);
  std::shared_ptr<HostedInstance> ApplyStep(ChangeStep& step);
  void Retire(std::vector<std::shared_ptr<HostedInstance>> instances, absl::Time deadline);
  void Publish();
  void TryAgain();

  ListedInstance MakeListed(const InstanceEntry& entry) const;  // with mutex_ held
  void Keep();                                                  // the keeper's thread

  const InstanceManagerParts parts_;
  const InstanceStarter starter_;
  RetiredInstances retired_;

  std::mutex change_;         // one change at a time; taken before mutex_
  mutable std::mutex mutex_;  // of what follows; the table is written with both held
  InstanceTable table_;
  std::vector<std::pair<std::string, std::string>> limits_set_;
  std::string front_url_;
  bool stopped_ = false;

  std::condition_variable wake_;  // the table has changed, or stopped_
  std::thread keeper_;
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_MANAGER_H_
