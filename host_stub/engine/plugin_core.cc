#include "host_stub/engine/plugin_core.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <new>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/files/trusted_files.h"

namespace host_stub {
namespace {

absl::Status Unusable(const std::string& path, absl::string_view what, absl::string_view advice) {
  return absl::FailedPreconditionError(absl::StrCat("plugin ", path, ": ", what, "; ", advice));
}

absl::StatusOr<std::string> RealPath(const std::string& path) {
  constexpr char kAdvice[] = "give the path of a plugin's .so file";
  std::error_code error;
  std::string real_path = std::filesystem::canonical(path, error);
  if (error) {
    return absl::NotFoundError(absl::StrCat("plugin ", path, ": ", error.message(), "; ", kAdvice));
  }
  if (!std::filesystem::is_regular_file(real_path, error)) {
    return Unusable(real_path, "is not a file", kAdvice);
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

// The host's barrier on a request's way. Where memory runs out, the plugin is told that nothing was
// begun, and answers that one request with an error. Everything else in this file is noexcept: the
// process ends.
template <typename Function>
int32_t UnlessOutOfMemory(const Function& function) try {
  return function();
} catch (const std::bad_alloc&) {
  return LRI_INTERNAL;
}

}  // namespace

absl::StatusOr<PluginLibrary> PluginLibrary::Load(const std::string& path) {
  absl::StatusOr<std::string> real_path = RealPath(path);
  if (!real_path.ok()) return real_path.status();
  if (absl::Status status = CheckWriters(path, TrustedOwners()); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat("plugin ", *real_path, ": ", status.message()));
  }

  PluginLibrary library;
  library.path = *std::move(real_path);
  // RTLD_NOW: a missing function shows here and not in the middle of a request. RTLD_LOCAL: the
  // plugin's symbols cannot stand in for the host's.
  library.handle.reset(dlopen(library.path.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (library.handle == nullptr) {
    const char* reason = dlerror();
    return Unusable(library.path, absl::StrCat("cannot be loaded: ", reason ? reason : "no reason"),
                    "build it for this system");
  }
  void* const symbol = dlsym(library.handle.get(), LRI_PLUGIN_ENTRY_SYMBOL);
  if (symbol == nullptr) {
    return Unusable(library.path, MissingSymbol(library.handle.get()),
                    "use a plugin made for this host");
  }
  absl::StatusOr<const lri_plugin_table*> table = CallEntry(library.path, symbol);
  if (!table.ok()) return table.status();
  library.table = *table;
  return library;
}

void PluginLibrary::Unload::operator()(void* handle) const { dlclose(handle); }

struct PluginCore::HostFunctions {
  static PluginCore& From(void* context) { return *static_cast<PluginCore*>(context); }

  static int32_t CreateIncidents(void* context, lri_host_instance* instance,
                                 const lri_incident_batch* batch) noexcept {
    if (instance == nullptr) return LRI_INVALID_ARGUMENT;
    return UnlessOutOfMemory(
        [&] { return From(context).incidents_.Create(*InstanceRecord::From(instance), batch); });
  }

  static void Complete(void* context, lri_call* call, const lri_answer* answer) noexcept {
    PluginCore& core = From(context);
    if (core.calls_.Complete(PendingCalls::FromAbi(call), answer)) return;
    core.logger().Log(Severity::kError, "",
                      "the plugin answered a call that waits for no answer: it was answered "
                      "before, or never was; ignored");
  }

  // Counts a read or a write of the context as in flight, unless the store does not take it.
  template <typename HandOver>
  static int32_t BeginContext(void* context, lri_host_instance* instance,
                              const HandOver& hand_over) {
    if (instance == nullptr) return LRI_INVALID_ARGUMENT;
    if (From(context).services_.state == nullptr) return LRI_UNIMPLEMENTED;
    InstanceRecord& record = *InstanceRecord::From(instance);
    return UnlessOutOfMemory([&] {
      record.contexts_begun.fetch_add(1, std::memory_order_relaxed);
      absl::Cleanup not_begun = [&record] {
        record.contexts_begun.fetch_sub(1, std::memory_order_relaxed);
      };
      const absl::Status status = hand_over(*From(context).services_.state, record);
      if (status.ok()) std::move(not_begun).Cancel();
      return static_cast<int32_t>(status.code());
    });
  }

  static int32_t ContextGet(void* context, lri_host_instance* instance, lri_view key,
                            lri_context_done done, void* done_context) noexcept {
    if (done == nullptr) return LRI_INVALID_ARGUMENT;
    return BeginContext(context, instance, [&](StateStore& state, InstanceRecord& record) {
      return state.GetContext(record.uid, ToStringView(key),
                              From(context).ContextAnswer(record, done, done_context));
    });
  }

  static int32_t ContextSet(void* context, lri_host_instance* instance, lri_view key,
                            lri_view value, lri_context_done done, void* done_context) noexcept {
    return BeginContext(context, instance, [&](StateStore& state, InstanceRecord& record) {
      return state.SetContext(record.uid, ToStringView(key), std::string(ToStringView(value)),
                              From(context).ContextAnswer(record, done, done_context));
    });
  }

  static void SetHealth(void* context, lri_host_instance* instance, int32_t health,
                        lri_view message) noexcept {
    if (instance == nullptr) return;
    InstanceRecord& record = *InstanceRecord::From(instance);
    if (health < LRI_HEALTHY || health > LRI_UNHEALTHY) {
      return From(context).logger().Log(
          Severity::kWarning, record.name,
          "the plugin reported a health that does not exist; ignored");
    }
    record.SetHealth(static_cast<HealthState>(health), ToStringView(message));
  }

  static void Log(void* context, lri_host_instance* instance, int32_t severity,
                  lri_view message) noexcept {
    const absl::string_view name =
        instance == nullptr ? absl::string_view() : InstanceRecord::From(instance)->name;
    From(context).logger().Log(
        static_cast<Severity>(std::clamp<int32_t>(severity, LRI_DEBUG, LRI_ERROR)), name,
        ToStringView(message));
  }

  // Of requests that came through the host's own doors these tell what was sent.
  static void OnAnswered(void*, const lri_answered* answered) noexcept {
    if (answered == nullptr || !LRI_HAS(answered, duration_ns)) return;
    if (answered->instance == nullptr || answered->door != LRI_DOOR_LISTEN) return;
    InstanceRecord& record = *InstanceRecord::From(answered->instance);
    if (answered->method.size > 0) record.listen_requests.fetch_add(1, std::memory_order_relaxed);
    record.OnAnswered(*answered);
  }

  static int64_t Now(void*) noexcept { return absl::GetCurrentTimeNanos(); }
};

PluginCore::PluginCore(PluginLibrary library, HostServices services)
    : library_(std::move(library)),
      services_(std::move(services)),
      commands_(*services_.logger),
      incidents_(services_, path()),
      host_() {
  host_.struct_size = sizeof(host_);
  host_.abi_minor = LRI_ABI_MINOR;
  host_.context = this;
  host_.create_incidents = &HostFunctions::CreateIncidents;
  host_.complete = &HostFunctions::Complete;
  host_.context_get = &HostFunctions::ContextGet;
  host_.context_set = &HostFunctions::ContextSet;
  host_.set_health = &HostFunctions::SetHealth;
  host_.log = &HostFunctions::Log;
  host_.now = &HostFunctions::Now;
  host_.on_answered = &HostFunctions::OnAnswered;
  host_.answered_doors = 1u << LRI_DOOR_LISTEN;
}

void PluginCore::LeakPermanently(absl::string_view why) {
  static_cast<void>(library_.handle.release());
  leaked_.store(true, std::memory_order_release);
  logger().Log(Severity::kError, "",
               absl::StrCat("plugin ", path(), " stays in the process until it ends: ", why));
}

// Takes the store's answer to a completion thread, because the store's own must not wait for a
// plugin.
ContextDone PluginCore::ContextAnswer(InstanceRecord& record, lri_context_done done,
                                      void* done_context) {
  return [this, &record, done, done_context](absl::StatusOr<std::string> value) {
    services_.threads->Post(0, [this, &record, done, done_context, value = std::move(value)] {
      if (done != nullptr) {
        Call("done (of its context)", [&] {
          done(done_context, static_cast<int32_t>(value.status().code()),
               value.ok() ? ToView(*value) : lri_view{nullptr, 0});
        });
      }
      // The record may go as soon as this is counted.
      record.contexts_ended.fetch_add(1, std::memory_order_release);
    });
  };
}

std::vector<lri_pair> ToAbi(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::vector<lri_pair> abi;
  abi.reserve(pairs.size());
  for (const auto& [name, value] : pairs) abi.push_back({ToView(name), ToView(value)});
  return abi;
}

lri_instance_options ToAbi(const InstanceSpec& spec, const std::vector<lri_pair>& parameters,
                           lri_host_instance* host_instance) {
  lri_instance_options options = {};
  options.struct_size = sizeof(options);
  options.on_engine = spec.on_engine ? 1 : 0;
  options.host_instance = host_instance;
  options.name = ToView(spec.name);
  options.product = ToView(spec.product);
  options.platform_url = ToView(spec.platform_url);
  options.parameters = PairList(parameters).abi();
  return options;
}

}  // namespace host_stub
