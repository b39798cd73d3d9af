#include "plugin/base/line_limiter.h"

#include "absl/strings/str_cat.h"

namespace base {
namespace {

constexpr int64_t kPauseNs = 1'000'000'000;

}  // namespace

std::optional<int64_t> LineLimiter::Admit(absl::Time now) {
  const int64_t now_ns = absl::ToUnixNanos(now);
  int64_t next = next_ns_.load(std::memory_order_relaxed);
  // A clock that is set back must not silence the log for long.
  const bool due = now_ns >= next || next - now_ns > kPauseNs;
  if (due && next_ns_.compare_exchange_strong(next, now_ns + kPauseNs)) {
    return left_out_.exchange(0);
  }
  left_out_.fetch_add(1, std::memory_order_relaxed);
  return std::nullopt;
}

std::string LeftOut(int64_t lines) {
  return lines == 0 ? "" : absl::StrCat(" (", lines, " more like this were left out)");
}

}  // namespace base
