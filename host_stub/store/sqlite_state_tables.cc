#include "host_stub/store/sqlite_state_tables.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace host_stub {

absl::StatusOr<std::unique_ptr<SqliteStateTables>> SqliteStateTables::Prepare(
    SqliteConnection& connection) {
  std::unique_ptr<SqliteStateTables> tables(new SqliteStateTables(connection));
  const std::pair<SqliteStatement*, absl::string_view> statements[] = {
      {&tables->read_context_, "SELECT value FROM context WHERE uid = ?1 AND key = ?2"},
      {&tables->write_context_,
       "INSERT INTO context (uid, key, value) VALUES (?1, ?2, ?3) "
       "ON CONFLICT (uid, key) DO UPDATE SET value = ?3"},
      {&tables->delete_context_, "DELETE FROM context WHERE uid = ?1"},
      {&tables->read_instances_,
       "SELECT uid, name, configuration, disabled, on_engine, generation, request_id, created, "
       "changed FROM configured_instances ORDER BY name"},
      {&tables->find_name_, "SELECT uid FROM configured_instances WHERE name = ?1"},
      {&tables->write_instance_,
       "INSERT INTO configured_instances (uid, name, configuration, disabled, on_engine, "
       "generation, request_id, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
       "ON CONFLICT (uid) DO UPDATE SET name = ?2, configuration = ?3, disabled = ?4, "
       "on_engine = ?5, generation = ?6, request_id = ?7, created = ?8, changed = ?9"},
      {&tables->delete_instance_, "DELETE FROM configured_instances WHERE uid = ?1"},
  };
  for (const auto& [member, sql] : statements) {
    absl::StatusOr<SqliteStatement> statement = connection.Prepare(sql);
    if (!statement.ok()) return statement.status();
    *member = std::move(*statement);
  }
  return tables;
}

absl::StatusOr<std::string> SqliteStateTables::ReadContext(const std::string& uid,
                                                           const std::string& key) {
  read_context_.Bind(1, uid);
  read_context_.Bind(2, key);
  const absl::StatusOr<bool> row = read_context_.Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::NotFoundError("nothing is set under this key");
  std::string value(read_context_.Text(0));
  read_context_.Reset();
  return value;
}

absl::Status SqliteStateTables::WriteContext(const std::string& uid, const std::string& key,
                                             const std::string& value) {
  write_context_.Bind(1, uid);
  write_context_.Bind(2, key);
  write_context_.Bind(3, value);
  return write_context_.Run();
}

absl::StatusOr<std::vector<StoredInstance>> SqliteStateTables::ReadInstances() {
  std::vector<StoredInstance> instances;
  SqliteStatement& row = read_instances_;
  while (true) {
    const absl::StatusOr<bool> is_row = row.Step();
    if (!is_row.ok()) return is_row.status();
    if (!*is_row) return instances;
    StoredInstance instance;
    instance.uid = std::string(row.Text(0));
    instance.name = std::string(row.Text(1));
    instance.configuration = std::string(row.Text(2));
    instance.disabled = row.Integer(3) != 0;
    instance.on_engine = row.Integer(4) != 0;
    instance.generation = row.Integer(5);
    instance.request_id = std::string(row.Text(6));
    instance.created = absl::FromUnixMicros(row.Integer(7));
    instance.changed = absl::FromUnixMicros(row.Integer(8));
    instances.push_back(std::move(instance));
  }
}

absl::Status SqliteStateTables::WriteInstance(const StoredInstance& instance) {
  find_name_.Bind(1, instance.name);
  const absl::StatusOr<bool> row = find_name_.Step();
  if (!row.ok()) return row.status();
  if (*row) {
    const bool another = find_name_.Text(0) != instance.uid;
    find_name_.Reset();
    if (another) {
      return absl::AlreadyExistsError(
          absl::StrCat("an instance \"", instance.name, "\" exists already"));
    }
  }
  write_instance_.Bind(1, instance.uid);
  write_instance_.Bind(2, instance.name);
  write_instance_.Bind(3, instance.configuration);
  write_instance_.Bind(4, instance.disabled ? 1 : 0);
  write_instance_.Bind(5, instance.on_engine ? 1 : 0);
  write_instance_.Bind(6, instance.generation);
  write_instance_.Bind(7, instance.request_id);
  write_instance_.Bind(8, absl::ToUnixMicros(instance.created));
  write_instance_.Bind(9, absl::ToUnixMicros(instance.changed));
  return RunOverwriting(write_instance_);
}

// What a configuration leaves behind in its pages is overwritten with zeros. Not for what senders
// send: there it would double the writes.
absl::Status SqliteStateTables::RunOverwriting(SqliteStatement& statement) {
  absl::Status status = connection_.Execute("PRAGMA secure_delete = ON");
  if (!status.ok()) return status;
  removed_secret_ = true;
  status = statement.Run();
  status.Update(connection_.Execute("PRAGMA secure_delete = OFF"));
  return status;
}

absl::Status SqliteStateTables::DeleteInstance(const std::string& uid) {
  delete_instance_.Bind(1, uid);
  if (absl::Status status = RunOverwriting(delete_instance_); !status.ok()) return status;
  delete_context_.Bind(1, uid);
  return delete_context_.Run();
}

}  // namespace host_stub
