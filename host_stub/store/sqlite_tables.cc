#include "host_stub/store/sqlite_tables.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

constexpr size_t kCachedInstances = 10'000;
// Details of that many bytes and more are written slice by slice, which costs the log's pages twice
// the writing but no memory: else there would be two more copies, ours in one piece, and SQLite's
// row. Stored so they are a blob, which reads as the text that it is.
constexpr size_t kWrittenInPiecesBytes = 1 << 20;

absl::string_view PutTogether(std::span<const absl::string_view> slices, std::string& buffer) {
  if (slices.size() == 1) return slices.front();
  buffer.clear();
  for (const absl::string_view slice : slices) buffer.append(slice.data(), slice.size());
  return buffer;
}

absl::string_view AsLines(std::span<const absl::string_view> lines, std::string& buffer) {
  buffer.clear();
  for (const absl::string_view line : lines) {
    const size_t start = buffer.size();
    buffer.append(line.data(), line.size());
    std::replace(buffer.begin() + static_cast<std::ptrdiff_t>(start), buffer.end(), '\n', ' ');
    buffer.push_back('\n');
  }
  return buffer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteTables>> SqliteTables::Prepare(SqliteConnection& connection) {
  std::unique_ptr<SqliteTables> tables(new SqliteTables(connection));
  const std::pair<SqliteStatement*, absl::string_view> statements[] = {
      {&tables->begin_, "BEGIN IMMEDIATE"},
      {&tables->commit_, "COMMIT"},
      {&tables->rollback_, "ROLLBACK"},
      {&tables->add_incident_,
       "INSERT INTO incidents (instance, created, name, type, occurred, warnings, details) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {&tables->add_key_,
       "INSERT INTO delivery_keys (instance, scope, expires, key, incidents) "
       "VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&tables->delete_key_, "DELETE FROM delivery_keys WHERE number = ?1"},
      {&tables->read_first_, "SELECT created, name, type, occurred FROM incidents WHERE id = ?1"},
      {&tables->find_instance_, "SELECT number, name, brand FROM instances WHERE uid = ?1"},
      {&tables->save_instance_,
       "INSERT INTO instances (uid, name, brand) VALUES (?1, ?2, ?3) "
       "ON CONFLICT (uid) DO UPDATE SET name = ?2, brand = ?3"},
  };
  for (const auto& [member, sql] : statements) {
    absl::StatusOr<SqliteStatement> statement = connection.Prepare(sql);
    if (!statement.ok()) return statement.status();
    *member = std::move(*statement);
  }
  return tables;
}

absl::StatusOr<int64_t> SqliteTables::InstanceNumber(const Submission& batch, bool may_add) {
  auto cached = instances_.find(batch.instance_uid);
  if (cached == instances_.end()) {
    const absl::StatusOr<int64_t> number = ReadInstance(batch.instance_uid);
    if (!number.ok()) return number.status();
    cached = instances_.find(batch.instance_uid);
  }
  if (!may_add) return cached == instances_.end() ? 0 : cached->second.number;
  if (cached != instances_.end() && cached->second.name == batch.instance_name &&
      cached->second.brand == batch.source_brand) {
    return cached->second.number;
  }
  save_instance_.Bind(1, batch.instance_uid);
  save_instance_.Bind(2, batch.instance_name);
  save_instance_.Bind(3, batch.source_brand);
  if (absl::Status status = save_instance_.Run(); !status.ok()) return status;
  if (cached != instances_.end()) instances_.erase(cached);
  return ReadInstance(batch.instance_uid);
}

// 0 where there is none; else it is in the cache then.
absl::StatusOr<int64_t> SqliteTables::ReadInstance(absl::string_view uid) {
  find_instance_.Bind(1, uid);
  const absl::StatusOr<bool> row = find_instance_.Step();
  if (!row.ok()) return row.status();
  if (!*row) return 0;
  const int64_t number = find_instance_.Integer(0);
  if (instances_.size() >= kCachedInstances) instances_.clear();
  instances_.insert_or_assign(
      std::string(uid),
      Instance{number, std::string(find_instance_.Text(1)), std::string(find_instance_.Text(2))});
  find_instance_.Reset();
  return number;
}

absl::StatusOr<int64_t> SqliteTables::AddIncident(int64_t instance, absl::Time created,
                                                  const NewIncident& incident) {
  add_incident_.Bind(1, instance);
  add_incident_.Bind(2, absl::ToUnixMicros(created));
  add_incident_.Bind(3, incident.name);
  add_incident_.Bind(4, incident.type);
  add_incident_.Bind(5, incident.occurred);
  add_incident_.Bind(6, AsLines(incident.warnings, warnings_));
  const size_t bytes = BytesOf(incident.details);
  const bool in_pieces = bytes >= kWrittenInPiecesBytes;
  if (in_pieces) {
    add_incident_.BindZeros(7, bytes);
  } else {
    add_incident_.Bind(7, PutTogether(incident.details, details_));
  }
  if (absl::Status status = add_incident_.Run(); !status.ok()) return status;
  const int64_t id = sqlite3_last_insert_rowid(connection_.handle());
  if (!in_pieces) return id;
  absl::Status status = connection_.WriteBlob("incidents", "details", id, incident.details);
  if (!status.ok()) return status;
  return id;
}

absl::Status SqliteTables::AddKey(DeliveryKey& key) {
  const std::string ids = key.ids.ToText();
  add_key_.Bind(1, key.instance);
  add_key_.Bind(2, static_cast<int64_t>(key.scope));
  add_key_.Bind(3, key.expires == absl::InfiniteFuture() ? 0 : absl::ToUnixMicros(key.expires));
  add_key_.Bind(4, key.key);
  add_key_.Bind(5, ids);
  if (absl::Status status = add_key_.Run(); !status.ok()) return status;
  key.row = sqlite3_last_insert_rowid(connection_.handle());
  return absl::OkStatus();
}

absl::Status SqliteTables::ReadFirst(int64_t id, CreatedIncident& duplicate) {
  read_first_.Bind(1, id);
  const absl::StatusOr<bool> row = read_first_.Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::OkStatus();
  duplicate.created = absl::FromUnixMicros(read_first_.Integer(0));
  *duplicate.first = {std::string(read_first_.Text(1)), std::string(read_first_.Text(2)),
                      std::string(read_first_.Text(3))};
  read_first_.Reset();
  return absl::OkStatus();
}

absl::Status SqliteTables::Undo() {
  instances_.clear();
  // Some errors have undone it already.
  return connection_.in_transaction() ? rollback_.Run() : absl::OkStatus();
}

absl::Status SqliteTables::LoadKeys(DuplicateIndex& index, absl::Time now) {
  absl::StatusOr<SqliteStatement> keys = connection_.Prepare(
      "SELECT number, instance, scope, expires, key, incidents FROM delivery_keys ORDER BY number");
  if (!keys.ok()) return keys.status();
  while (true) {
    const absl::StatusOr<bool> row = keys->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    absl::StatusOr<IncidentIds> ids = IncidentIds::FromText(keys->Text(5));
    if (!ids.ok()) return ids.status();
    const int64_t expires = keys->Integer(3);
    index.Stage({keys->Integer(1), keys->Integer(2) == 0 ? KeyScope::kBatch : KeyScope::kIncident,
                 std::string(keys->Text(4)), std::move(*ids),
                 expires == 0 ? absl::InfiniteFuture() : absl::FromUnixMicros(expires),
                 keys->Integer(0)});
    index.Commit(now);
  }
}

absl::Status SqliteTables::DeleteKeys(const std::deque<int64_t>& rows, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    delete_key_.Bind(1, rows[i]);
    if (absl::Status status = delete_key_.Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace host_stub
