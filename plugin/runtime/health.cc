#include "plugin/runtime/health.h"

namespace webhook::runtime {

void Health::Begin(absl::string_view fault) {
  const std::lock_guard lock(mutex_);
  serving_ = true;
  fault_ = std::string(fault);
  Tell();
}

void Health::End() {
  const std::lock_guard lock(mutex_);
  serving_ = false;
  listener_ = absl::OkStatus();
}

void Health::SetListener(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  const bool again = status.ok() && !listener_.ok();
  listener_ = status;
  if (!serving_) return;
  if (!status.ok()) host_.Log(instance_, LRI_ERROR, status.message());
  if (again) host_.Log(instance_, LRI_INFO, "longRunningPort: it listens again");
  Tell();
}

void Health::Tell() {
  if (!listener_.ok()) {
    host_.SetHealth(instance_, LRI_UNHEALTHY, listener_.message());
  } else if (!fault_.empty()) {
    host_.SetHealth(instance_, LRI_DEGRADED, fault_);
  } else {
    host_.SetHealth(instance_, LRI_HEALTHY, "serves");
  }
}

}  // namespace webhook::runtime
