#include "host_stub/store/sqlite/reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace host_stub {
namespace {

constexpr int kMostReaders = 4;
constexpr int kBusyTimeoutMs = 1000;
// How many ids one page looks at where it asks for a single instance. There is no index for that:
// the writer must not pay for what people ask rarely.
constexpr int64_t kIdsOfAPage = 100'000;

// CROSS JOIN makes the planner walk incidents in the order of their ids.
#define SELECT_INCIDENT                                                                           \
  "SELECT incidents.id, instances.uid, instances.name, instances.brand, incidents.name, type, "   \
  "occurred, created, details, warnings FROM incidents CROSS JOIN instances ON instances.number " \
  "= incidents.instance "

StoredIncident ReadRow(const SqliteStatement& row) {
  StoredIncident incident;
  incident.id = row.Integer(0);
  incident.instance_uid = std::string(row.Text(1));
  incident.instance_name = std::string(row.Text(2));
  incident.source_brand = std::string(row.Text(3));
  incident.name = std::string(row.Text(4));
  incident.type = std::string(row.Text(5));
  incident.occurred = std::string(row.Text(6));
  incident.created = absl::FromUnixMicros(row.Integer(7));
  incident.details = std::string(row.Text(8));
  if (const absl::string_view lines = row.Text(9); !lines.empty()) {
    incident.warnings = absl::StrSplit(lines.substr(0, lines.size() - 1), '\n');
  }
  return incident;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteReader>> SqliteReader::Open(const std::string& path,
                                                                 const std::string& vfs) {
  absl::StatusOr<std::unique_ptr<SqliteConnection>> connection =
      SqliteConnection::Open(path, vfs, SqliteAccess::kReadOnly, kBusyTimeoutMs);
  if (!connection.ok()) return connection.status();
  auto reader = std::make_unique<SqliteReader>();
  reader->connection_ = std::move(*connection);
  const std::pair<SqliteStatement*, absl::string_view> statements[] = {
      {&reader->get_, SELECT_INCIDENT "WHERE id = ?1"},
      {&reader->list_oldest_first_,
       SELECT_INCIDENT "WHERE id >= ?1 AND id <= ?2 AND (?3 = 0 OR instance = ?3) ORDER BY id"},
      {&reader->list_newest_first_, SELECT_INCIDENT
       "WHERE id >= ?1 AND id <= ?2 AND (?3 = 0 OR instance = ?3) ORDER BY id DESC"},
      {&reader->last_id_, "SELECT max(id) FROM incidents"},
      {&reader->instance_number_, "SELECT number FROM instances WHERE uid = ?1"},
  };
  for (const auto& [member, sql] : statements) {
    absl::StatusOr<SqliteStatement> statement = reader->connection_->Prepare(sql);
    if (!statement.ok()) return statement.status();
    *member = std::move(*statement);
  }
  return reader;
}

absl::StatusOr<StoredIncident> SqliteReader::Get(int64_t id) {
  get_.Bind(1, id);
  const absl::StatusOr<bool> row = get_.Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::NotFoundError(absl::StrCat("there is no incident ", id));
  StoredIncident incident = ReadRow(get_);
  get_.Reset();
  return incident;
}

absl::StatusOr<int64_t> SqliteReader::ReadInteger(SqliteStatement& statement) {
  const absl::StatusOr<bool> row = statement.Step();
  if (!row.ok()) return row.status();
  if (!*row) return 0;
  const int64_t value = statement.Integer(0);
  statement.Reset();
  return value;
}

absl::StatusOr<IncidentPage> SqliteReader::List(const IncidentQuery& query) {
  const absl::StatusOr<int64_t> last = ReadInteger(last_id_);
  if (!last.ok()) return last.status();
  int64_t least = std::max<int64_t>(query.after_id, 0) + 1;
  int64_t most = query.before_id > 0 ? std::min(query.before_id - 1, *last) : *last;
  IncidentPage page;
  int64_t instance = 0;
  if (!query.instance_uid.empty()) {
    instance_number_.Bind(1, query.instance_uid);
    const absl::StatusOr<int64_t> number = ReadInteger(instance_number_);
    if (!number.ok()) return number.status();
    if (*number == 0) return page;
    instance = *number;
    if (most - least >= kIdsOfAPage) {
      page.more = true;
      page.resume_id = query.newest_first ? most - kIdsOfAPage + 1 : least + kIdsOfAPage - 1;
      (query.newest_first ? least : most) = page.resume_id;
    }
  }
  SqliteStatement& list = query.newest_first ? list_newest_first_ : list_oldest_first_;
  list.Bind(1, least);
  list.Bind(2, most);
  list.Bind(3, instance);
  const size_t limit =
      static_cast<size_t>(std::clamp<int64_t>(query.limit, 1, kMostIncidentsOfAPage));
  int64_t bytes = 0;
  while (true) {
    const absl::StatusOr<bool> row = list.Step();
    if (!row.ok()) return row.status();
    if (!*row) return page;
    if (page.incidents.size() >= limit || bytes > query.limit_bytes) break;
    page.incidents.push_back(ReadRow(list));
    bytes += static_cast<int64_t>(page.incidents.back().details.size() + sizeof(StoredIncident));
  }
  list.Reset();
  page.more = true;
  page.resume_id = page.incidents.back().id;
  return page;
}

absl::StatusOr<StoredIncident> SqliteReaders::Get(int64_t id) {
  absl::StatusOr<std::unique_ptr<SqliteReader>> reader = Take();
  if (!reader.ok()) return reader.status();
  absl::StatusOr<StoredIncident> incident = (*reader)->Get(id);
  const bool usable = incident.ok() || absl::IsNotFound(incident.status());
  GiveBack(usable ? std::move(*reader) : nullptr);
  return incident;
}

absl::StatusOr<IncidentPage> SqliteReaders::List(const IncidentQuery& query) {
  absl::StatusOr<std::unique_ptr<SqliteReader>> reader = Take();
  if (!reader.ok()) return reader.status();
  absl::StatusOr<IncidentPage> page = (*reader)->List(query);
  GiveBack(page.ok() ? std::move(*reader) : nullptr);
  return page;
}

absl::StatusOr<std::unique_ptr<SqliteReader>> SqliteReaders::Take() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    returned_.wait(lock, [this] { return at_work_ < kMostReaders || !open_; });
    if (!open_) {
      return absl::UnavailableError(
          "incident store: the database is being opened again after a fault; try again");
    }
    ++at_work_;
    if (!idle_.empty()) {
      std::unique_ptr<SqliteReader> reader = std::move(idle_.back());
      idle_.pop_back();
      return reader;
    }
  }
  absl::StatusOr<std::unique_ptr<SqliteReader>> reader = SqliteReader::Open(path_, vfs_);
  if (!reader.ok()) GiveBack(nullptr);
  return reader;
}

void SqliteReaders::GiveBack(std::unique_ptr<SqliteReader> reader) {
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
