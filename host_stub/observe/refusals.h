// The requests and connections that were refused recently, in memory, and their lines in the log.
#ifndef HOST_STUB_OBSERVE_REFUSALS_H_
#define HOST_STUB_OBSERVE_REFUSALS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/observe/logger.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/line_limiter.h"

namespace host_stub {

// One of them. No value of a header, no query and no body is ever in it.
struct Refusal {
  int64_t number = 0;  // from 1 on, in their order
  absl::Time time;
  std::string instance;  // a name; empty: it came to none
  int32_t door = 0;      // enum lri_door
  std::string request_id;
  std::string peer;
  std::string method;                     // empty where no head was read, as is `path`
  std::string path;                       // 256 octets at most
  std::vector<std::string> header_names;  // 32 of 64 octets at most
  std::string trace_id;                   // 32 hexadecimal digits, or empty
  int32_t status = 0;                     // 0: no answer was sent
  int32_t reason = 0;                     // enum lri_reason
  std::string detail;                     // 512 octets at most
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  absl::Duration duration;
};

struct RefusalQuery {
  std::string instance = {};  // only of this instance; empty: of all
  int32_t reason = 0;         // only with this reason; 0: with any
  std::string position = {};  // only those after it; empty: all that are kept
  size_t limit = SIZE_MAX;    // of those the last ones without a position, the first ones with it
};

struct RefusalPage {
  std::vector<Refusal> refusals;  // oldest first
  std::string position;           // to ask for those that follow
  // Some that the query asks for are not kept any more: they made room for others, or the host has
  // been started again since.
  bool gap = false;
};

// Any thread. At most `most_kept` are kept. Each instance and reason keeps its own, and whichever
// has most makes room, so that a flood of one kind does not wash away the one that is looked for.
class Refusals {
 public:
  Refusals(int64_t most_kept, std::shared_ptr<Logger> logger);

  // Keeps it, and writes a line: at most one a minute for each instance, reason and network of
  // peers, with the number of lines that were left out. Must not be called for an answer 2xx.
  void Add(absl::string_view instance, const lri_answered& answered, absl::Time now);

  // INVALID_ARGUMENT: the position was not issued by it.
  absl::StatusOr<RefusalPage> List(const RefusalQuery& query) const;

 private:
  struct Kind {
    std::deque<Refusal> kept;
    int64_t last_lost = 0;                           // the number of the last one that made room
    std::map<std::string, base::LineLimiter> lines;  // by network
  };

  void MakeRoom(Kind& added) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static base::LineLimiter& LinesOf(Kind& kind, absl::string_view peer, absl::Time now);

  const size_t most_kept_;
  const std::shared_ptr<Logger> logger_;
  const std::string epoch_;  // of this start of the host

  mutable absl::Mutex mutex_;
  std::map<std::pair<std::string, int32_t>, Kind> kinds_ ABSL_GUARDED_BY(mutex_);
  size_t kept_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t last_lost_ ABSL_GUARDED_BY(mutex_) = 0;  // of kinds of which none is kept any more
  int64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_REFUSALS_H_
