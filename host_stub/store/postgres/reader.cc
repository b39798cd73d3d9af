#include "host_stub/store/postgres/reader.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "host_stub/store/incident_filter.h"
#include "host_stub/store/postgres/incident_order.h"
#include "host_stub/store/postgres/schema.h"
#include "host_stub/store/rows.h"
#include "plugin/base/thread.h"

namespace host_stub {
namespace {

constexpr int kMostReaders = 4;
constexpr std::chrono::milliseconds kPauseWhileSubscribed(25);
constexpr std::chrono::milliseconds kPause(1'000);
constexpr int64_t kRunsOfAStep = 256;
constexpr int64_t kRowsOfAStep = 256;
// How many ids one page looks at where there is a filter.
constexpr int64_t kIdsOfAPage = 20'000;

#define SELECT_INCIDENT                                                                         \
  "SELECT i.id, s.uid, s.name, s.brand, i.name, i.type, i.occurred, i.created, i.details, "     \
  "i.warnings, p.details_end, i.severity, p.address, p.query FROM incident i JOIN sender s ON " \
  "s.number = i.sender LEFT JOIN shared_part p ON p.lane = i.lane AND p.id = i.shared AND "     \
  "p.id > $4 AND p.id <= $3 WHERE i.lane = $1 AND i.id > $2 AND i.id <= $3 "

// Of the range that SELECT_INCIDENT reads. What an incident shares has an id of the same day, or of
// the one before: of all the partitions, these alone are looked at.
PostgresValues RangeOf(int64_t lane, int64_t after, int64_t last) {
  PostgresValues values;
  values.Add(lane).Add(after).Add(last).Add(after - IncidentId::FirstOf(1));
  return values;
}

// A place in the order: after an incident, and the run that has it.
struct Place {
  int64_t position = 0;
  int64_t id = 0;
  int64_t last_id = 0;  // of that run
};

absl::StatusOr<std::optional<Place>> FindPlace(PostgresConnection& connection, int64_t id) {
  const auto rows = connection.Run(
      "SELECT position, last_id FROM run WHERE lane = $1 AND after_id < $2 "
      "ORDER BY after_id DESC LIMIT 1",
      PostgresValues().Add(IncidentId::LaneOf(id)).Add(id));
  if (!rows.ok()) return rows.status();
  if (rows->size() == 0 || rows->Integer(0, 1) < id) return std::nullopt;
  return Place{rows->Integer(0, 0), id, rows->Integer(0, 1)};
}

// What retention has deleted.
struct Deleted {
  bool is_after(const Place& place) const {
    return place.position < dropped_position ||
           (place.id < place.last_id && place.last_id < before &&
            place.id >= IncidentId::kFirstOwnId);
  }

  int64_t before = 0;            // smaller ids
  int64_t dropped_position = 0;  // of the last run that was
  int64_t kept_position = 0;     // of the first one that was not
};

absl::StatusOr<Deleted> ReadDeleted(PostgresConnection& connection) {
  const auto rows =
      connection.Run("SELECT deleted_before, dropped_position, kept_position FROM meta");
  if (!rows.ok()) return rows.status();
  return Deleted{rows->Integer(0, 0), rows->Integer(0, 1), rows->Integer(0, 2)};
}

// Fills a page by walking along the runs.
class PageReader {
 public:
  PageReader(PostgresConnection& connection, const IncidentQuery& query)
      : connection_(connection), query_(query), page_(query) {}

  absl::StatusOr<IncidentPage> Read() {
    if (query_.after_id > 0) {
      const auto place = FindPlace(connection_, query_.after_id);
      if (!place.ok()) return place.status();
      if (!place->has_value() && query_.complete) return MissingPlace();
      if (!place->has_value() && !query_.newest_first) return page_.EndOfRange();
      after_ = place->value_or(Place());
    }
    for (const int64_t id : {query_.before_id, query_.through_id}) {
      if (id <= 0) continue;
      const auto place = FindPlace(connection_, id);
      if (!place.ok()) return place.status();
      if (!place->has_value()) return page_.EndOfRange();
      last_ = {(*place)->position, id == query_.through_id ? id : id - 1};
    }
    const absl::StatusOr<Deleted> deleted = ReadDeleted(connection_);
    if (!deleted.ok()) return deleted.status();
    first_position_ = std::max(after_.position, std::min(deleted->kept_position, last_.position));
    absl::StatusOr<IncidentPage> page = Walk();
    if (!page.ok() || !query_.complete) return page;
    // Looked at last: what is not deleted now was there before.
    const absl::StatusOr<Deleted> now = ReadDeleted(connection_);
    if (!now.ok()) return now.status();
    if (now->is_after(after_)) return DeletedError(query_.after_id);
    return page;
  }

 private:
  absl::Status MissingPlace() {
    const absl::StatusOr<Deleted> deleted = ReadDeleted(connection_);
    if (!deleted.ok()) return deleted.status();
    return query_.after_id < deleted->before ? DeletedError(query_.after_id)
                                             : AheadError(query_.after_id);
  }

  absl::StatusOr<IncidentPage> Walk() {
    int64_t next = query_.newest_first ? last_.position : first_position_;
    while (true) {
      const auto runs =
          query_.newest_first
              ? connection_.Run(
                    "SELECT position, lane, after_id, last_id FROM run WHERE position "
                    "<= $1 AND position >= $2 ORDER BY position DESC LIMIT $3",
                    Range(first_position_, next))
              : connection_.Run(
                    "SELECT position, lane, after_id, last_id FROM run WHERE position "
                    ">= $2 AND position <= $1 ORDER BY position LIMIT $3",
                    Range(next, last_.position));
      if (!runs.ok()) return runs.status();
      for (int row = 0; row < runs->size(); ++row) {
        const int64_t position = runs->Integer(row, 0);
        int64_t after = runs->Integer(row, 2);
        int64_t last = runs->Integer(row, 3);
        if (position == after_.position) after = std::max(after, after_.id);
        if (position == last_.position) last = std::min(last, last_.id);
        const auto full = WalkRun(runs->Integer(row, 1), after, last);
        if (!full.ok()) return full.status();
        if (*full) return page_.EndBeforeNext();
        next = position + (query_.newest_first ? -1 : 1);
      }
      if (runs->size() < kRunsOfAStep) return page_.EndOfRange();
    }
  }

  PostgresValues Range(int64_t least, int64_t most) {
    PostgresValues values;
    values.Add(most).Add(least).Add(kRunsOfAStep);
    return values;
  }

  // True: the page is full, and more follows.
  absl::StatusOr<bool> WalkRun(int64_t lane, int64_t after, int64_t last) {
    while (after < last) {
      const int64_t most = std::min<int64_t>(kRowsOfAStep, std::max<int64_t>(query_.limit, 1) + 1);
      PostgresValues values = RangeOf(lane, after, last);
      values.Add(most);
      const auto rows = query_.newest_first
                            ? connection_.Run(SELECT_INCIDENT "ORDER BY i.id DESC LIMIT $5", values)
                            : connection_.Run(SELECT_INCIDENT "ORDER BY i.id LIMIT $5", values);
      if (!rows.ok()) return rows.status();
      for (int row = 0; row < rows->size(); ++row) {
        if (page_.is_full() || looked_at_ >= kIdsOfAPage) return true;
        ++looked_at_;
        page_.Take(ReadIncident((*rows)[row]));
      }
      if (rows->size() < most) return false;
      const int64_t seen = rows->Integer(rows->size() - 1, 0);
      (query_.newest_first ? last : after) = query_.newest_first ? seen - 1 : seen;
    }
    return false;
  }

  PostgresConnection& connection_;
  const IncidentQuery& query_;
  IncidentPageFiller page_;
  Place after_;
  Place last_{INT64_MAX, INT64_MAX};
  int64_t first_position_ = 0;
  int64_t looked_at_ = 0;
};

}  // namespace

PostgresReaders::~PostgresReaders() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

std::unique_ptr<PostgresConnection> PostgresReaders::TakeIdle() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return at_work_ < kMostReaders; });
  ++at_work_;
  if (idle_.empty()) return nullptr;
  std::unique_ptr<PostgresConnection> connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void PostgresReaders::Renew() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++generation_;
  idle_.clear();
  last_position_ = 0;  // another server may have less
}

void PostgresReaders::GiveBack(std::unique_ptr<PostgresConnection> connection, int64_t generation) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    --at_work_;
    if (connection != nullptr && generation == generation_ && !connection->is_lost() &&
        !connection->in_transaction()) {
      idle_.push_back(std::move(connection));
    }
  }
  changed_.notify_all();
}

// A connection that was idle may have been lost long ago: then with another one.
template <typename Read>
auto PostgresReaders::ReadWithOne(const Read& read) {
  using Result = decltype(read(std::declval<PostgresConnection&>()));
  while (true) {
    const int64_t generation = generation_;
    std::unique_ptr<PostgresConnection> connection = TakeIdle();
    const bool was_idle = connection != nullptr;
    if (!was_idle) {
      absl::StatusOr<std::unique_ptr<PostgresConnection>> opened = connect_();
      if (!opened.ok()) {
        GiveBack(nullptr, generation);
        return Result(opened.status());
      }
      connection = *std::move(opened);
    }
    Result result = read(*connection);
    const bool again = was_idle && connection->is_lost();
    GiveBack(std::move(connection), generation);
    if (!again) return result;
  }
}

absl::StatusOr<StoredIncident> PostgresReaders::Get(int64_t id) {
  return ReadWithOne([id](PostgresConnection& connection) -> absl::StatusOr<StoredIncident> {
    const auto rows = connection.Run(SELECT_INCIDENT, RangeOf(IncidentId::LaneOf(id), id - 1, id));
    if (!rows.ok()) return rows.status();
    if (rows->size() == 0) return absl::NotFoundError(absl::StrCat("there is no incident ", id));
    return ReadIncident((*rows)[0]);
  });
}

absl::StatusOr<IncidentPage> PostgresReaders::List(const IncidentQuery& query) {
  return ReadWithOne([&](PostgresConnection& connection) -> absl::StatusOr<IncidentPage> {
    // So that whoever has created an incident finds it.
    const absl::StatusOr<LastOrdered> last = OrderIncidents(connection);
    if (!last.ok()) return last.status();
    Keep(*last);
    return PageReader(connection, query).Read();
  });
}

absl::Status PostgresReaders::With(absl::FunctionRef<absl::Status(PostgresConnection&)> use) {
  return ReadWithOne(use);
}

bool PostgresReaders::Look() {
  const absl::StatusOr<LastOrdered> last = ReadWithOne(OrderIncidents);
  if (last.ok()) Keep(*last);
  return last.ok();
}

// Of two that look at once, the later one may be told first.
void PostgresReaders::Keep(const LastOrdered& last) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (last.position < last_position_) return;
  last_position_ = last.position;
  last_id_ = last.id;
}

std::unique_ptr<IncidentSubscription> PostgresReaders::Subscribe(
    std::function<void(int64_t)> committed) {
  if (!Look()) return nullptr;
  auto subscription = subscribers_->Add(std::move(committed));
  changed_.notify_all();
  return subscription;
}

void PostgresReaders::Start() {
  watcher_ = base::StartThread("store-order", [this] { WatchLanes(); });
}

void PostgresReaders::WatchLanes() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!ending_) {
    if (subscribers_->empty()) {
      changed_.wait_for(lock, kPause, [this] { return ending_ || !subscribers_->empty(); });
    } else {
      changed_.wait_for(lock, kPauseWhileSubscribed, [this] { return ending_; });
    }
    if (ending_) return;
    lock.unlock();
    Look();
    subscribers_->Notify(last_id_);
    lock.lock();
  }
}

}  // namespace host_stub
