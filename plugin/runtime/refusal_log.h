// Lines for the log about what a server refused because of a limit on connections or memory, or
// because it came past the proxies or without their PROXY header.
#ifndef PLUGIN_RUNTIME_REFUSAL_LOG_H_
#define PLUGIN_RUNTIME_REFUSAL_LOG_H_

#include <exception>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "plugin/base/line_limiter.h"
#include "plugin/http/handler.h"

namespace webhook::runtime {

// Any thread, without a lock.
class RefusalLog {
 public:
  // Empty if there is nothing to say, or nothing more within this second.
  std::string LineFor(const http::Answered& answered, absl::Time now) noexcept {
    base::LineLimiter* limiter = nullptr;
    if (answered.reason == LRI_REASON_TOO_MANY_CONNECTIONS) limiter = &connections_;
    if (answered.reason == LRI_REASON_TOO_MANY_FROM_ADDRESS) limiter = &address_;
    if (answered.reason == LRI_REASON_MEMORY) limiter = &memory_;
    const bool is_unread = answered.exchange == nullptr && answered.status == 0;
    if (is_unread && !answered.detail.empty() &&
        (answered.reason == LRI_REASON_ADDRESS || answered.reason == LRI_REASON_BAD_REQUEST)) {
      limiter = &proxies_;
    }
    if (limiter == nullptr) return "";
    const std::optional<int64_t> left_out = limiter->Admit(now);
    if (!left_out.has_value()) return "";
    try {
      return absl::StrCat(
          limiter == &memory_ ? "a request of " : "a connection of ", answered.peer,
          " was refused: ", answered.detail.empty() ? "memory ran out" : answered.detail,
          base::LeftOut(*left_out));
    } catch (const std::exception&) {
      return "";
    }
  }

 private:
  base::LineLimiter connections_, address_, memory_, proxies_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_REFUSAL_LOG_H_
