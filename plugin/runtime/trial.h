// The command "try": a request that is judged as a real one is, by the same code, and reported on.
#ifndef PLUGIN_RUNTIME_TRIAL_H_
#define PLUGIN_RUNTIME_TRIAL_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/core/incidents.h"
#include "plugin/limits/limits.h"
#include "plugin/runtime/configuration.h"
#include "plugin/sources/evaluate.h"

namespace webhook::runtime {

// Owns the request until the report was told. One thread at a time.
class Trial {
 public:
  // `arguments` as the ABI's header describes them. INVALID_ARGUMENT names the member.
  static absl::StatusOr<std::unique_ptr<Trial>> Read(absl::string_view arguments,
                                                     const Limits& limits, absl::Time now,
                                                     lri_command_done done, void* done_context);
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  const lri_request& request() const { return request_; }
  // The time at which the request is judged.
  absl::Time at() const { return at_; }

  // The incident that this delivery, or one of its incidents, created before.
  void NoteDuplicate(absl::string_view id) {
    if (duplicate_of_.empty()) duplicate_of_ = std::string(id);
  }

  // Tells the report. `judged`: of the source; null where there is none.
  void Tell(const lri_answer& answer, const Configuration& configuration,
            const sources::Result* judged, std::span<const core::ParsedIncident> incidents);

 private:
  Trial() = default;

  std::string method_, path_, query_, peer_, body_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::vector<lri_pair> pairs_;
  lri_request_head head_{};
  lri_request request_{};
  absl::Time at_;
  lri_command_done done_ = nullptr;
  void* done_context_ = nullptr;
  std::string duplicate_of_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_TRIAL_H_
