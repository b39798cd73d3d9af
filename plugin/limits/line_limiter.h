// Keeps a log bounded whatever goes wrong: of lines of one kind, at most one a second is written,
// and it tells how many were left out.
#ifndef PLUGIN_LIMITS_LINE_LIMITER_H_
#define PLUGIN_LIMITS_LINE_LIMITER_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace webhook {

// Any thread; no lock.
class LineLimiter {
 public:
  // Whether a line may be written now; then how many were left out since the last one that was.
  std::optional<int64_t> Admit(absl::Time now);

 private:
  std::atomic<int64_t> next_ns_{INT64_MIN};  // the next line may come then
  std::atomic<int64_t> left_out_{0};
};

// What to put behind a line: "" or " (and 12 more of the last seconds)".
std::string LeftOut(int64_t lines);

}  // namespace webhook

#endif  // PLUGIN_LIMITS_LINE_LIMITER_H_
