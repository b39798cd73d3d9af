// One line for each request, at all doors, in a file of its own.
#ifndef HOST_STUB_OBSERVE_ACCESS_LOG_H_
#define HOST_STUB_OBSERVE_ACCESS_LOG_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/observe/logger.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

struct AccessLogOptions {
  std::string
      path;  // a regular file, made with mode 0600 where it is missing; "-": standard output
  LogFormat format = LogFormat::kText;
  int64_t buffer_bytes = 0;  // Limits::access_log_buffer_bytes
};

// Any thread. A request is copied into a buffer in memory; a thread of the log's own makes lines of
// what is there and writes them.
class AccessLog {
 public:
  // Errors name the file and what to do: PERMISSION_DENIED (also where others can change the file),
  // NOT_FOUND, INVALID_ARGUMENT (no regular file), UNAVAILABLE. `logger` is told what cannot be
  // written, once a minute.
  static absl::StatusOr<std::unique_ptr<AccessLog>> Open(AccessLogOptions options,
                                                         std::shared_ptr<Logger> logger);
  ~AccessLog();

  // Never waits for the disk, and takes no memory: a request that the buffer has no room for is
  // left out and counted. A connection that was refused before it sent a request has no line.
  void Add(absl::string_view instance, const lri_answered& answered, absl::Time now) noexcept;

  // Soon opens the file again, which somebody has renamed. What was added before goes into the
  // earlier file. Where that fails, the earlier file is kept, and the log says why.
  void Reopen();

  // Writes what waits, for a second at most where a pipe is not read, and ends the thread. A second
  // call does nothing.
  void Close();

  // Requests that have no line.
  int64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  AccessLog(AccessLogOptions options, std::shared_ptr<Logger> logger, int file);

  void Run();
  void OpenAgain();
  void Write(absl::string_view records);
  void WriteLines(absl::string_view lines);
  bool AwaitRoom();
  void TellFault(int error, int64_t lines);

  const AccessLogOptions options_;
  const std::shared_ptr<Logger> logger_;
  const bool to_journal_;
  std::atomic<int64_t> dropped_{0};

  std::mutex mutex_;  // held for as long as a request is copied
  std::condition_variable wake_;
  std::string records_;  // that wait; never larger than buffer_bytes
  bool reopen_ = false;
  bool closed_ = false;

  // For the thread alone.
  int file_;
  std::string lines_;
  bool torn_ = false;          // the file ends within a line
  int64_t next_fault_ms_ = 0;  // monotonic
  int64_t faulty_lines_ = 0;   // since the log was told

  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_ACCESS_LOG_H_
