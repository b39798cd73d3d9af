#include "host_stub/engine/host_table.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/time/clock.h"

namespace host_stub {
namespace {

Severity ToSeverity(int32_t severity) {
  return static_cast<Severity>(std::clamp<int32_t>(severity, LRI_DEBUG, LRI_ERROR));
}

}  // namespace

// The functions below are noexcept through the type that they are called by: what could throw is
// the host's own memory running out, and then there is nobody to tell.

HostTable::HostTable(HostServices services)
    : services_(std::move(services)), batches_(services_), table_() {
  table_.struct_size = sizeof(table_);
  table_.abi_minor = LRI_ABI_MINOR;
  table_.context = this;
  table_.create_incidents = &CreateIncidents;
  table_.complete = &Complete;
  table_.context_get = &ContextGet;
  table_.context_set = &ContextSet;
  table_.set_health = &SetHealth;
  table_.log = &Log;
  table_.now = &Now;
}

int32_t HostTable::CreateIncidents(void* context, lri_host_instance* instance,
                                   const lri_incident_batch* batch) try {
  if (instance == nullptr) return LRI_INVALID_ARGUMENT;
  return From(context).batches_.Create(*InstanceRecord::From(instance), batch);
} catch (const std::exception&) {
  return LRI_INTERNAL;
}

void HostTable::Complete(void* context, lri_call* call, const lri_answer* answer) {
  HostTable& host = From(context);
  if (host.calls_.Complete(CallTable::FromAbi(call), answer)) return;
  host.services_.logger->Log(Severity::kError, "",
                             "the plugin answered a call that waits for no answer: it was "
                             "answered before, or never was; ignored");
}

int32_t HostTable::ContextGet(void*, lri_host_instance*, lri_view, lri_context_done, void*) {
  return LRI_UNIMPLEMENTED;
}

int32_t HostTable::ContextSet(void*, lri_host_instance*, lri_view, lri_view, lri_context_done,
                              void*) {
  return LRI_UNIMPLEMENTED;
}

void HostTable::SetHealth(void* context, lri_host_instance* instance, int32_t health,
                          lri_view message) {
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
      From(context).services_.logger->Log(Severity::kWarning, record.name,
                                          "the plugin told a health that does not exist; ignored");
  }
}

void HostTable::Log(void* context, lri_host_instance* instance, int32_t severity,
                    lri_view message) {
  const absl::string_view name =
      instance == nullptr ? absl::string_view() : InstanceRecord::From(instance)->name;
  From(context).services_.logger->Log(ToSeverity(severity), name, ToStringView(message));
}

int64_t HostTable::Now(void*) { return absl::GetCurrentTimeNanos(); }

}  // namespace host_stub
