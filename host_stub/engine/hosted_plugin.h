// A loaded plugin, which creates its instances, and what the host lends to it: the store, the log,
// and threads for completions. It ends and is unloaded with the last reference.
//
//   auto plugin = HostedPlugin::Load("webhook_plugin.so", {}, services);
//   auto instance = (*plugin)->CreateInstance(spec);    // checked, does not serve yet
//   (*instance)->Start();
//   ...
//   (*instance)->Stop(absl::Now() + absl::Seconds(10));  // drained
//
// A plugin that lets an exception out of one of its functions ends the process, with one line that
// names the plugin and the function.
#ifndef HOST_STUB_ENGINE_HOSTED_PLUGIN_H_
#define HOST_STUB_ENGINE_HOSTED_PLUGIN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "host_stub/observe/logger.h"
#include "host_stub/observe/traffic.h"
#include "host_stub/store/store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// The host's I/O threads, as far as completions need them.
class CompletionThreads {
 public:
  virtual ~CompletionThreads() = default;

  // Threads are numbered from 0.
  virtual int count() const = 0;

  // The calling thread's number, or -1 where it is none of them.
  virtual int current() const = 0;

  // Runs `function` later on that thread. Any thread; never blocks. What comes after the threads
  // have ended is dropped, so instances are stopped before.
  virtual void Post(int thread, absl::AnyInvocable<void()> function) = 0;
};

// What the host lends to a plugin. Shared, because a plugin that refuses to stop keeps them for
// good.
struct HostServices {
  std::shared_ptr<IncidentStore> store;
  // Where instances' contexts are kept. Null: nowhere, and a plugin that asks gets UNIMPLEMENTED.
  std::shared_ptr<StateStore> state;
  std::shared_ptr<Logger> logger;
  // Told of each answer of an instance. Null: nobody is.
  std::shared_ptr<Traffic> traffic = nullptr;
  // Incidents that were created from one of these threads are completed on the same thread, all of
  // one commit with one Post; those from elsewhere (a plugin's or gRPC's thread) on thread 0.
  std::shared_ptr<CompletionThreads> threads;
  webhook::Limits limits;
};

class HostedInstance;
class PluginCore;

struct PluginOptions {
  uint32_t io_threads = 0;                                  // of listen ports; 0: it decides
  std::vector<std::pair<std::string, std::string>> limits;  // names as in plugin/limits/limits.h
};

// How an instance is configured. The host reads the files that the configuration names
// (password_file, ...): their contents are here, under the documented names.
struct InstanceSpec {
  std::string uid;           // random, 32 hexadecimal digits; stays when the name changes
  std::string name;          // [A-Za-z0-9_-], 1 to 64 bytes
  std::string product;       // XSOAR_6 XSOAR_8_CLOUD XSOAR_8_ON_PREM XSIAM_2 XSIAM_3
  std::string platform_url;  // may be empty
  bool on_engine = false;
  std::vector<std::pair<std::string, std::string>> parameters;  // booleans: "true", "false"
};

// 128 random bits as 32 hexadecimal digits: a uid for a new instance.
std::string NewInstanceUid();

// A parameter of instances, a limit, and a sender, as the plugin describes them: lri_parameter,
// lri_limit and lri_source tell the members.
struct ParameterInfo {
  std::string name;
  int32_t type = 0;  // enum lri_parameter_type
  bool secret = false;
  bool may_be_file = false;
  std::string default_value;
  std::string required;
  std::string meaning;
};
struct LimitInfo {
  std::string name;
  int64_t default_value = 0;
  int64_t least = 0;
  int64_t most = 0;
  std::string meaning;
};
struct SourceInfo {
  std::string name;
  std::string title;
  std::string description;
  std::string profile;
};

struct PluginInfo {
  std::string name;  // sourceBrand of its incidents
  std::string version;
  std::vector<std::string> parameters;              // names that CreateInstance understands
  std::vector<ParameterInfo> described_parameters;  // empty: it does not describe them
  std::vector<LimitInfo> limits;                    // likewise
  std::vector<SourceInfo> sources;                  // likewise
  uint32_t abi_minor = 0;                           // LRI_ABI_MINOR of the plugin's header
};

class HostedPlugin : public std::enable_shared_from_this<HostedPlugin> {
 public:
  // Errors as of PluginLibrary::Load, and those of the plugin itself (an unknown limit:
  // INVALID_ARGUMENT).
  static absl::StatusOr<std::shared_ptr<HostedPlugin>> Load(const std::string& path,
                                                            const PluginOptions& options,
                                                            HostServices services);

  // Ends the plugin and unloads it; not on one of the plugin's threads. If an instance could not be
  // drained, or the plugin does not end, it stays in the process until that ends, and the log says
  // so.
  ~HostedPlugin();

  HostedPlugin(const HostedPlugin&) = delete;
  HostedPlugin& operator=(const HostedPlugin&) = delete;

  // INVALID_ARGUMENT names the parameter and the rule. The instance holds this plugin. Any thread.
  absl::StatusOr<std::shared_ptr<HostedInstance>> CreateInstance(const InstanceSpec& spec);

  const PluginInfo& info() const { return info_; }
  const std::string& path() const;

 private:
  HostedPlugin(std::unique_ptr<PluginCore> core, PluginInfo info);

  std::unique_ptr<PluginCore> core_;
  PluginInfo info_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_HOSTED_PLUGIN_H_
