// A plugin's shared object in this process: found, checked, loaded, and its table of functions.
#ifndef HOST_STUB_ENGINE_PLUGIN_LIBRARY_H_
#define HOST_STUB_ENGINE_PLUGIN_LIBRARY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

class PluginLibrary {
 public:
  // Loads the file. Anybody who can write to it can run code in this process, so its real path (all
  // links followed) is checked first: the file and every folder above it must belong to root or to
  // this user, and must not be writable by group or others (a folder with the sticky bit, as /tmp,
  // may be). Then the exported symbol, the table's size, and every required function are checked.
  //
  // Each refusal is one line: which file, what is wrong, what to do. NOT_FOUND: no such file.
  // PERMISSION_DENIED: its owner or mode. FAILED_PRECONDITION: it is no plugin for this host.
  static absl::StatusOr<std::unique_ptr<PluginLibrary>> Load(const std::string& path);

  // Unloads it, unless StayLoaded was called. No code of the plugin may be running, or be called
  // later.
  ~PluginLibrary();

  PluginLibrary(const PluginLibrary&) = delete;
  PluginLibrary& operator=(const PluginLibrary&) = delete;

  // Every function that this host knows is there.
  const lri_plugin_table& table() const { return *table_; }

  // With all links followed.
  const std::string& path() const { return path_; }

  // The shared object is left in the process for good: for a plugin that does not let go.
  void StayLoaded() { handle_ = nullptr; }

 private:
  PluginLibrary(std::string path, void* handle, const lri_plugin_table* table)
      : path_(std::move(path)), handle_(handle), table_(table) {}

  std::string path_;
  void* handle_;
  const lri_plugin_table* table_;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_PLUGIN_LIBRARY_H_
