// The life of the host's instances: created, changed, started, stopped, while requests come in.
//
// An instance belongs to the configuration file or to the store. A change is checked whole, by the
// host and by the plugin, before any of it applies; what belongs to the store is on disk before the
// change is answered. Requests in flight finish under the settings they began with.
//
// Where hosts share the store, each looks several times a second whether another one has changed an
// instance, and takes the change over; what it cannot apply is a fault of that instance on this
// host, and is tried again. A change is checked against the instances of one version, and stored if
// that is still the store's; otherwise it is checked anew.
//
// Where the plugin can update (update_prepare), nothing stops. Where it cannot, a second instance
// is made, takes the first one's place, and the first is drained. Then two things are lost: the
// counts begin anew, and if both listen on the same port, connections to that port are closed and
// new ones refused for as long as draining takes (the host's own front answers 503 meanwhile).
#ifndef HOST_STUB_INSTANCES_INSTANCE_MANAGER_H_
#define HOST_STUB_INSTANCES_INSTANCE_MANAGER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/instances/instance_change.h"
#include "host_stub/instances/instance_settings.h"
#include "host_stub/instances/retired_instances.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/observe/logger.h"
#include "host_stub/store/store.h"

namespace host_stub {

struct InstanceManagerParts {
  std::shared_ptr<HostedPlugin> plugin;
  std::shared_ptr<PublishedInstances> published;  // written by the manager alone
  std::shared_ptr<StateStore> store;
  std::shared_ptr<Logger> logger;
  // Called after each publication, for readers that keep a snapshot while they are idle.
  std::function<void()> on_publish = [] {};
  absl::Duration drain_time = absl::Seconds(15);
  // Between two attempts to start an instance that should serve and does not; grows up to 60 times.
  absl::Duration first_retry_pause = absl::Seconds(1);
  // Between two looks at a store that other hosts change.
  absl::Duration look_pause = absl::Milliseconds(500);
  // Between two reports to the other hosts, while nothing changes.
  absl::Duration tell_pause = absl::Seconds(5);
};

// Any thread, except the store's and those that answer requests: functions that change something
// wait for the disk, for the plugin and for requests in flight. Changes wait for each other.
class InstanceManager {
 public:
  // Starts the file's instances and the store's. All of the file's must start: the error names the
  // one that does not. One of the store's that does not start is unhealthy, and is tried again.
  static absl::StatusOr<std::shared_ptr<InstanceManager>> Start(InstanceManagerParts parts,
                                                                const Configuration& configuration);
  // Stops without waiting, if Stop was not called.
  ~InstanceManager();

  InstanceManager(const InstanceManager&) = delete;
  InstanceManager& operator=(const InstanceManager&) = delete;

  // The calls that change something, and are not only validated, are kept in the audit: a change by
  // the commit that keeps the change itself, so that one whose audit cannot be stored is refused.
  // Of `audit` the caller gives who and what, and of a reload the names of what else changes.

  // Creates an instance of the store from name, parameters, disabled, on_engine and request_id. The
  // same request_id again within an hour returns the first result. INVALID_ARGUMENT,
  // ALREADY_EXISTS (name or port), FAILED_PRECONDITION, UNAVAILABLE.
  absl::StatusOr<ListedInstance> Create(InstanceSettings settings, bool validate_only,
                                        AuditEntry audit = {});

  // Applies `change` to parameters, disabled and on_engine. NOT_FOUND, FAILED_PRECONDITION (the
  // file's instance; another etag, unless empty), and the errors of Create.
  absl::StatusOr<ListedInstance> Update(
      const std::string& name, const std::string& etag,
      const std::function<absl::Status(InstanceSettings& settings)>& change, bool validate_only,
      AuditEntry audit = {});

  // Drains it and removes it with its context. NOT_FOUND, FAILED_PRECONDITION.
  absl::Status Delete(const std::string& name, const std::string& etag, AuditEntry audit = {});

  // Takes over another configuration's platform, serverConfiguration and instances as one change.
  // On an error, one line, everything stays as it is. Limits are read at the start only:
  // FAILED_PRECONDITION where they differ.
  absl::Status Reload(const Configuration& configuration, AuditEntry audit = {});

  // Keeps that a call changed nothing: it was refused, or there was nothing to change. The callers
  // of the functions above tell of their refusals. The error is the store's.
  absl::Status AuditNoChange(AuditEntry audit, const absl::Status& outcome);

  // Where the host's own front listens, as in http://127.0.0.1:8080; shown in addresses.
  void SetFrontUrl(std::string url);

  // Ends the retries, refuses changes with UNAVAILABLE from now on, and stops all instances in the
  // order of their names. Returns the first failure; the others are stopped nevertheless. Publishes
  // that there are no instances. A second call does nothing.
  absl::Status Stop(absl::Time deadline);

 private:
  explicit InstanceManager(InstanceManagerParts parts);

  absl::Status StartFileInstances(const Configuration& configuration, InstanceSnapshot& next);
  absl::Status LoadStoredInstances(InstanceSnapshot& next);
  void Hide(const StoredInstance& stored, std::map<std::string, InstanceFacts>& hidden) const;
  absl::Status CheckOpen();
  // Runs a change on the instances that the store has now, and again where another host was faster.
  absl::Status OnNewest(absl::FunctionRef<absl::Status()> change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  absl::StatusOr<ListedInstance> CreateNow(InstanceSettings settings, bool validate_only,
                                           AuditEntry audit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  absl::StatusOr<ListedInstance> UpdateNow(
      const std::string& name, const std::string& etag,
      const std::function<absl::Status(InstanceSettings& settings)>& change_settings,
      bool validate_only, AuditEntry audit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  absl::Status DeleteNow(const std::string& name, const std::string& etag, AuditEntry audit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  absl::Status Check(InstanceSettings& settings) const;
  absl::Status Save(const InstanceSettings& settings, const AuditEntry& audit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  // The entry that may be changed: it is the store's, and has that etag.
  absl::StatusOr<const InstanceEntry*> FindToChange(const std::string& name,
                                                    const std::string& etag) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);

  void LogAudit(const AuditEntry& audit);
  absl::Status Run(InstanceChange& change, bool validate_only)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  void Apply(InstanceChange& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  // Returns the instance whose place was taken, if any.
  std::shared_ptr<HostedInstance> ApplyStep(ChangeStep& step, InstanceSnapshot& next);
  void Retire(std::vector<std::shared_ptr<HostedInstance>> instances, absl::Time deadline);

  // What other hosts have changed.
  void LookAtStore();
  void TellOfHost();
  absl::Status TakeOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  void TakeOverSteps(InstanceChange& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  // Instead of the one of that name, which is drained.
  void Replace(InstanceEntry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);

  void Publish(std::shared_ptr<InstanceSnapshot> next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_);
  void Put(InstanceEntry entry, InstanceSnapshot& next);

  // Creates and starts an instance that should serve. Where that fails, the entry says why and
  // when to try again; one that could be created is there nevertheless, and refuses requests
  // itself.
  void Try(InstanceEntry& entry, const PlatformConfiguration& platform);
  void Fail(InstanceEntry& entry, const absl::Status& why);
  InstanceEntry Unreadable(const StoredInstance& stored, const absl::Status& why);
  void ForgetStartError(InstanceEntry& entry) const;
  void KeepInstances(bool looks_at_store);  // the keeper's thread
  void TryAgain();

  const InstanceManagerParts parts_;
  RetiredInstances retired_;

  absl::Mutex change_;  // one change at a time; taken before mutex_
  absl::Mutex mutex_;
  // What is published, until Stop; written with both held. Nobody may hold an earlier one for long:
  // a change waits until the instances that it replaced have ended.
  std::shared_ptr<const InstanceSnapshot> table_ = std::make_shared<InstanceSnapshot>();
  std::vector<std::pair<std::string, std::string>> limits_set_;
  // With change_ held. Of the store's instances in table_; 0: the store is this host's alone.
  int64_t version_ = 0;
  std::map<std::string, InstanceFacts> hidden_;  // by uid: the store's whose name the file has
  bool told_ ABSL_GUARDED_BY(mutex_) = false;    // of the table
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;

  absl::CondVar wake_;  // the table has changed, or stopped_
  std::thread keeper_;
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_MANAGER_H_
