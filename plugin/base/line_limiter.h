// Keeps a log bounded: of the lines of one kind at most one is written in a while, with the number
// of lines that were left out.
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
  explicit LineLimiter(absl::Duration pause = absl::Seconds(1))
      : pause_ns_(absl::ToInt64Nanoseconds(pause)) {}

  // If a line may be written now, the number of lines that were left out since the last one; else
  // nullopt.
  std::optional<int64_t> Admit(absl::Time now) {
    int64_t next = next_ns_.load(std::memory_order_relaxed);
    if (is_due(now) && next_ns_.compare_exchange_strong(next, absl::ToUnixNanos(now) + pause_ns_)) {
      return left_out_.exchange(0);
    }
    LeaveOut(1);
    return std::nullopt;
  }

  // Whether Admit would admit a line now. A clock that is set back must not silence the log for
  // long.
  bool is_due(absl::Time now) const {
    const int64_t wait_ns = next_ns_.load(std::memory_order_relaxed) - absl::ToUnixNanos(now);
    return wait_ns <= 0 || wait_ns > pause_ns_;
  }

  // Lines that the next one is to tell of.
  int64_t left_out() const { return left_out_.load(std::memory_order_relaxed); }
  void LeaveOut(int64_t lines) { left_out_.fetch_add(lines, std::memory_order_relaxed); }

 private:
  const int64_t pause_ns_;
  std::atomic<int64_t> next_ns_{0};  // the next line may come then
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
