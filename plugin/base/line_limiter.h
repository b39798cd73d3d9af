// Keeps a log bounded: of the lines of one kind at most one a second is written, with the number of
// lines that were left out.
#ifndef PLUGIN_BASE_LINE_LIMITER_H_
#define PLUGIN_BASE_LINE_LIMITER_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "plugin/base/counted.h"

namespace base {

// Any thread, without a lock.
class LineLimiter {
 public:
  // If a line may be written now, the number of lines that were left out since the last one; else
  // nullopt.
  std::optional<int64_t> Admit(absl::Time now) {
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

 private:
  static constexpr int64_t kPauseNs = 1'000'000'000;

  std::atomic<int64_t> next_ns_{INT64_MIN};  // the next line may come then
  std::atomic<int64_t> left_out_{0};
};

// What to append to a line: "" or " (12 more like this were left out)".
inline std::string LeftOut(int64_t lines) {
  return lines == 0
             ? ""
             : absl::StrCat(" (", Counted(lines, "more like this was", "more like this were"),
                            " left out)");
}

}  // namespace base

#endif  // PLUGIN_BASE_LINE_LIMITER_H_
