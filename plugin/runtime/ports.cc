#include "plugin/runtime/ports.h"

#include "absl/strings/str_cat.h"

namespace webhook::runtime {

absl::StatusOr<PortClaim> Ports::Claim(uint16_t port, absl::string_view instance,
                                       bool changes_hands) {
  if (port == 0) return PortClaim();
  const std::lock_guard lock(mutex_);
  std::vector<Claimant>& claimants = claimants_[port];
  // More than one: it is promised to another already.
  if (claimants.size() > (changes_hands ? 1u : 0u)) {
    return absl::InvalidArgumentError(
        absl::StrCat("longRunningPort: ", port, " is the port of instance ",
                     claimants.back().instance, " already; each needs its own"));
  }
  const uint64_t number = next_number_++;
  claimants.push_back({number, std::string(instance), {}});
  return PortClaim(this, port, number);
}

void Ports::Release(uint16_t port, uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = claimants_.find(port);
  std::erase_if(found->second, [number](const Claimant& one) { return one.number == number; });
  if (found->second.empty()) claimants_.erase(found);
}

PortClaim::~PortClaim() {
  if (ports_ != nullptr) ports_->Release(port_, number_);
}

void PortClaim::SetListener(const std::shared_ptr<Listener>& listener) {
  if (ports_ == nullptr) return;
  const std::lock_guard lock(ports_->mutex_);
  for (Ports::Claimant& one : ports_->claimants_[port_]) {
    if (one.number == number_) one.listener = listener;
  }
}

std::shared_ptr<Listener> PortClaim::OthersListener() const {
  if (ports_ == nullptr) return nullptr;
  const std::lock_guard lock(ports_->mutex_);
  for (const Ports::Claimant& one : ports_->claimants_[port_]) {
    if (one.number != number_) return one.listener.lock();
  }
  return nullptr;
}

}  // namespace webhook::runtime
