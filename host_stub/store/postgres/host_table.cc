#include "host_stub/store/postgres/host_table.h"

#include <functional>

namespace host_stub {

absl::Status TellOfHost(PostgresConnection& connection, const std::string& host,
                        const HostReport& report) {
  using Array = PostgresValues::Array;
  PostgresValues uids;
  uids.Add(host).AddArray(Array::kTexts, report.instances, &InstanceOnHost::uid);
  PostgresValues rows = uids;
  for (const auto member :
       {&InstanceOnHost::generation, &InstanceOnHost::requests, &InstanceOnHost::incidents}) {
    rows.AddArray(Array::kIntegers, report.instances, member);
  }
  for (const auto member : {&InstanceOnHost::state, &InstanceOnHost::message}) {
    rows.AddArray(Array::kTexts, report.instances, member);
  }
  connection.Push("BEGIN ISOLATION LEVEL READ COMMITTED");
  // It is told again soon: neither a disk nor a standby is waited for.
  connection.Push("SET LOCAL synchronous_commit = off");
  connection.Push(
      "INSERT INTO host (name, seen, program, configured) VALUES ($1, now(), $2, $3) ON CONFLICT "
      "(name) DO UPDATE SET seen = excluded.seen, program = excluded.program, configured = "
      "excluded.configured",
      PostgresValues().Add(host).Add(report.program).Add(report.version));
  connection.Push("DELETE FROM host_instance WHERE host = $1 AND uid <> ALL ($2::text[])", uids);
  // A row that is as it was is not written again.
  connection.Push(
      "INSERT INTO host_instance AS now (host, uid, generation, requests, incidents, state, "
      "message) SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], "
      "$6::text[], $7::text[]) ON CONFLICT (host, uid) DO UPDATE SET generation = "
      "excluded.generation, requests = excluded.requests, incidents = excluded.incidents, state = "
      "excluded.state, message = excluded.message WHERE (now.generation, now.requests, "
      "now.incidents, now.state, now.message) IS DISTINCT FROM (excluded.generation, "
      "excluded.requests, excluded.incidents, excluded.state, excluded.message)",
      rows);
  connection.Push("DELETE FROM host WHERE seen < now() - interval '1 day'");
  connection.Push("COMMIT");
  const absl::Status status = connection.Flush().status;
  if (!status.ok() && !connection.is_lost()) connection.RunScript("ROLLBACK").IgnoreError();
  return status;
}

absl::StatusOr<std::vector<InstanceOnHost>> ReadOnHosts(PostgresConnection& connection,
                                                        const std::vector<std::string>& uids) {
  PostgresValues values;
  values.AddArray(PostgresValues::Array::kTexts, uids, std::identity());
  const auto rows = connection.Run(
      "SELECT host, uid, generation, requests, incidents, state, message, "
      "(extract(epoch FROM seen) * 1000000)::bigint, seen < now() - interval '60 s' "
      "FROM host_instance JOIN host ON name = host WHERE uid = ANY ($1::text[]) ORDER BY uid, host",
      values);
  if (!rows.ok()) return rows.status();
  std::vector<InstanceOnHost> list;
  for (int row = 0; row < rows->size(); ++row) {
    InstanceOnHost& one = list.emplace_back();
    one.host = std::string(rows->Text(row, 0));
    one.uid = std::string(rows->Text(row, 1));
    one.generation = rows->Integer(row, 2);
    one.requests = rows->Integer(row, 3);
    one.incidents = rows->Integer(row, 4);
    one.state = std::string(rows->Text(row, 5));
    one.message = std::string(rows->Text(row, 6));
    one.seen = absl::FromUnixMicros(rows->Integer(row, 7));
    one.gone = rows->Boolean(row, 8);
  }
  return list;
}

}  // namespace host_stub
