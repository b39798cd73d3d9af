// What the host hears of every request and of every connection that was refused, at all doors.
#ifndef HOST_STUB_OBSERVE_TRAFFIC_H_
#define HOST_STUB_OBSERVE_TRAFFIC_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "host_stub/observe/access_log.h"
#include "host_stub/observe/histogram.h"
#include "host_stub/observe/logger.h"
#include "host_stub/observe/refusals.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// What became of a request. The names of the last column are labels of metrics.
#define HOST_STUB_OUTCOMES(OUTCOME)                                           \
  OUTCOME(kAccepted, "accepted")     /* 2xx; incidents, if it held any */     \
  OUTCOME(kDuplicate, "duplicate")   /* 2xx; known, so nothing was created */ \
  OUTCOME(kDropped, "dropped")       /* 2xx; a rule or the profile said so */ \
  OUTCOME(kHandshake, "handshake")   /* answered as its source wants */       \
  OUTCOME(kRefused, "refused")       /* any other answer below 500 */         \
  OUTCOME(kFailed, "failed")         /* 5xx */                                \
  OUTCOME(kUnanswered, "unanswered") /* the peer went away, or the connection was refused */

enum class Outcome {
#define HOST_STUB_AS_ENUMERATOR(identifier, name) identifier,
  HOST_STUB_OUTCOMES(HOST_STUB_AS_ENUMERATOR)
#undef HOST_STUB_AS_ENUMERATOR
      kCount
};

const char* OutcomeName(Outcome outcome);

// Whether a reason says that the sender did not get what it wished. By its name in
// plugin/abi/reasons.h; some reasons are told of answers 2xx.
inline bool IsRefusal(absl::string_view reason) {
  return reason != "duplicate" && reason != "dropped" && reason != "handshake";
}

// "front", "grpc", "listen", "execute"; "other" for another number.
const char* DoorName(int32_t door);
inline constexpr int kDoors = 5;  // doors are below this; 0 stands for others

// The counts of an instance, or of what came to none. Any thread; never blocks.
class TrafficCounts {
 public:
  // Returns which one it is.
  Outcome Add(const lri_answered& answered);

  int64_t of(int32_t door, Outcome outcome) const {
    return outcomes_[door][static_cast<int>(outcome)].load(std::memory_order_relaxed);
  }
  int64_t of(Outcome outcome) const {  // at all doors
    int64_t count = 0;
    for (int door = 0; door < kDoors; ++door) count += of(door, outcome);
    return count;
  }
  int64_t bytes_received() const { return bytes_received_.load(std::memory_order_relaxed); }
  // How often each reason was told, by its name in plugin/abi/reasons.h: all that were told but
  // LRI_REASON_ANSWERED.
  std::map<std::string, int64_t> reasons() const;

 private:
  static constexpr int kReasons = 128;
  std::atomic<int64_t> outcomes_[kDoors][static_cast<int>(Outcome::kCount)] = {};
  std::atomic<int64_t> reasons_[kReasons] = {};
  std::atomic<int64_t> bytes_received_{0};
};

// A histogram of the durations of HTTP requests for each method, status, route and scheme, all from
// closed lists. Any thread, without a lock: threads count apart, and reading adds up.
class RequestDurations {
 public:
  // Upper bounds in nanoseconds; one more bucket holds what is longer.
  static constexpr std::array<int64_t, 15> kBounds = {
      250'000,     500'000,       1'000'000,     2'500'000,     5'000'000,
      10'000'000,  25'000'000,    50'000'000,    100'000'000,   250'000'000,
      500'000'000, 1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};

  enum class Route { kInstance, kListen, kNone };

  struct Series {
    absl::string_view method;  // "_OTHER" for one that is not on the list
    absl::string_view status;  // the same
    Route route;
    bool over_tls;
    HistogramCounts<kBounds.size()> durations;  // in nanoseconds
  };

  RequestDurations() = default;
  ~RequestDurations();

  void Add(absl::string_view method, int status, Route route, bool over_tls, int64_t duration_ns);

  void ForEach(const std::function<void(const Series&)>& take) const;

 private:
  using Cell = Histogram<kBounds.size()>;
  static constexpr int kShards = 8;
  static constexpr int kCells = 8 * 32 * 3 * 2;

  // Made when the first request of its kind is counted.
  std::atomic<Cell*> cells_[kShards][kCells] = {};
};

// Any thread.
class Traffic {
 public:
  // `refusals_kept`: Limits::refusals. `access_log`: null if there is none.
  Traffic(int64_t refusals_kept, std::shared_ptr<Logger> logger,
          std::shared_ptr<AccessLog> access_log = nullptr)
      : refusals_(refusals_kept, std::move(logger)), access_log_(std::move(access_log)) {}

  // Called once for each, when the answer goes out. `counts` are those of the instance of that
  // name; null and "" where it came to none.
  void OnAnswered(absl::string_view instance, TrafficCounts* counts,
                  const lri_answered& answered) noexcept;

  const TrafficCounts& without_instance() const { return without_instance_; }
  const RequestDurations& durations() const { return durations_; }
  const Refusals& refusals() const { return refusals_; }
  // Null if there is none. Where there is one, it wants the id and the trace of each request.
  const AccessLog* access_log() const { return access_log_.get(); }

 private:
  TrafficCounts without_instance_;
  RequestDurations durations_;
  Refusals refusals_;
  const std::shared_ptr<AccessLog> access_log_;
};

}  // namespace host_stub

#endif  // HOST_STUB_OBSERVE_TRAFFIC_H_
