// An instance: takes requests between start and stop, from the host and from its own listen port.
#ifndef PLUGIN_RUNTIME_INSTANCE_H_
#define PLUGIN_RUNTIME_INSTANCE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/gate.h"
#include "plugin/runtime/call.h"
#include "plugin/runtime/configuration.h"
#include "plugin/runtime/head_check.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/listen_handler.h"
#include "plugin/runtime/listener.h"
#include "plugin/runtime/plugin.h"
#include "plugin/runtime/refusal_log.h"
#include "plugin/runtime/samples.h"

namespace webhook::runtime {

class Instance;

// A change that was checked, with the listener that it needs. Without Commit, nothing changes.
struct InstanceUpdate {
  Instance* instance;
  std::shared_ptr<const Configuration> configuration;
  std::shared_ptr<Listener> listener;  // only where it serves and the port or address changes
  std::shared_ptr<const char> turn;    // held while it is prepared
};

// The functions are those of the ABI's table, which tells their threads and results. Destroyed
// only while stopped.
class Instance final {
 public:
  // The plugin outlives the instance.
  static absl::StatusOr<std::unique_ptr<Instance>> Create(Plugin& plugin,
                                                          const lri_instance_options& options);
  ~Instance();

  absl::Status Start();
  // DEADLINE_EXCEEDED if calls are still in flight at `deadline`.
  absl::Status Stop(absl::Time deadline);

  absl::StatusOr<std::unique_ptr<InstanceUpdate>> PrepareUpdate(
      const lri_instance_options& options);
  void Commit(InstanceUpdate& update);

  int32_t CheckHead(const lri_request_head& head, lri_answer_sink sink, void* sink_context,
                    lri_head_verdict& verdict);
  int32_t Execute(const lri_request& request);
  void Describe(lri_description_sink sink, void* sink_context) const;
  int32_t Command(absl::string_view name, absl::string_view arguments, lri_command_done done,
                  void* done_context);

  // As CheckHead and Execute, for the listen port's requests, too: `complete` gets the answer.
  int32_t ValidateHead(lri_door door, const lri_request_head& head, AnswerSink sink,
                       lri_head_verdict& verdict);
  int32_t Take(lri_door door, const lri_request& request, CompleteFunction complete);

  // Of the listen port: logs what a limit refused.
  void LogRefusal(const http::Answered& answered) noexcept;

 private:
  Instance(Plugin& plugin, Configuration configuration, lri_host_instance* host_instance);

  // Each call takes it once and keeps it until its answer, across updates.
  std::shared_ptr<const Configuration> configuration() const;
  // `is_update`: as Listener::BindNext, with mutex_ held.
  absl::StatusOr<std::shared_ptr<Listener>> Bind(const Configuration& configuration,
                                                 bool is_update = false);
  void BeginServing(const Configuration& configuration);
  int32_t Test(lri_command_done done, void* done_context);
  int32_t Try(absl::string_view arguments, lri_command_done done, void* done_context);
  absl::Status CheckHere(const Configuration& configuration);

  Plugin& plugin_;
  lri_host_instance* const host_instance_;
  Health health_;
  Admission admission_;
  RefusalLog refusals_;
  ListenHandler listen_handler_;  // outlives the listeners

  // The host's requests are refused as soon as a stop begins. Senders at the listen port get
  // answers until their connections are drained, because nobody else tells them of the stop.
  std::atomic<bool> host_may_send_{false};
  base::Gate calls_;     // of the host and of the listen port
  base::Gate commands_;  // tests in flight

  mutable std::mutex configuration_mutex_;
  std::shared_ptr<const Configuration> configuration_;  // guarded by configuration_mutex_

  mutable std::mutex mutex_;               // guards all below
  std::weak_ptr<const char> update_turn_;  // an update is prepared
  bool serving_ = false;
  bool stopping_ = false;
  std::shared_ptr<Listener> listener_;              // null: none is configured, or not serving
  std::vector<std::shared_ptr<Listener>> retired_;  // replaced by an update, and draining
  Samples samples_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_INSTANCE_H_
