// Which instance has which listen port: the documents want each to have its own.
#ifndef PLUGIN_RUNTIME_PORTS_H_
#define PLUGIN_RUNTIME_PORTS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/runtime/listener.h"

namespace webhook::runtime {

class Ports;

// Keeps a port for an instance until it is destroyed. May be empty.
class PortClaim {
 public:
  PortClaim() = default;
  PortClaim(PortClaim&& other) noexcept { *this = std::move(other); }
  PortClaim& operator=(PortClaim&& other) noexcept {
    std::swap(ports_, other.ports_);
    std::swap(port_, other.port_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~PortClaim();

  // What listens on the port for this instance now.
  void SetListener(const std::shared_ptr<Listener>& listener);

  // What listens on it for the instance that gives it up to this one; null: nothing does.
  std::shared_ptr<Listener> OthersListener() const;

 private:
  friend class Ports;
  PortClaim(Ports* ports, uint16_t port, uint64_t number)
      : ports_(ports), port_(port), number_(number) {}

  Ports* ports_ = nullptr;
  uint16_t port_ = 0;
  uint64_t number_ = 0;
};

// Thread-safe. Outlives its claims.
class Ports {
 public:
  // INVALID_ARGUMENT names the parameter and the instance that has the port. With `changes_hands`
  // one other instance may have it, and gives it up in the same change. Port 0: an empty claim.
  absl::StatusOr<PortClaim> Claim(uint16_t port, absl::string_view instance, bool changes_hands);

 private:
  friend class PortClaim;
  struct Claimant {
    uint64_t number;
    std::string instance;
    std::weak_ptr<Listener> listener;
  };

  void Release(uint16_t port, uint64_t number);

  std::mutex mutex_;                                     // guards the two below
  std::map<uint16_t, std::vector<Claimant>> claimants_;  // in the order of their claims
  uint64_t next_number_ = 1;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_PORTS_H_
