#include "host_stub/engine/plugin_core.h"

#include <algorithm>
#include <new>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace host_stub {
namespace {

// The host's barrier on a request's way. Where memory runs out, the plugin is told that nothing was
// begun, and answers that one request with an error. Everything else in this file is noexcept: the
// process ends.
template <typename Function>
int32_t UnlessOutOfMemory(const Function& function) try {
  return function();
} catch (const std::bad_alloc&) {
  return LRI_INTERNAL;
}

// Counts a read or a write of the context as in flight, unless the store does not take it.
template <typename Function>
int32_t BeginContext(InstanceRecord& record, const Function& hand_over) {
  record.contexts_begun.fetch_add(1, std::memory_order_relaxed);
  absl::Cleanup not_begun = [&record] {
    record.contexts_begun.fetch_sub(1, std::memory_order_relaxed);
  };
  const absl::Status status = hand_over();
  if (status.ok()) std::move(not_begun).Cancel();
  return static_cast<int32_t>(status.code());
}

}  // namespace

PluginCore::PluginCore(std::unique_ptr<PluginLibrary> library, HostServices services)
    : library_(std::move(library)),
      path_(library_ == nullptr ? "" : library_->path()),
      services_(std::move(services)),
      commands_(*services_.logger),
      incidents_(services_, path_),
      host_() {
  host_.struct_size = sizeof(host_);
  host_.abi_minor = LRI_ABI_MINOR;
  host_.context = this;
  host_.create_incidents = &CreateIncidents;
  host_.complete = &Complete;
  host_.context_get = &ContextGet;
  host_.context_set = &ContextSet;
  host_.set_health = &SetHealth;
  host_.log = &Log;
  host_.now = &Now;
}

void PluginCore::LeakPermanently(absl::string_view why) {
  library_->StayLoaded();
  leaked_.store(true, std::memory_order_release);
  logger().Log(Severity::kError, "",
               absl::StrCat("plugin ", path_, " stays in the process until it ends: ", why));
}

int32_t PluginCore::CreateIncidents(void* context, lri_host_instance* instance,
                                    const lri_incident_batch* batch) noexcept {
  if (instance == nullptr) return LRI_INVALID_ARGUMENT;
  return UnlessOutOfMemory(
      [&] { return From(context).incidents_.Create(*InstanceRecord::From(instance), batch); });
}

void PluginCore::Complete(void* context, lri_call* call, const lri_answer* answer) noexcept {
  PluginCore& core = From(context);
  if (core.calls_.Complete(PendingCalls::FromAbi(call), answer)) return;
  core.logger().Log(Severity::kError, "",
                    "the plugin answered a call that waits for no answer: it was answered before, "
                    "or never was; ignored");
}

// Takes the store's answer to a completion thread, because the store's own must not wait for a
// plugin.
ContextDone PluginCore::ContextAnswer(InstanceRecord& record, lri_context_done done,
                                      void* done_context) {
  return [this, &record, done, done_context](absl::StatusOr<std::string> value) {
    services_.threads->Post(0, [this, &record, done, done_context, value = std::move(value)] {
      if (done != nullptr) {
        CallPlugin(path_, "done (of its context)", [&] {
          done(done_context, static_cast<int32_t>(value.status().code()),
               value.ok() ? ToView(*value) : lri_view{nullptr, 0});
        });
      }
      // The record may go as soon as this is counted.
      record.contexts_ended.fetch_add(1, std::memory_order_release);
    });
  };
}

int32_t PluginCore::ContextGet(void* context, lri_host_instance* instance, lri_view key,
                               lri_context_done done, void* done_context) noexcept {
  if (instance == nullptr || done == nullptr) return LRI_INVALID_ARGUMENT;
  PluginCore& core = From(context);
  if (core.services_.state == nullptr) return LRI_UNIMPLEMENTED;
  InstanceRecord& record = *InstanceRecord::From(instance);
  return UnlessOutOfMemory([&] {
    return BeginContext(record, [&] {
      return core.services_.state->GetContext(record.uid, ToStringView(key),
                                              core.ContextAnswer(record, done, done_context));
    });
  });
}

int32_t PluginCore::ContextSet(void* context, lri_host_instance* instance, lri_view key,
                               lri_view value, lri_context_done done, void* done_context) noexcept {
  if (instance == nullptr) return LRI_INVALID_ARGUMENT;
  PluginCore& core = From(context);
  if (core.services_.state == nullptr) return LRI_UNIMPLEMENTED;
  InstanceRecord& record = *InstanceRecord::From(instance);
  return UnlessOutOfMemory([&] {
    return BeginContext(record, [&] {
      return core.services_.state->SetContext(record.uid, ToStringView(key),
                                              std::string(ToStringView(value)),
                                              core.ContextAnswer(record, done, done_context));
    });
  });
}

void PluginCore::SetHealth(void* context, lri_host_instance* instance, int32_t health,
                           lri_view message) noexcept {
  if (instance == nullptr) return;
  InstanceRecord& record = *InstanceRecord::From(instance);
  switch (health) {
    case LRI_HEALTHY:
      return record.SetHealth(HealthState::kHealthy, ToStringView(message));
    case LRI_DEGRADED:
      return record.SetHealth(HealthState::kDegraded, ToStringView(message));
    case LRI_UNHEALTHY:
      return record.SetHealth(HealthState::kUnhealthy, ToStringView(message));
    default:
      From(context).logger().Log(Severity::kWarning, record.name,
                                 "the plugin reported a health that does not exist; ignored");
  }
}

void PluginCore::Log(void* context, lri_host_instance* instance, int32_t severity,
                     lri_view message) noexcept {
  const absl::string_view name =
      instance == nullptr ? absl::string_view() : InstanceRecord::From(instance)->name;
  From(context).logger().Log(
      static_cast<Severity>(std::clamp<int32_t>(severity, LRI_DEBUG, LRI_ERROR)), name,
      ToStringView(message));
}

int64_t PluginCore::Now(void*) noexcept { return absl::GetCurrentTimeNanos(); }

std::vector<lri_pair> ToAbiPairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::vector<lri_pair> abi;
  abi.reserve(pairs.size());
  for (const auto& [name, value] : pairs) abi.push_back({ToView(name), ToView(value)});
  return abi;
}

AbiInstanceOptions::AbiInstanceOptions(const InstanceSpec& spec, lri_host_instance* host_instance)
    : parameters_(ToAbiPairs(spec.parameters)), options_() {
  options_.struct_size = sizeof(options_);
  options_.on_engine = spec.on_engine ? 1 : 0;
  options_.host_instance = host_instance;
  options_.name = ToView(spec.name);
  options_.product = ToView(spec.product);
  options_.platform_url = ToView(spec.platform_url);
  options_.parameters = PairList(parameters_).abi();
}

}  // namespace host_stub
