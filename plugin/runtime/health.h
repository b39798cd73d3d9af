// What an instance tells the host of its health.
#ifndef PLUGIN_RUNTIME_HEALTH_H_
#define PLUGIN_RUNTIME_HEALTH_H_

#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {

// Thread-safe, never blocks. Unhealthy while the listener fails, else degraded while there is a
// fault, else healthy. Silent unless it serves.
class Health {
 public:
  Health(const Host& host, lri_host_instance* instance) : host_(host), instance_(instance) {}

  // It serves from now on; `fault` as of Configuration::FaultAt.
  void Begin(absl::string_view fault);
  void End();

  // OK: the listen port serves (again).
  void SetListener(const absl::Status& status);

 private:
  void Tell();

  const Host host_;
  lri_host_instance* const instance_;
  std::mutex mutex_;  // guards the three below, and keeps what is told in order
  bool serving_ = false;
  std::string fault_;
  absl::Status listener_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_HEALTH_H_
