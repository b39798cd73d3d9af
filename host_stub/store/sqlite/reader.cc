#include "host_stub/store/sqlite/reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/store/incident_filter.h"
#include "host_stub/store/rows.h"
#include "host_stub/store/sqlite/connection.h"

namespace host_stub {
namespace {

constexpr int kMostReaders = 4;
constexpr int kBusyTimeoutMs = 1000;
// How many ids one page looks at where there is a filter. There is no index for that: the writer
// must not pay for what people ask rarely.
constexpr int64_t kIdsOfAPage = 20'000;
// What is cheap to sort out; IncidentPageFiller does the rest.
#define IN_RANGE                                                                                  \
  "WHERE id >= ?1 AND id <= ?2 AND (?3 = 0 OR instance = ?3) AND created >= ?4 AND created < ?5 " \
  "AND (?6 = '' OR type = ?6) "

// CROSS JOIN makes the planner walk incidents in the order of their ids.
#define SELECT_INCIDENT                                                                         \
  "SELECT incidents.id, instances.uid, instances.name, instances.brand, incidents.name, type, " \
  "occurred, created, details, warnings, text, severity, address, query FROM incidents CROSS "  \
  "JOIN instances ON "                                                                          \
  "instances.number = incidents.instance LEFT JOIN details_ends ON details_ends.number = "      \
  "incidents.details_end "

}  // namespace

// One connection and its statements; for one thread at a time.
class SqliteReaders::Reader {
 public:
  static absl::StatusOr<std::unique_ptr<Reader>> Open(const std::string& path,
                                                      const std::string& vfs) {
    auto connection = SqliteConnection::Open(path, vfs, SqliteAccess::kReadOnly, kBusyTimeoutMs);
    if (!connection.ok()) return connection.status();
    auto reader = std::make_unique<Reader>();
    reader->connection_ = *std::move(connection);
    absl::Status status = reader->connection_->PrepareAll({
        {&reader->get_, SELECT_INCIDENT "WHERE id = ?1"},
        {&reader->list_oldest_first_, SELECT_INCIDENT IN_RANGE "ORDER BY id"},
        {&reader->list_newest_first_, SELECT_INCIDENT IN_RANGE "ORDER BY id DESC"},
        {&reader->last_id_, "SELECT max(id) FROM incidents"},
        {&reader->deleted_id_,
         "SELECT coalesce((SELECT min(id) FROM incidents) - 1, "
         "(SELECT seq FROM sqlite_sequence WHERE name = 'incidents'), 0)"},
        {&reader->instance_number_, "SELECT number FROM instances WHERE uid = ?1"},
    });
    if (!status.ok()) return status;
    return reader;
  }

  absl::StatusOr<StoredIncident> Get(int64_t id) {
    std::optional<StoredIncident> incident;
    absl::Status status = get_.Bind(id).ForEachRow([&] { incident = ReadIncident(get_); });
    if (!status.ok()) return status;
    if (!incident.has_value())
      return absl::NotFoundError(absl::StrCat("there is no incident ", id));
    return *std::move(incident);
  }

  absl::StatusOr<IncidentPage> List(const IncidentQuery& query) {
    const absl::StatusOr<int64_t> last = last_id_.QueryInteger();
    if (!last.ok()) return last.status();
    int64_t least = std::max<int64_t>(query.after_id, 0) + 1;
    int64_t most = query.LastOf(*last);
    IncidentPageFiller page(query);
    page.CutRange(kIdsOfAPage, least, most);
    const IncidentFilter& filter = query.filter;
    int64_t instance = 0;
    if (!filter.instance_uid.empty()) {
      const absl::StatusOr<int64_t> number =
          instance_number_.Bind(filter.instance_uid).QueryInteger();
      if (!number.ok()) return number.status();
      if (*number == 0) return page.EndOfRange();
      instance = *number;
    }
    SqliteStatement& list = query.newest_first ? list_newest_first_ : list_oldest_first_;
    list.Bind(least, most, instance, absl::ToUnixMicros(filter.created_since),
              absl::ToUnixMicros(filter.created_before), filter.type);
    absl::StatusOr<bool> row = list.Step();
    for (; row.ok() && *row && !page.is_full(); row = list.Step()) page.Take(ReadIncident(list));
    if (!row.ok()) return row.status();
    list.Reset();
    // Looked at last: what is not deleted now was not deleted before.
    if (query.complete) {
      const absl::StatusOr<int64_t> deleted = deleted_id_.QueryInteger();
      if (!deleted.ok()) return deleted.status();
      if (*deleted > query.after_id) return DeletedError(query.after_id);
      if (query.after_id > std::max(*last, *deleted)) return AheadError(query.after_id);
    }
    return *row ? page.EndBeforeNext() : page.EndOfRange();
  }

 private:
  std::unique_ptr<SqliteConnection> connection_;
  SqliteStatement get_;
  SqliteStatement list_oldest_first_;
  SqliteStatement list_newest_first_;
  SqliteStatement last_id_;
  SqliteStatement deleted_id_;
  SqliteStatement instance_number_;
};

SqliteReaders::SqliteReaders(std::string path, std::string vfs)
    : path_(std::move(path)), vfs_(std::move(vfs)) {}

SqliteReaders::~SqliteReaders() = default;

// A reader that failed is not used again.
template <typename Read>
auto SqliteReaders::ReadWithOne(const Read& read) {
  absl::StatusOr<std::unique_ptr<Reader>> reader = Take();
  using Result = decltype(read(**reader));
  if (!reader.ok()) return Result(reader.status());
  Result result = read(**reader);
  const bool usable =
      result.ok() || absl::IsNotFound(result.status()) || absl::IsOutOfRange(result.status());
  GiveBack(usable ? std::move(*reader) : nullptr);
  return result;
}

absl::StatusOr<StoredIncident> SqliteReaders::Get(int64_t id) {
  return ReadWithOne([id](Reader& reader) { return reader.Get(id); });
}

absl::StatusOr<IncidentPage> SqliteReaders::List(const IncidentQuery& query) {
  return ReadWithOne([&query](Reader& reader) { return reader.List(query); });
}

auto SqliteReaders::Take() -> absl::StatusOr<std::unique_ptr<Reader>> {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    returned_.wait(lock, [this] { return at_work_ < kMostReaders || !open_; });
    if (!open_) {
      return absl::UnavailableError(
          "incident store: the database is being opened again after a fault; try again");
    }
    ++at_work_;
    if (!idle_.empty()) {
      std::unique_ptr<Reader> reader = std::move(idle_.back());
      idle_.pop_back();
      return reader;
    }
  }
  absl::StatusOr<std::unique_ptr<Reader>> reader = Reader::Open(path_, vfs_);
  if (!reader.ok()) GiveBack(nullptr);
  return reader;
}

void SqliteReaders::GiveBack(std::unique_ptr<Reader> reader) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    --at_work_;
    if (reader != nullptr) idle_.push_back(std::move(reader));
  }
  returned_.notify_all();
}

void SqliteReaders::Open() {
  const std::lock_guard<std::mutex> lock(mutex_);
  open_ = true;
}

void SqliteReaders::Close() {
  std::unique_lock<std::mutex> lock(mutex_);
  open_ = false;
  returned_.notify_all();
  returned_.wait(lock, [this] { return at_work_ == 0; });
  idle_.clear();
}

}  // namespace host_stub
