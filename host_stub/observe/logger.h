// Where the host and its plugins write lines for the operator.
#ifndef HOST_STUB_OBSERVE_LOGGER_H_
#define HOST_STUB_OBSERVE_LOGGER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace host_stub {

enum class Severity { kDebug, kInfo, kWarning, kError };

class Logger {
 public:
  virtual ~Logger() = default;

  // Writes one line. `instance` is an instance's name, or empty. The text may be anything,
  // including what a stranger sent: an implementation escapes it (see EscapeForLog). Any thread.
  virtual void Log(Severity severity, absl::string_view instance, absl::string_view message) = 0;

  // How many lines were not written although they should be. Any thread.
  virtual int64_t dropped() const { return 0; }
};

// Writes lines such as
//   2024-05-01T10:00:00.123Z WARNING [webhook] no credentials are set
// to a file descriptor that stays the caller's (2 is standard error), each with one write(2).
// Never waits: a line that would have to wait is dropped, and the next line tells how many were.
// Lines past `lines_per_second` of one severity are dropped, too, because senders that are refused
// could fill a disk. Lines below `least` are left out.
std::unique_ptr<Logger> NewFileDescriptorLogger(int file_descriptor, Severity least,
                                                int64_t lines_per_second);

// The text as one line that cannot deceive its reader: escaped as by base::AppendEscaped, with each
// backslash doubled, so that nobody can forge an escape. A result longer than `most_bytes` is cut
// at a character and ends in "...".
std::string EscapeForLog(absl::string_view text, size_t most_bytes);

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_LOGGER_H_
