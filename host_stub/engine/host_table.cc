#include "host_stub/engine/host_table.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "host_stub/engine/guarded.h"

namespace host_stub {
namespace {

Severity ToSeverity(int32_t severity) {
  return static_cast<Severity>(std::clamp<int32_t>(severity, LRI_DEBUG, LRI_ERROR));
}

// What was not taken, or found no memory, is as if it had never begun.
template <typename Hand>
int32_t BeginContext(InstanceRecord& record, const Hand& hand) {
  record.contexts_begun.fetch_add(1, std::memory_order_relaxed);
  absl::Cleanup not_begun = [&record] {
    record.contexts_begun.fetch_sub(1, std::memory_order_relaxed);
  };
  const absl::Status status = hand();
  if (status.ok()) std::move(not_begun).Cancel();
  return static_cast<int32_t>(status.code());
}

}  // namespace

// The functions below are noexcept through the type that they are called by, so none of them may
// let out what is thrown when the host's memory runs out.

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

void HostTable::Complete(void* context, lri_call* call, const lri_answer* answer) try {
  HostTable& host = From(context);
  if (host.calls_.Complete(CallTable::FromAbi(call), answer)) return;
  host.services_.logger->Log(Severity::kError, "",
                             "the plugin answered a call that waits for no answer: it was "
                             "answered before, or never was; ignored");
} catch (const std::exception&) {
}

// Takes the store's answer to a thread of ours: its own must not wait for a plugin.
ContextDone HostTable::ContextAnswer(InstanceRecord& record, lri_context_done done,
                                     void* done_context) {
  return [this, &record, done, done_context](absl::StatusOr<std::string> value) {
    try {
      services_.threads->Post(0, [&record, done, done_context, value = std::move(value)] {
        TellContext(record, done, done_context, value);
      });
    } catch (const std::bad_alloc&) {
      // Better on the store's thread than never.
      TellContext(record, done, done_context,
                  absl::Status(absl::StatusCode::kResourceExhausted, ""));
    }
  };
}

void HostTable::TellContext(InstanceRecord& record, lri_context_done done, void* done_context,
                            const absl::StatusOr<std::string>& value) noexcept {
  try {
    int32_t code = LRI_OK;
    std::string thrown;
    const auto call = [&] {
      done(done_context, static_cast<int32_t>(value.status().code()),
           value.ok() ? ToView(*value) : lri_view{nullptr, 0});
      return LRI_OK;
    };
    if (done != nullptr && !CallGuarded("context_done", call, &code, &thrown)) {
      record.Fault(thrown, true);
    }
  } catch (const std::bad_alloc&) {
    // There is no memory to tell what it threw.
  }
  // The record may go as soon as this is counted.
  record.contexts_ended.fetch_add(1, std::memory_order_release);
}

int32_t HostTable::ContextGet(void* context, lri_host_instance* instance, lri_view key,
                              lri_context_done done, void* done_context) try {
  if (instance == nullptr || done == nullptr) return LRI_INVALID_ARGUMENT;
  HostTable& host = From(context);
  if (host.services_.state == nullptr) return LRI_UNIMPLEMENTED;
  InstanceRecord& record = *InstanceRecord::From(instance);
  ContextDone answer = host.ContextAnswer(record, done, done_context);
  return BeginContext(record, [&] {
    return host.services_.state->GetContext(record.uid, ToStringView(key), std::move(answer));
  });
} catch (const std::exception&) {
  return LRI_INTERNAL;
}

int32_t HostTable::ContextSet(void* context, lri_host_instance* instance, lri_view key,
                              lri_view value, lri_context_done done, void* done_context) try {
  if (instance == nullptr) return LRI_INVALID_ARGUMENT;
  HostTable& host = From(context);
  if (host.services_.state == nullptr) return LRI_UNIMPLEMENTED;
  InstanceRecord& record = *InstanceRecord::From(instance);
  ContextDone answer = host.ContextAnswer(record, done, done_context);
  return BeginContext(record, [&] {
    return host.services_.state->SetContext(record.uid, ToStringView(key),
                                            std::string(ToStringView(value)), std::move(answer));
  });
} catch (const std::exception&) {
  return LRI_INTERNAL;
}

void HostTable::SetHealth(void* context, lri_host_instance* instance, int32_t health,
                          lri_view message) try {
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
} catch (const std::exception&) {
}

void HostTable::Log(void* context, lri_host_instance* instance, int32_t severity,
                    lri_view message) try {
  const absl::string_view name =
      instance == nullptr ? absl::string_view() : InstanceRecord::From(instance)->name;
  From(context).services_.logger->Log(ToSeverity(severity), name, ToStringView(message));
} catch (const std::exception&) {
}

int64_t HostTable::Now(void*) { return absl::GetCurrentTimeNanos(); }

}  // namespace host_stub
