// Where the host and its plugins write lines for the person who runs them.
#ifndef HOST_STUB_ENGINE_LOGGER_H_
#define HOST_STUB_ENGINE_LOGGER_H_

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

  // Writes one line. `instance` is an instance's name, or empty. The text may be anything, also
  // what a stranger sent: an implementation escapes it (see EscapeForLog). Any thread.
  virtual void Log(Severity severity, absl::string_view instance, absl::string_view message) = 0;
};

// Writes lines such as
//   2024-05-01T10:00:00.123Z WARNING [webhook] no credentials are set
// to a file descriptor that stays the caller's (2 is standard error), each with one write(2).
// Never waits: a line that nobody reads is dropped, and the next one tells how many were. So are
// lines of a severity past `lines_per_second`, as senders who are refused could fill a disk.
// Lines below `least` are left out.
std::unique_ptr<Logger> NewFileDescriptorLogger(int file_descriptor, Severity least,
                                                int64_t lines_per_second);

// The text on one line that cannot deceive who reads it: control characters, DEL, C1, line and
// paragraph separators, and Unicode's marks of writing direction become \xNN or \u{NNNN}; bytes
// that are no UTF-8 become \xNN; a backslash is doubled. A result past `most_bytes` is cut at a
// character and ends in "...".
std::string EscapeForLog(absl::string_view text, size_t most_bytes);

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_LOGGER_H_
