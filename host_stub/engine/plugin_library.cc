#include "host_stub/engine/plugin_library.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "host_stub/engine/border.h"
#include "host_stub/files/trusted_files.h"

namespace host_stub {
namespace {

absl::Status Unusable(const std::string& path, absl::string_view what, absl::string_view advice) {
  return absl::FailedPreconditionError(absl::StrCat("plugin ", path, ": ", what, "; ", advice));
}

absl::StatusOr<std::string> RealPath(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) {
    return absl::NotFoundError(absl::StrCat("plugin ", path, ": ", strerror(errno),
                                            "; give the path of a plugin's .so file"));
  }
  std::string real_path = resolved;
  free(resolved);
  struct stat status;
  if (stat(real_path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Unusable(real_path, "is not a file", "give the path of a plugin's .so file");
  }
  return real_path;
}

// Says whether a plugin without our symbol was made for another version of the interface.
std::string MissingSymbol(void* handle) {
  for (int version = 2; version <= 9; ++version) {
    if (dlsym(handle, absl::StrCat("lri_plugin_entry_v", version).c_str()) != nullptr) {
      return absl::StrCat("was made for version ", version,
                          " of the plugin interface, and this host speaks version 1");
    }
  }
  return absl::StrCat("has no symbol ", LRI_PLUGIN_ENTRY_SYMBOL, ", so it is no plugin");
}

// The first function that is missing, or NULL. Every function of minor version 0 is required: one
// that has nothing behind it answers LRI_UNIMPLEMENTED.
const char* MissingFunction(const lri_plugin_table& table) {
#define RETURN_IF_MISSING(function) \
  if (table.function == nullptr) return #function
  RETURN_IF_MISSING(info);
  RETURN_IF_MISSING(plugin_create);
  RETURN_IF_MISSING(plugin_destroy);
  RETURN_IF_MISSING(create);
  RETURN_IF_MISSING(start);
  RETURN_IF_MISSING(stop);
  RETURN_IF_MISSING(destroy);
  RETURN_IF_MISSING(check_head);
  RETURN_IF_MISSING(execute);
  RETURN_IF_MISSING(cancel);
  RETURN_IF_MISSING(update_prepare);
  RETURN_IF_MISSING(update_commit);
  RETURN_IF_MISSING(update_abort);
  RETURN_IF_MISSING(describe);
  RETURN_IF_MISSING(command);
#undef RETURN_IF_MISSING
  return nullptr;
}

absl::StatusOr<const lri_plugin_table*> CallEntry(const std::string& path, void* symbol) {
  const auto entry = reinterpret_cast<lri_plugin_entry_function>(symbol);
  const lri_plugin_table* table =
      CallPlugin(path, LRI_PLUGIN_ENTRY_SYMBOL, [entry] { return entry(LRI_ABI_MINOR); });
  if (table == nullptr) {
    return Unusable(path,
                    absl::StrCat("refuses this host, which speaks minor version ", LRI_ABI_MINOR,
                                 " of the plugin interface"),
                    "use a newer host or an older plugin");
  }
  if (!LRI_HAS(table, command)) {
    return Unusable(path,
                    absl::StrCat("its table of functions has ", table->struct_size, " bytes where ",
                                 sizeof(lri_plugin_table), " are needed"),
                    "use a newer plugin");
  }
  if (const char* function = MissingFunction(*table); function != nullptr) {
    return Unusable(path, absl::StrCat("its function ", function, " is NULL"),
                    "report it to the plugin's maker");
  }
  return table;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PluginLibrary>> PluginLibrary::Load(const std::string& path) {
  absl::StatusOr<std::string> real_path = RealPath(path);
  if (!real_path.ok()) return real_path.status();
  if (absl::Status status = CheckWriters(*real_path, TrustedOwners()); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("plugin ", *real_path, ": ", status.message()));
  }

  // RTLD_NOW: a missing function shows here and not in the middle of a request. RTLD_LOCAL: the
  // plugin's symbols cannot stand in for the host's.
  void* handle = dlopen(real_path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    return Unusable(*real_path, absl::StrCat("cannot be loaded: ", reason ? reason : "no reason"),
                    "build it for this system");
  }
  void* symbol = dlsym(handle, LRI_PLUGIN_ENTRY_SYMBOL);
  absl::StatusOr<const lri_plugin_table*> table =
      symbol == nullptr
          ? Unusable(*real_path, MissingSymbol(handle), "use a plugin made for this host")
          : CallEntry(*real_path, symbol);
  if (!table.ok()) {
    dlclose(handle);
    return table.status();
  }
  return std::unique_ptr<PluginLibrary>(new PluginLibrary(*std::move(real_path), handle, *table));
}

PluginLibrary::~PluginLibrary() {
  if (handle_ != nullptr) dlclose(handle_);
}

}  // namespace host_stub
