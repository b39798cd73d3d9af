// What a plugin needs as long as any of its code may run: its shared object, its handle, the host's
// table of functions, and what it has in flight. It ends as a whole, or stays as a whole. Private
// to the engine.
#ifndef HOST_STUB_ENGINE_PLUGIN_CORE_H_
#define HOST_STUB_ENGINE_PLUGIN_CORE_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/border.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/incident_bridge.h"
#include "host_stub/engine/pending_calls.h"
#include "host_stub/engine/plugin_library.h"

namespace host_stub {

// The table that the plugin sees points into this. Every function of it is for any thread, never
// blocks, and lets no exception out.
class PluginCore {
 public:
  // `library` may be null in a test, which calls nothing but the host's table.
  PluginCore(std::unique_ptr<PluginLibrary> library, HostServices services);
  PluginCore(const PluginCore&) = delete;
  PluginCore& operator=(const PluginCore&) = delete;

  // Calls a function of the plugin: Call("start", [&] { return table().start(...); }).
  template <typename Function>
  auto Call(const char* name, const Function& function) const {
    return CallPlugin(path_, name, function);
  }

  const lri_plugin_table& table() const { return library_->table(); }
  const lri_host* host() const { return &host_; }
  const std::string& path() const { return path_; }
  PendingCalls& calls() { return calls_; }
  PendingCommands& commands() { return commands_; }
  Logger& logger() const { return *services_.logger; }

  // The plugin cannot be ended safely any more, so it stays in the process until that ends. Any
  // thread.
  void LeakPermanently(absl::string_view why);
  bool is_leaked() const { return leaked_.load(std::memory_order_acquire); }

  lri_plugin* plugin = nullptr;
  absl::Mutex control;  // held around each plugin_* and create

 private:
  static PluginCore& From(void* context) { return *static_cast<PluginCore*>(context); }
  static int32_t CreateIncidents(void* context, lri_host_instance* instance,
                                 const lri_incident_batch* batch) noexcept;
  static void Complete(void* context, lri_call* call, const lri_answer* answer) noexcept;
  static int32_t ContextGet(void* context, lri_host_instance* instance, lri_view key,
                            lri_context_done done, void* done_context) noexcept;
  static int32_t ContextSet(void* context, lri_host_instance* instance, lri_view key,
                            lri_view value, lri_context_done done, void* done_context) noexcept;
  static void SetHealth(void* context, lri_host_instance* instance, int32_t health,
                        lri_view message) noexcept;
  static void Log(void* context, lri_host_instance* instance, int32_t severity,
                  lri_view message) noexcept;
  static int64_t Now(void* context) noexcept;

  ContextDone ContextAnswer(InstanceRecord& record, lri_context_done done, void* done_context);

  const std::unique_ptr<PluginLibrary> library_;
  const std::string path_;
  const HostServices services_;
  PendingCalls calls_;
  PendingCommands commands_;
  IncidentBridge incidents_;
  lri_host host_;
  std::atomic<bool> leaked_{false};
};

std::vector<lri_pair> ToAbiPairs(const std::vector<std::pair<std::string, std::string>>& pairs);

// An InstanceSpec as it crosses the ABI. Views into the spec.
class AbiInstanceOptions {
 public:
  AbiInstanceOptions(const InstanceSpec& spec, lri_host_instance* host_instance);
  AbiInstanceOptions(const AbiInstanceOptions&) = delete;
  AbiInstanceOptions& operator=(const AbiInstanceOptions&) = delete;
  const lri_instance_options* abi() const { return &options_; }

 private:
  std::vector<lri_pair> parameters_;
  lri_instance_options options_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_PLUGIN_CORE_H_
