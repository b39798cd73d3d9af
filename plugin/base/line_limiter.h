// Keeps a log bounded: of the lines of one kind at most one a second is written, with the number of
// lines that were left out.
#ifndef PLUGIN_BASE_LINE_LIMITER_H_
#define PLUGIN_BASE_LINE_LIMITER_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace base {

// Any thread, without a lock.
class LineLimiter {
 public:
  // If a line may be written now, the number of lines that were left out since the last one; else
  // nullopt.
  std::optional<int64_t> Admit(absl::Time now);

 private:
  std::atomic<int64_t> next_ns_{INT64_MIN};  // the next line may come then
  std::atomic<int64_t> left_out_{0};
};

// What to append to a line: "" or " (12 more like this were left out)".
std::string LeftOut(int64_t lines);

}  // namespace base

#endif  // PLUGIN_BASE_LINE_LIMITER_H_
