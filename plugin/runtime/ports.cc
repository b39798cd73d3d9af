#include "plugin/runtime/ports.h"

#include "absl/strings/str_cat.h"

namespace webhook::runtime {

absl::StatusOr<PortClaim> Ports::Claim(uint16_t port, absl::string_view instance) {
  if (port == 0) return PortClaim();
  const std::lock_guard lock(mutex_);
  const auto [owner, added] = owners_.emplace(port, std::string(instance));
  if (!added) {
    return absl::InvalidArgumentError(absl::StrCat("longRunningPort: ", port,
                                                   " is the port of instance ", owner->second,
                                                   " already; each needs its own"));
  }
  return PortClaim(this, port);
}

void Ports::Release(uint16_t port) {
  const std::lock_guard lock(mutex_);
  owners_.erase(port);
}

PortClaim::~PortClaim() {
  if (ports_ != nullptr) ports_->Release(port_);
}

}  // namespace webhook::runtime
