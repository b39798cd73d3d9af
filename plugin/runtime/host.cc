#include "plugin/runtime/host.h"

#include "absl/time/clock.h"

namespace webhook::runtime {

absl::Status Host::Check(const lri_host* table) {
  if (table == nullptr || !LRI_HAS(table, complete) || table->create_incidents == nullptr ||
      table->complete == nullptr) {
    return absl::InvalidArgumentError(
        "the host's table lacks create_incidents or complete, which every host must have");
  }
  return absl::OkStatus();
}

int32_t Host::CreateIncidents(lri_host_instance* instance,
                              const lri_incident_batch& batch) const noexcept try {
  return table_->create_incidents(table_->context, instance, &batch);
} catch (...) {
  return kThrew;
}

void Host::Complete(lri_call* call, const lri_answer& answer) const noexcept try {
  table_->complete(table_->context, call, &answer);
} catch (...) {
  // It has the answer, or it lost it.
}

int32_t Host::ContextGet(lri_host_instance* instance, absl::string_view key, lri_context_done done,
                         void* done_context) const noexcept try {
  if (!LRI_HAS(table_, context_get) || table_->context_get == nullptr) return LRI_UNIMPLEMENTED;
  return table_->context_get(table_->context, instance, ToView(key), done, done_context);
} catch (...) {
  return LRI_INTERNAL;
}

int32_t Host::ContextSet(lri_host_instance* instance, absl::string_view key,
                         absl::string_view value, lri_context_done done,
                         void* done_context) const noexcept try {
  if (!LRI_HAS(table_, context_set) || table_->context_set == nullptr) return LRI_UNIMPLEMENTED;
  return table_->context_set(table_->context, instance, ToView(key), ToView(value), done,
                             done_context);
} catch (...) {
  return LRI_INTERNAL;
}

void Host::SetHealth(lri_host_instance* instance, lri_health health,
                     absl::string_view message) const noexcept try {
  if (LRI_HAS(table_, set_health) && table_->set_health != nullptr) {
    table_->set_health(table_->context, instance, health, ToView(message));
  }
} catch (...) {
}

void Host::Log(lri_host_instance* instance, lri_severity severity,
               absl::string_view message) const noexcept try {
  if (LRI_HAS(table_, log) && table_->log != nullptr) {
    table_->log(table_->context, instance, severity, ToView(message));
  }
} catch (...) {
}

absl::Time Host::Now() const noexcept try {
  if (LRI_HAS(table_, now) && table_->now != nullptr) {
    return absl::FromUnixNanos(table_->now(table_->context));
  }
  return absl::Now();
} catch (...) {
  return absl::Now();
}

}  // namespace webhook::runtime
