// Where the host and its plugins write lines for the operator.
#ifndef HOST_STUB_OBSERVE_LOGGER_H_
#define HOST_STUB_OBSERVE_LOGGER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace host_stub {

enum class Severity { kDebug, kInfo, kWarning, kError };

// Lines for people, or JSON objects for programs, one a line.
enum class LogFormat { kText, kJson };

// What is known of the request or connection that a line is about; the rest is empty or -1.
struct LogFields {
  absl::string_view request_id = {};
  absl::string_view trace_id = {};
  absl::string_view peer = {};
  absl::string_view via = {};  // a door's name
  absl::string_view method = {};
  absl::string_view path = {};
  int64_t status = -1;
  absl::string_view reason = {};
  int64_t bytes = -1;
  int64_t bytes_sent = -1;
  absl::Duration duration = -absl::InfiniteDuration();
};

class Logger {
 public:
  virtual ~Logger() = default;

  // Writes one line. `instance` is an instance's name, or empty. The text may be anything,
  // including what a stranger sent: an implementation escapes it (see EscapeForLog). Any thread.
  virtual void Log(Severity severity, absl::string_view instance, absl::string_view message) = 0;

  // Likewise. The fields stand beside the message where lines have fields; the message of a line
  // for people tells them itself.
  virtual void LogRequest(Severity severity, absl::string_view instance, absl::string_view message,
                          const LogFields& fields) {
    static_cast<void>(fields);
    Log(severity, instance, message);
  }

  // How many lines were not written although they should be. Any thread.
  virtual int64_t dropped() const { return 0; }
};

// Writes lines such as
//   2024-05-01T10:00:00.123Z WARNING [webhook] no credentials are set
// to a file descriptor that stays the caller's (2 is standard error), each with one write(2).
// Never waits: a line that would have to wait is dropped, and the next line tells how many were.
// Lines past `lines_per_second` of one severity are dropped, too, because senders that are refused
// could fill a disk. Lines below `least` are left out.
std::unique_ptr<Logger> NewFileDescriptorLogger(int file_descriptor, LogFormat format,
                                                Severity least, int64_t lines_per_second);

// The text as one line that cannot deceive its reader: escaped as by base::AppendEscaped, with each
// backslash doubled, so that nobody can forge an escape. A result longer than `most_bytes` is cut
// at a character and ends in "...".
std::string EscapeForLog(absl::string_view text, size_t most_bytes);

// Whether what is written there goes to systemd's journal, as JOURNAL_STREAM tells
// (systemd.exec(5)).
bool IsJournal(int file_descriptor);

// What a line for people begins with: the time; for the journal, which has a time of its own, the
// severity as in sd-daemon(3).
std::string TextLogBeginning(bool to_journal, Severity severity, absl::Time now);

// A whole line for programs, of at most PIPE_BUF bytes. What is not known or empty is left out.
std::string JsonLogLine(bool to_journal, Severity severity, absl::Time now,
                        absl::string_view instance, absl::string_view message,
                        const LogFields& fields);

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_LOGGER_H_
