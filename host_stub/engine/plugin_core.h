// What a plugin needs as long as any of its code may run: its shared object, the host's table, its
// handle. It ends as a whole, or stays as a whole. Private to the engine.
#ifndef HOST_STUB_ENGINE_PLUGIN_CORE_H_
#define HOST_STUB_ENGINE_PLUGIN_CORE_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/command_table.h"
#include "host_stub/engine/host_table.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/plugin_library.h"

namespace host_stub {

class PluginCore {
 public:
  PluginCore(std::unique_ptr<PluginLibrary> library_in, HostServices services)
      : library(std::move(library_in)), host(std::move(services)), commands(logger()) {}

  const lri_plugin_table& table() const { return library->table(); }
  Logger& logger() { return *host.services().logger; }

  // The plugin cannot be ended safely any more. Any thread.
  void StayForever(absl::string_view why);
  bool stays() const { return stays_.load(std::memory_order_acquire); }

  const std::unique_ptr<PluginLibrary> library;
  HostTable host;
  CommandTable commands;
  lri_plugin* plugin = nullptr;
  absl::Mutex control;  // one plugin_* or create at a time

 private:
  std::atomic<bool> stays_{false};
};

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

std::vector<lri_pair> ToAbiPairs(const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_PLUGIN_CORE_H_
