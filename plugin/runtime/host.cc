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

int32_t Host::ContextGet(lri_host_instance* instance, absl::string_view key, lri_context_done done,
                         void* done_context) const {
  if (!LRI_HAS(table_, context_get) || table_->context_get == nullptr) return LRI_UNIMPLEMENTED;
  return table_->context_get(table_->context, instance, ToView(key), done, done_context);
}

int32_t Host::ContextSet(lri_host_instance* instance, absl::string_view key,
                         absl::string_view value, lri_context_done done, void* done_context) const {
  if (!LRI_HAS(table_, context_set) || table_->context_set == nullptr) return LRI_UNIMPLEMENTED;
  return table_->context_set(table_->context, instance, ToView(key), ToView(value), done,
                             done_context);
}

void Host::SetHealth(lri_host_instance* instance, lri_health health,
                     absl::string_view message) const {
  if (LRI_HAS(table_, set_health) && table_->set_health != nullptr) {
    table_->set_health(table_->context, instance, health, ToView(message));
  }
}

void Host::Log(lri_host_instance* instance, lri_severity severity,
               absl::string_view message) const {
  if (LRI_HAS(table_, log) && table_->log != nullptr) {
    table_->log(table_->context, instance, severity, ToView(message));
  }
}

absl::Time Host::Now() const {
  if (LRI_HAS(table_, now) && table_->now != nullptr) {
    return absl::FromUnixNanos(table_->now(table_->context));
  }
  return absl::Now();
}

}  // namespace webhook::runtime
