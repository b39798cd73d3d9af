// An instance of a plugin: requests go in, answers come out; it is started, stopped and updated,
// and reports its health and its counts.
//
// A caller holds a shared_ptr for the length of its call; requests in flight need none, because
// Stop waits for them. All functions may be called on any thread; Start, Stop and updates wait for
// each other.
#ifndef HOST_STUB_ENGINE_HOSTED_INSTANCE_H_
#define HOST_STUB_ENGINE_HOSTED_INSTANCE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/request.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// Answers by their status.
struct AnswerCounts {
  int64_t succeeded = 0;  // 2xx
  int64_t refused = 0;    // 4xx
  int64_t failed = 0;     // 5xx
};

// How the plugin describes an instance.
struct InstanceDescription {
  bool external_key_needed = false;  // served only with instance.execute.external.<name> = true
  std::string path_prefix;           // before the name: "/instance/execute/"
  std::string webhook_url;           // empty where the platform's URL is not known
  std::string listen_url;            // empty where there is no listen port
  std::string record_noun;           // "incident", "alert", "issue"
  std::vector<std::string> warnings;
  std::vector<uint64_t> rule_counts;  // events on which each rule has decided
  // As in the ABI; all are empty, or false, where the plugin does not know them.
  std::string token_header;
  std::string token_prefix;
  std::string token_parameter;
  bool is_signed = false;
  absl::Time certificate_end = absl::InfiniteFuture();  // of its listen port; or there is none
  absl::Time passwords_end = absl::InfiniteFuture();    // of the last one; or they do not end
  uint64_t tls_handshakes = 0;                          // of its listen port, that succeeded
  uint64_t events_dropped = 0;                          // by rules
};

enum class HealthState {
  kHealthy = LRI_HEALTHY,
  kDegraded = LRI_DEGRADED,
  kUnhealthy = LRI_UNHEALTHY
};

struct InstanceHealth {
  HealthState state = HealthState::kHealthy;
  std::string message;     // empty where none was reported
  absl::Time since;        // when the state last changed
  std::string last_fault;  // what went wrong last, kept when all is well again; empty: nothing
  absl::Time last_fault_time = absl::InfinitePast();
};

// Since the instance was created, across updates.
struct InstanceCounts {
  int64_t calls = 0;            // that CheckHead answered, Execute or the listen port accepted
  int64_t calls_in_flight = 0;  // that the plugin has not yet let go of
  int64_t abandoned = 0;        // of calls: the host gave them up
  AnswerCounts answers;         // that were sent, at any door
  // How often each reason was told, by its name in plugin/abi/reasons.h, refused connections of the
  // listen port included.
  std::map<std::string, int64_t> reasons;
  int64_t incidents_created = 0;  // without duplicates
  int64_t incidents_duplicate = 0;
  int64_t incidents_hidden = 0;      // not created: their keys were known with another content
  int64_t keys_forgotten_early = 0;  // delivery keys, for want of room
  int64_t batches_in_flight = 0;     // handed to the store, not yet completed
  int64_t faults = 0;                // of the plugin: unusable or second answers, calls it forgot
};

// The result of a command: JSON text, or an error whose message is one line for a person.
using CommandDone = std::function<void(absl::StatusOr<std::string> result)>;

class HostedInstance;
struct InstanceRecord;

// A new configuration that was checked and waits to take effect. If it is dropped without Commit,
// everything stays as it is.
class InstanceUpdate {
 public:
  ~InstanceUpdate();
  InstanceUpdate(const InstanceUpdate&) = delete;
  InstanceUpdate& operator=(const InstanceUpdate&) = delete;

  // Takes effect for the requests that come from now on. Once; cannot fail.
  void Commit();

 private:
  friend class HostedInstance;
  InstanceUpdate(std::shared_ptr<HostedInstance> instance, lri_update* update)
      : instance_(std::move(instance)), update_(update) {}

  std::shared_ptr<HostedInstance> instance_;
  lri_update* update_;  // NULL after Commit
};

class HostedInstance : public std::enable_shared_from_this<HostedInstance> {
 public:
  // Stops without waiting if Stop did not succeed before. An instance that does not let go of its
  // calls stays in the process until that ends, and so does its plugin.
  ~HostedInstance();

  HostedInstance(const HostedInstance&) = delete;
  HostedInstance& operator=(const HostedInstance&) = delete;

  const std::string& uid() const;
  const std::string& name() const;
  const std::shared_ptr<HostedPlugin>& plugin() const { return plugin_; }

  // FAILED_PRECONDITION: serves already. ALREADY_EXISTS: the port is in use.
  absl::Status Start();

  // Refuses new calls, waits for those in flight, cancels them at the deadline and waits a moment
  // more. DEADLINE_EXCEEDED: the plugin still has calls; their senders were answered 503, and Stop
  // may be called again. Not on an I/O thread, which calls may need to finish.
  absl::Status Stop(absl::Time deadline);

  // Lets the plugin check a head before its body is read; never blocks. OK: *verdict is set, and
  // the receiver was called if and only if it says refused. UNIMPLEMENTED: the plugin does not
  // check heads; call Execute with ticket 0. UNAVAILABLE: stopping. INTERNAL: the plugin failed.
  absl::Status CheckHead(const RequestHead& head, HeadAnswerReceiver* receiver,
                         HeadVerdict* verdict);

  // Hands a request over; never blocks. OK: see AnswerReceiver; the request's memory and the
  // receiver stay until OnRequestReleased (the structs Request and RequestHead themselves need
  // not). *call is set before the plugin is asked. UNAVAILABLE: stopping, or too much is in
  // flight. INTERNAL: the plugin failed.
  absl::Status Execute(const Request& request, AnswerReceiver* receiver, CallHandle* call);

  // For a sender that is gone or has waited long enough (Limits::answer_timeout_ms): OnAnswer will
  // not come, and the plugin is told. OnRequestReleased may come before this returns. False: it is
  // too late, OnAnswer was called or is being called.
  bool Abandon(CallHandle call);

  absl::StatusOr<InstanceDescription> Describe();

  // Runs a command ("test", "samples", ...; arguments are a JSON object or empty). OK: done is
  // called exactly once, on any thread, perhaps before the return; else never. NOT_FOUND: no such
  // command. UNIMPLEMENTED: nothing is behind it yet.
  absl::Status RunCommand(absl::string_view name, absl::string_view arguments, CommandDone done);

  // Does the part of a change that can fail. Uid and name must be the same. UNIMPLEMENTED: the
  // plugin cannot update; create a new instance instead. FAILED_PRECONDITION: another update is
  // prepared.
  absl::StatusOr<std::unique_ptr<InstanceUpdate>> PrepareUpdate(const InstanceSpec& spec);

  InstanceHealth health() const;
  InstanceCounts counts() const;

  // What became of its requests, at all doors.
  const TrafficCounts& traffic() const;

  // Told by a door of the host what became of one of the instance's requests. Any thread.
  void OnAnswered(const lri_answered& answered);

  // When the last reference is dropped, the instance is handed to `end` instead of being ended
  // there, because that may wait. Called once, by somebody who holds a reference.
  void EndElsewhere(std::function<void(std::unique_ptr<HostedInstance>)> end) {
    end_ = std::move(end);
  }

 private:
  friend class HostedPlugin;
  friend class InstanceUpdate;
  enum class State {
    kNew,       // never served
    kServing,   // or could not be drained yet
    kStopped,   // drained
    kHopeless,  // does not return from stop, or forgot calls: it is leaked
  };

  HostedInstance(std::shared_ptr<HostedPlugin> plugin, PluginCore& core,
                 std::unique_ptr<InstanceRecord> record);

  // The deleter of those who share it.
  static void LetGo(HostedInstance* instance);

  absl::Status StopLocked(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_);
  absl::Status CallStop(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_);
  absl::Status AwaitLastReturns(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(control_);
  void EndUpdate(lri_update* update, bool commit);

  std::shared_ptr<HostedPlugin> plugin_;
  PluginCore& core_;  // the plugin's
  std::unique_ptr<InstanceRecord> record_;
  std::function<void(std::unique_ptr<HostedInstance>)> end_;

  absl::Mutex control_;
  State state_ ABSL_GUARDED_BY(control_) = State::kNew;
  bool update_pending_ ABSL_GUARDED_BY(control_) = false;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_HOSTED_INSTANCE_H_
