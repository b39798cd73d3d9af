#include "host_stub/observe/traffic.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>

#include "absl/time/clock.h"

namespace host_stub {
namespace {

// RFC 9110 section 9.3 and RFC 5789. The last stands for all others.
constexpr absl::string_view kMethods[] = {"POST",    "GET",   "PUT",    "HEAD",
                                          "OPTIONS", "PATCH", "DELETE", "_OTHER"};
// What front, plugin and profiles answer. The first stands for all others.
constexpr int kStatuses[] = {0,   200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 410, 411,
                             413, 414, 415, 417, 421, 422, 429, 431, 500, 501, 503, 504, 505};
constexpr absl::string_view kStatusTexts[] = {"_OTHER", "200", "201", "202", "204", "400", "401",
                                              "403",    "404", "405", "408", "409", "410", "411",
                                              "413",    "414", "415", "417", "421", "422", "429",
                                              "431",    "500", "501", "503", "504", "505"};
static_assert(std::size(kMethods) == 8 && std::size(kStatuses) <= 32 &&
              std::size(kStatuses) == std::size(kStatusTexts));

constexpr std::array<uint8_t, 600> kIndexOfStatus = [] {
  std::array<uint8_t, 600> indexes = {};
  for (size_t i = 0; i < std::size(kStatuses); ++i) indexes[kStatuses[i]] = static_cast<uint8_t>(i);
  return indexes;
}();

// Unlike a hash of the thread's id, it spreads the first threads over all shards.
int ShardOfThisThread(int shards) {
  static std::atomic<int> next{0};
  static constinit thread_local int own = -1;
  if (own < 0) own = next.fetch_add(1, std::memory_order_relaxed) % shards;
  return own;
}

RequestDurations::Route RouteOf(absl::string_view instance, int32_t door) {
  if (instance.empty()) return RequestDurations::Route::kNone;
  return door == LRI_DOOR_LISTEN ? RequestDurations::Route::kListen
                                 : RequestDurations::Route::kInstance;
}

Outcome OutcomeOf(int status, int32_t reason) {
  if (status == 0) return Outcome::kUnanswered;
  if (status >= 500) return Outcome::kFailed;
  switch (reason) {
    case LRI_REASON_DUPLICATE:
      return Outcome::kDuplicate;
    case LRI_REASON_DROPPED:
      return Outcome::kDropped;
    case LRI_REASON_HANDSHAKE:
      return Outcome::kHandshake;
    default:
      return status < 300 ? Outcome::kAccepted : Outcome::kRefused;
  }
}

}  // namespace

const char* OutcomeName(Outcome outcome) {
#define HOST_STUB_AS_NAME(identifier, name) name,
  static constexpr const char* kNames[] = {HOST_STUB_OUTCOMES(HOST_STUB_AS_NAME)};
#undef HOST_STUB_AS_NAME
  return kNames[static_cast<int>(outcome)];
}

const char* DoorName(int32_t door) {
  static constexpr const char* kNames[kDoors] = {"other", "front", "grpc", "listen", "execute"};
  return kNames[door > 0 && door < kDoors ? door : 0];
}

Outcome TrafficCounts::Add(const lri_answered& answered) {
  const int door = answered.door > 0 && answered.door < kDoors ? answered.door : 0;
  const Outcome outcome = OutcomeOf(answered.status, answered.reason);
  outcomes_[door][static_cast<int>(outcome)].fetch_add(1, std::memory_order_relaxed);
  bytes_received_.fetch_add(static_cast<int64_t>(answered.bytes_received),
                            std::memory_order_relaxed);
  if (answered.reason == LRI_REASON_ANSWERED) return outcome;
  const bool known = answered.reason > 0 && answered.reason < kReasons;
  reasons_[known ? answered.reason : LRI_REASON_OTHER].fetch_add(1, std::memory_order_relaxed);
  return outcome;
}

std::map<std::string, int64_t> TrafficCounts::reasons() const {
  std::map<std::string, int64_t> counts;
  for (int reason = LRI_REASON_OTHER; reason < kReasons; ++reason) {
    const int64_t count = reasons_[reason].load(std::memory_order_relaxed);
    if (count > 0) counts[lri_reason_name(reason)] += count;
  }
  return counts;
}

RequestDurations::~RequestDurations() {
  for (auto& shard : cells_) {
    for (std::atomic<Cell*>& cell : shard) delete cell.load(std::memory_order_relaxed);
  }
}

void RequestDurations::Add(absl::string_view method, int status, Route route, bool over_tls,
                           int64_t duration_ns) {
  // Most are; a comparison of a known length needs no call.
  const bool is_post = method.size() == 4 && std::memcmp(method.data(), "POST", 4) == 0;
  const size_t method_index =
      is_post
          ? 0
          : std::find(std::begin(kMethods), std::end(kMethods) - 1, method) - std::begin(kMethods);
  const bool has_index = status >= 0 && status < static_cast<int>(kIndexOfStatus.size());
  const size_t status_index = has_index ? kIndexOfStatus[status] : 0;
  const size_t index = ((method_index * 32 + status_index) * 3 + static_cast<size_t>(route)) * 2 +
                       (over_tls ? 1 : 0);
  std::atomic<Cell*>& place = cells_[ShardOfThisThread(kShards)][index];
  Cell* cell = place.load(std::memory_order_acquire);
  if (cell == nullptr) {
    Cell* const made = new (std::nothrow) Cell;
    if (made == nullptr) return;  // without memory nothing is counted
    if (place.compare_exchange_strong(cell, made)) {
      cell = made;
    } else {
      delete made;
    }
  }
  cell->Add(duration_ns, kBounds);
}

void RequestDurations::ForEach(const std::function<void(const Series&)>& take) const {
  for (size_t index = 0; index < kCells; ++index) {
    Series series{.method = kMethods[index / 6 / 32],
                  .status = "",
                  .route = static_cast<Route>(index / 2 % 3),
                  .over_tls = index % 2 == 1};
    bool any = false;
    for (const auto& shard : cells_) {
      const Cell* const cell = shard[index].load(std::memory_order_acquire);
      if (cell == nullptr) continue;
      any = true;
      series.durations += cell->counts();
    }
    if (!any) continue;
    series.status = kStatusTexts[index / 6 % 32];
    take(series);
  }
}

void Traffic::OnAnswered(absl::string_view instance, TrafficCounts* counts,
                         const lri_answered& answered) noexcept {
  const Outcome outcome = (counts != nullptr ? *counts : without_instance_).Add(answered);
  const bool over_tls = LRI_HAS(&answered, over_tls) && answered.over_tls != 0;
  // Connections that are refused have no method.
  if (answered.status != 0 && answered.door != LRI_DOOR_GRPC && answered.method.size != 0) {
    const absl::string_view method(answered.method.data, answered.method.size);
    durations_.Add(method, answered.status, RouteOf(instance, answered.door), over_tls,
                   answered.duration_ns);
  }
  if (access_log_ != nullptr) access_log_->Add(instance, answered, absl::Now());
  switch (outcome) {
    case Outcome::kRefused:
    case Outcome::kFailed:
    case Outcome::kUnanswered:
      break;
    default:
      return;
  }
  try {
    refusals_.Add(instance, answered, absl::Now());
  } catch (const std::exception&) {
    // Without memory it is counted alone.
  }
}

}  // namespace host_stub
