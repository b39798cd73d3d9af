// Which instance has which listen port: the documents want each to have its own.
#ifndef PLUGIN_RUNTIME_PORTS_H_
#define PLUGIN_RUNTIME_PORTS_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace webhook::runtime {

class Ports;

// Keeps a port for an instance until it is destroyed. May be empty.
class PortClaim {
 public:
  PortClaim() = default;
  PortClaim(PortClaim&& other) noexcept : ports_(std::exchange(other.ports_, nullptr)) {
    port_ = other.port_;
  }
  PortClaim& operator=(PortClaim&& other) noexcept {
    std::swap(ports_, other.ports_);
    std::swap(port_, other.port_);
    return *this;
  }
  ~PortClaim();

 private:
  friend class Ports;
  PortClaim(Ports* ports, uint16_t port) : ports_(ports), port_(port) {}

  Ports* ports_ = nullptr;
  uint16_t port_ = 0;
};

// Thread-safe. Outlives its claims.
class Ports {
 public:
  // INVALID_ARGUMENT names the parameter and the instance that has the port. Port 0: an empty
  // claim.
  absl::StatusOr<PortClaim> Claim(uint16_t port, absl::string_view instance);

 private:
  friend class PortClaim;
  void Release(uint16_t port);

  std::mutex mutex_;
  std::map<uint16_t, std::string> owners_;  // guarded by mutex_
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_PORTS_H_
