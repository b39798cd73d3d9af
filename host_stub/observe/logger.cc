#include "host_stub/observe/logger.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "plugin/base/counted.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"

namespace host_stub {
namespace {

constexpr size_t kMostMessageBytes = 4096;
constexpr size_t kMostInstanceBytes = 64;
// What is told of dropped lines is added to a whole line.
constexpr size_t kDroppedBytes = 80;

const char* NameOf(Severity severity) {
  constexpr const char* kNames[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
  return kNames[static_cast<int>(severity)];
}

std::string JournalPrefix(Severity severity) {
  constexpr const char* kPrefixes[] = {"<7>", "<6>", "<4>", "<3>"};
  return kPrefixes[static_cast<int>(severity)];
}

std::string TimeText(absl::Time now) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone());
}

class FileDescriptorLogger : public Logger {
 public:
  FileDescriptorLogger(int file_descriptor, LogFormat format, Severity least,
                       int64_t lines_per_second)
      : file_descriptor_(file_descriptor),
        to_journal_(IsJournal(file_descriptor)),
        format_(format),
        least_(least),
        lines_per_second_(lines_per_second) {}

  void Log(Severity severity, absl::string_view instance, absl::string_view message) override {
    LogRequest(severity, instance, message, {});
  }

  void LogRequest(Severity severity, absl::string_view instance, absl::string_view message,
                  const LogFields& fields) override {
    if (severity < least_) return;
    const absl::Time now = absl::Now();
    if (!MayWrite(severity, absl::ToUnixSeconds(now))) return;
    std::string line;
    if (format_ == LogFormat::kJson) {
      line = JsonLogLine(to_journal_, severity, now, instance, message, fields);
    } else {
      line = TextLogBeginning(to_journal_, severity, now);
      absl::StrAppend(&line, NameOf(severity), " ");
      if (!instance.empty()) {
        absl::StrAppend(&line, "[", EscapeForLog(instance, kMostInstanceBytes), "] ");
      }
      absl::StrAppend(&line, EscapeForLog(message, kMostMessageBytes), "\n");
    }
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
    if (const int64_t dropped = std::exchange(dropped_, 0); dropped != 0) {
      if (format_ == LogFormat::kJson) {
        line.insert(line.size() - 2, absl::StrCat(",\"lines_dropped\":", dropped));
      } else {
        line.insert(
            line.size() - 1,
            absl::StrCat(" (", base::Counted(dropped, "line before it was", "lines before it were"),
                         " dropped)"));
      }
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
  const bool to_journal_;
  const LogFormat format_;
  const Severity least_;
  const int64_t lines_per_second_;
};

}  // namespace

std::unique_ptr<Logger> NewFileDescriptorLogger(int file_descriptor, LogFormat format,
                                                Severity least, int64_t lines_per_second) {
  return std::make_unique<FileDescriptorLogger>(file_descriptor, format, least, lines_per_second);
}

bool IsJournal(int file_descriptor) {
  const char* const stream = ::getenv("JOURNAL_STREAM");
  struct stat status = {};
  return stream != nullptr && ::fstat(file_descriptor, &status) == 0 &&
         stream == absl::StrCat(status.st_dev, ":", status.st_ino);
}

std::string TextLogBeginning(bool to_journal, Severity severity, absl::Time now) {
  return to_journal ? JournalPrefix(severity) : TimeText(now) + " ";
}

std::string JsonLogLine(bool to_journal, Severity severity, absl::Time now,
                        absl::string_view instance, absl::string_view message,
                        const LogFields& fields) {
  std::string line = to_journal ? JournalPrefix(severity) : "";
  line += "{";
  const auto add = [&line](const char* name, const std::string& json) {
    absl::StrAppend(&line, line.back() == '{' ? "" : ",", "\"", name, "\":", json);
  };
  const auto add_text = [&add](const char* name, absl::string_view text) {
    if (!text.empty()) add(name, base::JsonString(text));
  };
  const auto add_number = [&add](const char* name, int64_t number) {
    if (number >= 0) add(name, absl::StrCat(number));
  };
  if (!to_journal) add_text("time", TimeText(now));
  add_text("severity", NameOf(severity));
  add_text("instance", base::CutAtCharacter(instance, kMostInstanceBytes));
  add_text("request_id", fields.request_id);
  add_text("trace_id", fields.trace_id);
  add_text("peer", fields.peer);
  add_text("via", fields.via);
  add_text("method", fields.method);
  add_text("path", fields.path);
  add_number("status", fields.status);
  add_text("reason", fields.reason);
  add_number("bytes", fields.bytes);
  add_number("bytes_sent", fields.bytes_sent);
  if (fields.duration >= absl::ZeroDuration()) {
    add("duration", absl::StrFormat("%.6f", absl::ToDoubleSeconds(fields.duration)));
  }
  // A line that is cut would be no JSON, so the message is.
  std::string text = base::JsonString(message);
  const size_t room = PIPE_BUF - std::min<size_t>(PIPE_BUF, line.size() + kDroppedBytes);
  while (text.size() > room && !message.empty()) {
    message = base::CutAtCharacter(message, message.size() - 1 - message.size() / 8);
    text = base::JsonString(absl::StrCat(message, "..."));
  }
  if (!message.empty()) add("message", text);
  return line + "}\n";
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
