#include "host_stub/observe/logger.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "plugin/base/counted.h"
#include "plugin/base/utf8.h"

namespace host_stub {
namespace {

constexpr size_t kMostMessageBytes = 4096;
constexpr size_t kMostInstanceBytes = 64;

class FileDescriptorLogger : public Logger {
 public:
  FileDescriptorLogger(int file_descriptor, Severity least, int64_t lines_per_second)
      : file_descriptor_(file_descriptor), least_(least), lines_per_second_(lines_per_second) {}

  void Log(Severity severity, absl::string_view instance, absl::string_view message) override {
    if (severity < least_) return;
    const absl::Time now = absl::Now();
    if (!MayWrite(severity, absl::ToUnixSeconds(now))) return;
    constexpr const char* kNames[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    std::string line = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ ", now, absl::UTCTimeZone());
    absl::StrAppend(&line, kNames[static_cast<int>(severity)], " ");
    if (!instance.empty()) {
      absl::StrAppend(&line, "[", EscapeForLog(instance, kMostInstanceBytes), "] ");
    }
    absl::StrAppend(&line, EscapeForLog(message, kMostMessageBytes), "\n");
    Write(line);
  }

  int64_t dropped() const override { return all_dropped_.load(std::memory_order_relaxed); }

 private:
  bool MayWrite(Severity severity, int64_t second) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(second_, second) != second) written_ = {};
    if (++written_[static_cast<size_t>(severity)] <= lines_per_second_) return true;
    Drop();
    return false;
  }

  void Drop() {
    ++dropped_;
    all_dropped_.fetch_add(1, std::memory_order_relaxed);
  }

  // A log that nobody reads must not stop the service: a line that would have to wait is dropped,
  // and counted for the next one that does not.
  void Write(std::string& line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    pollfd writable{file_descriptor_, POLLOUT, 0};
    if (poll(&writable, 1, 0) != 1) {
      Drop();
      return;
    }
    if (dropped_ != 0) {
      line.insert(
          line.size() - 1,
          absl::StrCat(" (", base::Counted(dropped_, "line before it was", "lines before it were"),
                       " dropped)"));
      dropped_ = 0;
    }
    // A pipe that polls writable takes PIPE_BUF bytes at once (pipe(7)).
    if (line.size() > PIPE_BUF) line.replace(PIPE_BUF - 4, std::string::npos, "...\n");
    [[maybe_unused]] const ssize_t written = write(file_descriptor_, line.data(), line.size());
  }

  std::mutex mutex_;
  int64_t dropped_ = 0;  // since the last line
  std::atomic<int64_t> all_dropped_{0};
  int64_t second_ = 0;                   // of which the lines are counted
  std::array<int64_t, 4> written_ = {};  // by severity
  const int file_descriptor_;
  const Severity least_;
  const int64_t lines_per_second_;
};

}  // namespace

std::unique_ptr<Logger> NewFileDescriptorLogger(int file_descriptor, Severity least,
                                                int64_t lines_per_second) {
  return std::make_unique<FileDescriptorLogger>(file_descriptor, least, lines_per_second);
}

std::string EscapeForLog(absl::string_view text, size_t most_bytes) {
  constexpr absl::string_view kCut = "...";
  std::string line;
  size_t cut = 0;  // where to end if the rest does not fit
  while (!text.empty()) {
    if (text[0] == '\\') line += '\\';
    text.remove_prefix(base::AppendEscaped(&line, text));
    if (line.size() + kCut.size() <= most_bytes) cut = line.size();
    if (line.size() > most_bytes) {
      line.resize(cut);
      line.append(kCut.data(), std::min(kCut.size(), most_bytes));
      return line;
    }
  }
  return line;
}

}  // namespace host_stub
