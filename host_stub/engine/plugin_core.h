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

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/border.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/incident_bridge.h"
#include "host_stub/engine/pending_calls.h"

namespace host_stub {

// A plugin's shared object in this process. It is unloaded when this ends: then no code of the
// plugin may be running, or be called later.
struct PluginLibrary {
  // Loads the file. Anybody who can write to it can run code in this process, so its real path (all
  // links followed) is checked first: the file and every folder above it must belong to root or to
  // this user, and must not be writable by group or others (a folder with the sticky bit, as /tmp,
  // may be). Then the exported symbol, the table's size, and every required function are checked.
  //
  // Each refusal is one line: which file, what is wrong, what to do. NOT_FOUND: no such file.
  // PERMISSION_DENIED: its owner or mode. FAILED_PRECONDITION: it is no plugin for this host.
  static absl::StatusOr<PluginLibrary> Load(const std::string& path);

  struct Unload {
    void operator()(void* handle) const;
  };

  std::string path;  // with all links followed
  std::unique_ptr<void, Unload> handle;
  const lri_plugin_table* table = nullptr;  // every function that this host knows is there
};

// The table that the plugin sees points into this. Every function of it is for any thread, never
// blocks, and lets no exception out.
class PluginCore {
 public:
  // `library` may be empty in a test, which calls nothing but the host's table.
  PluginCore(PluginLibrary library, HostServices services);
  PluginCore(const PluginCore&) = delete;
  PluginCore& operator=(const PluginCore&) = delete;

  // Calls a function of the plugin: Call("start", [&] { return table().start(...); }).
  template <typename Function>
  auto Call(const char* name, const Function& function) const {
    return CallPlugin(path(), name, function);
  }

  const lri_plugin_table& table() const { return *library_.table; }
  const lri_host* host() const { return &host_; }
  const std::string& path() const { return library_.path; }
  PendingCalls& calls() { return calls_; }
  PendingCommands& commands() { return commands_; }
  Logger& logger() const { return *services_.logger; }
  Traffic* traffic() const { return services_.traffic.get(); }

  // The plugin cannot be ended safely any more, so it stays in the process until that ends. Any
  // thread.
  void LeakPermanently(absl::string_view why);
  bool is_leaked() const { return leaked_.load(std::memory_order_acquire); }

  lri_plugin* plugin = nullptr;
  absl::Mutex control;  // held around each plugin_* and create

 private:
  struct HostFunctions;  // of host_

  ContextDone ContextAnswer(InstanceRecord& record, lri_context_done done, void* done_context);

  PluginLibrary library_;
  const HostServices services_;
  PendingCalls calls_;
  PendingCommands commands_;
  IncidentBridge incidents_;
  lri_host host_;
  std::atomic<bool> leaked_{false};
};

// Views of the pairs.
std::vector<lri_pair> ToAbi(const std::vector<std::pair<std::string, std::string>>& pairs);

// An InstanceSpec as it crosses the ABI, with views of it and of `parameters`, which are its own.
lri_instance_options ToAbi(const InstanceSpec& spec, const std::vector<lri_pair>& parameters,
                           lri_host_instance* host_instance);

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_PLUGIN_CORE_H_
