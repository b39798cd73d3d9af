// The plugin's table. Each function turns handles into objects, and exceptions into results;
// nothing else is decided here.
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/abi/version.h"
#include "plugin/base/clock.h"
#include "plugin/limits/limits.h"
#include "plugin/limits/parameters.h"
#include "plugin/runtime/configuration.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/instance.h"
#include "plugin/runtime/plugin.h"
#include "plugin/sources/profile.h"

namespace webhook {
namespace {

using runtime::FromView;
using runtime::Instance;
using runtime::InstanceUpdate;
using runtime::Plugin;
using runtime::Readable;
using runtime::ToView;

Plugin* FromHandle(lri_plugin* plugin) { return reinterpret_cast<Plugin*>(plugin); }
Instance* FromHandle(lri_instance* instance) { return reinterpret_cast<Instance*>(instance); }
InstanceUpdate* FromHandle(lri_update* update) { return reinterpret_cast<InstanceUpdate*>(update); }

void Explain(absl::string_view message, lri_error* error) {
  if (error == nullptr || !LRI_HAS(error, message)) return;
  const size_t size = message.copy(error->message, sizeof error->message - 1);
  error->message[size] = '\0';
}

int32_t Result(const absl::Status& status, lri_error* error) {
  if (!status.ok()) Explain(status.message(), error);
  return static_cast<int32_t>(status.code());
}

// Gives what was made, as a handle, to the host.
template <typename Object, typename Handle>
int32_t Give(absl::StatusOr<std::unique_ptr<Object>> made, Handle** handle, lri_error* error) {
  if (made.ok()) *handle = reinterpret_cast<Handle*>(made->release());
  return Result(made.status(), error);
}

// The barrier: no exception leaves the plugin. Those of the host's callbacks end the process before
// they come here (CallHost).
template <typename Function>
int32_t Guard(lri_error* error, Function&& function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    Explain("the plugin ran out of memory", error);
    return LRI_RESOURCE_EXHAUSTED;
  } catch (const std::exception& exception) {
    Explain(exception.what(), error);
    return LRI_INTERNAL;
  }
}

int32_t Unusable(lri_error* error) {
  Explain("an argument is NULL, too short, or has an array that cannot be", error);
  return LRI_INVALID_ARGUMENT;
}

absl::Time FromMonotonic(int64_t mono_ns) {
  if (mono_ns == 0) return absl::InfinitePast();
  return absl::Now() + absl::Nanoseconds(mono_ns - base::MonotonicNanoseconds());
}

void Info(lri_plugin_info_sink sink, void* sink_context) {
  if (sink == nullptr) return;
  Guard(nullptr, [&] {
    std::vector<lri_view> names;
    std::vector<lri_parameter> parameters;
    for (const Parameter& one : Parameters()) {
      names.push_back(ToView(one.name));
      parameters.push_back({.name = ToView(one.name),
                            .type = static_cast<int32_t>(one.type),
                            .secret = one.secret,
                            .may_be_file = one.may_be_file,
                            .reserved = 0,
                            .default_value = ToView(one.default_value),
                            .required = ToView(one.required),
                            .meaning = ToView(one.meaning)});
    }
    std::vector<lri_limit> limits;
    for (const LimitDescription& one : DescribeLimits()) {
      limits.push_back(
          {ToView(one.name), one.default_value, one.least, one.most, ToView(one.meaning)});
    }
    std::vector<std::shared_ptr<const sources::Profile>> profiles;
    std::vector<std::string> descriptions;
    for (const sources::BuiltInProfile& one : sources::BuiltInProfiles()) {
      auto profile = sources::FindProfile(one.name);
      if (profile.ok()) profiles.push_back(*std::move(profile));
    }
    for (const auto& one : profiles) descriptions.push_back(sources::DescribeProfile(*one));
    std::vector<lri_source> known;
    for (size_t i = 0; i < profiles.size(); ++i) {
      known.push_back({ToView(profiles[i]->name), ToView(profiles[i]->title),
                       ToView(descriptions[i]), ToView(profiles[i]->json)});
    }
    const lri_plugin_info info{
        .struct_size = sizeof(lri_plugin_info),
        .reserved = 0,
        .name = ToView(runtime::kSourceBrand),
        .version = ToView(kVersion),
        .parameters = {names.data(), names.size(), sizeof(lri_view)},
        .described_parameters = {parameters.data(), parameters.size(), sizeof(lri_parameter)},
        .limits = {limits.data(), limits.size(), sizeof(lri_limit)},
        .sources = {known.data(), known.size(), sizeof(lri_source)}};
    runtime::CallHost("sink of info", sink, sink_context, &info);
    return LRI_OK;
  });
}

int32_t PluginCreate(const lri_host* host, const lri_plugin_options* options, lri_plugin** plugin,
                     lri_error* error) {
  if (plugin == nullptr || !Readable(options)) return Unusable(error);
  return Guard(error, [&] { return Give(Plugin::Create(host, options), plugin, error); });
}

void PluginDestroy(lri_plugin* plugin) { delete FromHandle(plugin); }

int32_t Create(lri_plugin* plugin, const lri_instance_options* options, lri_instance** instance,
               lri_error* error) {
  if (plugin == nullptr || instance == nullptr || !Readable(options)) return Unusable(error);
  return Guard(error, [&] {
    return Give(Instance::Create(*FromHandle(plugin), *options), instance, error);
  });
}

int32_t Start(lri_instance* instance, lri_error* error) {
  if (instance == nullptr) return Unusable(error);
  return Guard(error, [&] { return Result(FromHandle(instance)->Start(), error); });
}

int32_t Stop(lri_instance* instance, int64_t deadline_mono_ns, lri_error* error) {
  if (instance == nullptr) return Unusable(error);
  return Guard(error, [&] {
    return Result(FromHandle(instance)->Stop(FromMonotonic(deadline_mono_ns)), error);
  });
}

// An instance that still serves is stopped first. If that fails, the host's calls still use it;
// then its memory is leaked rather than freed.
void Destroy(lri_instance* instance) {
  if (instance == nullptr) return;
  const int32_t code = Guard(
      nullptr, [&] { return Result(FromHandle(instance)->Stop(absl::InfinitePast()), nullptr); });
  if (code == LRI_OK) delete FromHandle(instance);
}

int32_t CheckHead(lri_instance* instance, const lri_request_head* head, lri_answer_sink sink,
                  void* sink_context, lri_head_verdict* verdict) {
  if (instance == nullptr || !Readable(head) || sink == nullptr || verdict == nullptr ||
      !LRI_HAS(verdict, ticket)) {
    return LRI_INVALID_ARGUMENT;
  }
  return Guard(nullptr, [&] {
    return FromHandle(instance)->CheckHead(*head, sink, sink_context, *verdict);
  });
}

int32_t Execute(lri_instance* instance, const lri_request* request) {
  if (instance == nullptr || !Readable(request)) return LRI_INVALID_ARGUMENT;
  return Guard(nullptr, [&] { return FromHandle(instance)->Execute(*request); });
}

// There is nothing to cancel: parsing is over before execute returns, and then the batch is with
// the host.
void Cancel(lri_instance*, lri_call*) {}

int32_t UpdatePrepare(lri_instance* instance, const lri_instance_options* options,
                      lri_update** update, lri_error* error) {
  if (instance == nullptr || update == nullptr || !Readable(options)) return Unusable(error);
  return Guard(error,
               [&] { return Give(FromHandle(instance)->PrepareUpdate(*options), update, error); });
}

void UpdateCommit(lri_update* update) {
  if (update == nullptr) return;
  Guard(nullptr, [&] {
    const std::unique_ptr<InstanceUpdate> owned(FromHandle(update));
    owned->instance->Commit(*owned);
    return LRI_OK;
  });
}

void UpdateAbort(lri_update* update) { delete FromHandle(update); }

int32_t Describe(lri_instance* instance, lri_description_sink sink, void* sink_context) {
  if (instance == nullptr || sink == nullptr) return LRI_INVALID_ARGUMENT;
  return Guard(nullptr, [&] {
    FromHandle(instance)->Describe(sink, sink_context);
    return LRI_OK;
  });
}

int32_t Command(lri_instance* instance, lri_view name, lri_view arguments, lri_command_done done,
                void* done_context) {
  if (instance == nullptr || done == nullptr) return LRI_INVALID_ARGUMENT;
  return Guard(nullptr, [&] {
    return FromHandle(instance)->Command(FromView(name), FromView(arguments), done, done_context);
  });
}

constexpr lri_plugin_table kTable{
    .struct_size = sizeof(lri_plugin_table),
    .abi_minor = LRI_ABI_MINOR,
    .info = Info,
    .plugin_create = PluginCreate,
    .plugin_destroy = PluginDestroy,
    .create = Create,
    .start = Start,
    .stop = Stop,
    .destroy = Destroy,
    .check_head = CheckHead,
    .execute = Execute,
    .cancel = Cancel,
    .update_prepare = UpdatePrepare,
    .update_commit = UpdateCommit,
    .update_abort = UpdateAbort,
    .describe = Describe,
    .command = Command,
};

}  // namespace
}  // namespace webhook

// Every minor version of this major one is served: missing members are taken for zero.
extern "C" __attribute__((visibility("default"))) const lri_plugin_table* lri_plugin_entry_v1(
    uint32_t) {
  return &webhook::kTable;
}
