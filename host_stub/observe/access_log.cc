#include "host_stub/observe/access_log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "host_stub/files/trusted_files.h"
#include "host_stub/observe/traffic.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"
#include "plugin/base/thread.h"

namespace host_stub {
namespace {

using std::chrono::milliseconds;

constexpr char kStandardOutput[] = "-";

// Lines are written at least that often.
constexpr milliseconds kPause(100);
constexpr milliseconds kTimeToClose(1'000);
constexpr int64_t kPauseOfFaultsMs = 60'000;

// A request as it stands in the buffer; its texts follow.
struct Record {
  int64_t time_ns;  // Unix time
  int64_t duration_ns;
  int64_t bytes;
  int64_t bytes_sent;
  int32_t door;
  int32_t status;
  int32_t reason;
  enum Text { kInstance, kRequestId, kTraceId, kPeer, kMethod, kPath, kTexts };
  std::array<uint16_t, kTexts> sizes;
};
static_assert(std::is_trivially_copyable_v<Record>);

absl::string_view Cut(lri_view view, size_t most) {
  return view.size == 0 ? "" : absl::string_view(view.data, std::min(view.size, most));
}

absl::StatusOr<int> OpenFile(const std::string& path) {
  // Without O_NONBLOCK a named pipe would wait here for its reader.
  const int file =
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
  struct stat status = {};
  absl::Status fault;
  if (file < 0 || ::fstat(file, &status) != 0) {
    fault = absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  } else if (!S_ISREG(status.st_mode)) {
    fault = absl::InvalidArgumentError(
        absl::StrCat(path, " is not a regular file; use - for standard output"));
  } else if (absl::Status writers = CheckWriters(path, TrustedOwners()); !writers.ok()) {
    fault = absl::PermissionDeniedError(
        absl::StrCat(path, " can be changed by others: ", writers.message()));
  }
  if (fault.ok()) return file;
  if (file >= 0) ::close(file);
  return fault;
}

// A word of a line for people: no blank, and nothing that could deceive its reader.
void AppendWord(const char* name, absl::string_view value, std::string& line) {
  if (value.empty()) return;
  absl::StrAppend(&line, " ", name, "=",
                  absl::StrReplaceAll(EscapeForLog(value, SIZE_MAX), {{" ", "\\x20"}}));
}

std::string TextLine(bool to_journal, absl::Time time, absl::string_view instance,
                     const LogFields& fields) {
  std::string words;
  AppendWord("peer", fields.peer, words);
  AppendWord("via", fields.via, words);
  AppendWord("instance", instance, words);
  AppendWord("method", fields.method, words);
  AppendWord("path", fields.path, words);
  if (fields.status >= 0) absl::StrAppend(&words, " status=", fields.status);
  AppendWord("reason", fields.reason, words);
  absl::StrAppend(&words, " bytes=", fields.bytes, " bytes_sent=", fields.bytes_sent,
                  absl::StrFormat(" duration=%.6f", absl::ToDoubleSeconds(fields.duration)));
  AppendWord("request_id", fields.request_id, words);
  AppendWord("trace_id", fields.trace_id, words);
  return absl::StrCat(TextLogBeginning(to_journal, Severity::kInfo, time), words.substr(1), "\n");
}

}  // namespace

absl::StatusOr<std::unique_ptr<AccessLog>> AccessLog::Open(AccessLogOptions options,
                                                           std::shared_ptr<Logger> logger) {
  absl::StatusOr<int> file = STDOUT_FILENO;
  if (options.path != kStandardOutput) file = OpenFile(options.path);
  if (!file.ok()) return file.status();
  return std::unique_ptr<AccessLog>(new AccessLog(std::move(options), std::move(logger), *file));
}

AccessLog::AccessLog(AccessLogOptions options, std::shared_ptr<Logger> logger, int file)
    : options_(std::move(options)),
      logger_(std::move(logger)),
      to_journal_(IsJournal(file)),
      file_(file) {
  records_.reserve(static_cast<size_t>(options_.buffer_bytes));
  thread_ = base::StartThread("access log", [this] { Run(); });
}

AccessLog::~AccessLog() {
  Close();
  if (options_.path != kStandardOutput) ::close(file_);
}

void AccessLog::Add(absl::string_view instance, const lri_answered& answered,
                    absl::Time now) noexcept {
  if (answered.method.size == 0 && (answered.status == 0 || answered.bytes_received == 0)) return;
  constexpr size_t kMostBytes = 64;
  const lri_view trace_id = LRI_HAS(&answered, trace_id) ? answered.trace_id : lri_view{};
  const std::array<absl::string_view, Record::kTexts> texts = {
      instance.substr(0, kMostBytes),   Cut(answered.request_id, kMostBytes),
      Cut(trace_id, kMostBytes),        Cut(answered.peer_address, kMostBytes),
      Cut(answered.method, kMostBytes), Cut(answered.path, 256)};
  Record record = {.time_ns = absl::ToUnixNanos(now),
                   .duration_ns = answered.duration_ns,
                   .bytes = static_cast<int64_t>(answered.bytes_received),
                   .bytes_sent = static_cast<int64_t>(answered.bytes_sent),
                   .door = answered.door,
                   .status = answered.status,
                   .reason = answered.reason,
                   .sizes = {}};
  size_t bytes = sizeof record;
  for (size_t i = 0; i < texts.size(); ++i) {
    record.sizes[i] = static_cast<uint16_t>(texts[i].size());
    bytes += texts[i].size();
  }
  const auto most_bytes = static_cast<size_t>(options_.buffer_bytes);
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t before = records_.size();
    if (closed_ || before + bytes > most_bytes) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    records_.append(reinterpret_cast<const char*>(&record), sizeof record);
    for (const absl::string_view text : texts) records_.append(text.data(), text.size());
    wake = before == 0 || (before <= most_bytes / 2 && records_.size() > most_bytes / 2);
  }
  if (wake) wake_.notify_one();
}

void AccessLog::Reopen() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reopen_ = true;
  }
  wake_.notify_one();
}

void AccessLog::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

// Sleeps where nothing comes; else it writes what has come in kPause, or when half of the room is
// used, so that hardly any request has to wake it.
void AccessLog::Run() {
  const auto most_bytes = static_cast<size_t>(options_.buffer_bytes);
  std::string taken;
  taken.reserve(most_bytes);
  for (bool closed = false; !closed;) {
    bool reopen = false;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return closed_ || reopen_ || !records_.empty(); });
      wake_.wait_for(lock, kPause, [this, most_bytes] {
        return closed_ || reopen_ || records_.size() > most_bytes / 2;
      });
      taken.swap(records_);
      reopen = std::exchange(reopen_, false);
      closed = closed_;
    }
    Write(taken);
    taken.clear();
    if (reopen) OpenAgain();
  }
}

void AccessLog::OpenAgain() {
  if (options_.path == kStandardOutput) return;
  absl::StatusOr<int> file = OpenFile(options_.path);
  if (!file.ok()) {
    logger_->Log(Severity::kError, "",
                 absl::StrCat("access log: the earlier file is kept: ", file.status().message()));
    return;
  }
  ::close(std::exchange(file_, *file));
  torn_ = false;
}

void AccessLog::Write(absl::string_view records) {
  // A buffer of records makes several times as many bytes of lines, which need not all be there at
  // once.
  constexpr size_t kBytesAtOnce = 256 * 1024;
  while (!records.empty()) {
    lines_.clear();
    while (!records.empty() && lines_.size() < kBytesAtOnce) {
      Record record;
      records.copy(reinterpret_cast<char*>(&record), sizeof record);
      records.remove_prefix(sizeof record);
      std::array<absl::string_view, Record::kTexts> texts;
      for (size_t i = 0; i < texts.size(); ++i) {
        texts[i] = records.substr(0, record.sizes[i]);
        records.remove_prefix(record.sizes[i]);
      }
      const LogFields fields = {.request_id = texts[Record::kRequestId],
                                .trace_id = texts[Record::kTraceId],
                                .peer = texts[Record::kPeer],
                                .via = DoorName(record.door),
                                .method = texts[Record::kMethod],
                                .path = texts[Record::kPath],
                                .status = record.status == 0 ? -1 : record.status,
                                .reason = lri_reason_name(record.reason),
                                .bytes = record.bytes,
                                .bytes_sent = record.bytes_sent,
                                .duration = absl::Nanoseconds(record.duration_ns)};
      const absl::Time time = absl::FromUnixNanos(record.time_ns);
      const absl::string_view instance = texts[Record::kInstance];
      lines_ += options_.format == LogFormat::kJson
                    ? JsonLogLine(to_journal_, Severity::kInfo, time, instance, "", fields)
                    : TextLine(to_journal_, time, instance, fields);
    }
    WriteLines(lines_);
  }
}

void AccessLog::WriteLines(absl::string_view lines) {
  // What follows half a line begins a new one.
  int error = torn_ && ::write(file_, "\n", 1) != 1 ? errno : 0;
  while (!lines.empty() && error == 0) {
    absl::string_view piece = lines;
    if (options_.path == kStandardOutput) {
      if (!AwaitRoom()) {
        error = EAGAIN;
        break;
      }
      // A pipe that polls writable takes PIPE_BUF bytes at once (pipe(7)).
      piece = piece.substr(0, piece.substr(0, PIPE_BUF).rfind('\n') + 1);
    }
    const ssize_t written = ::write(file_, piece.data(), piece.size());
    if (written > 0) {
      torn_ = lines[written - 1] != '\n';
      lines.remove_prefix(written);
    } else if (written == 0 || errno != EINTR) {
      error = written == 0 ? EIO : errno;
    }
  }
  if (error != 0) TellFault(error, std::count(lines.begin(), lines.end(), '\n'));
}

// False: the log is closed, and nobody reads the pipe.
bool AccessLog::AwaitRoom() {
  const auto is_closed = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    return closed_;
  };
  pollfd writable{file_, POLLOUT, 0};
  while (::poll(&writable, 1, static_cast<int>(kPause.count())) != 1) {
    if (is_closed()) return ::poll(&writable, 1, static_cast<int>(kTimeToClose.count())) == 1;
  }
  return true;
}

void AccessLog::TellFault(int error, int64_t lines) {
  dropped_.fetch_add(lines, std::memory_order_relaxed);
  faulty_lines_ += lines;
  const int64_t now_ms = base::CoarseMonotonicMilliseconds();
  if (now_ms < next_fault_ms_) return;
  next_fault_ms_ = now_ms + kPauseOfFaultsMs;
  const std::string place = options_.path == kStandardOutput ? "standard output" : options_.path;
  logger_->Log(Severity::kError, "",
               absl::StrCat("access log: cannot write to ", place, ": ", ::strerror(error), "; ",
                            base::Counted(std::exchange(faulty_lines_, 0), "line is", "lines are"),
                            " lost"));
}

}  // namespace host_stub
