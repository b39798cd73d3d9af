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
