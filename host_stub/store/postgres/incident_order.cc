#include "host_stub/store/postgres/incident_order.h"

#include "host_stub/store/postgres/schema.h"

namespace host_stub {
namespace {

constexpr int kTriesToOrder = 20;

}  // namespace

absl::StatusOr<int64_t> OrderIncidents(PostgresConnection& connection) {
  PostgresValues day;
  day.Add(IncidentId::FirstOf(1));
  for (int tries = kTriesToOrder; tries > 0;) {
    // A run ends with the day, so that retention deletes it whole.
    const auto lanes = connection.Run(
        "SELECT h.position, r.last_id, l.lane, l.after, f.id, CASE WHEN f.id / $1 = l.head / $1 "
        "THEN "
        "l.head ELSE (SELECT id FROM incident i WHERE i.lane = l.lane AND id >= f.id AND "
        "id < (f.id / $1 + 1) * $1 ORDER BY id DESC LIMIT 1) END FROM run_head h "
        "LEFT JOIN run r ON r.position = h.position LEFT JOIN ("
        "(SELECT lane, head, coalesce(last_id, 0) AS after FROM lane LEFT JOIN ordered USING "
        "(lane)) l "
        "CROSS JOIN LATERAL (SELECT id FROM incident i WHERE l.head > l.after AND i.lane = l.lane "
        "AND id > l.after ORDER BY id LIMIT 1) f) ON true ORDER BY l.lane",
        day);
    if (!lanes.ok()) return lanes.status();
    const int64_t position = lanes->Integer(0, 0);
    if (lanes->IsNull(0, 2)) return lanes->Integer(0, 1);
    PostgresValues runs;
    const auto add = [&](int column, int64_t plus_row) {
      runs.BeginArray(PostgresValues::Array::kIntegers);
      for (int row = 0; row < lanes->size(); ++row) {
        runs.Append(lanes->Integer(row, column) + plus_row * (row + 1));
      }
    };
    add(0, 1);  // positions
    for (const int column : {2, 3, 4, 5}) add(column, 0);
    PostgresValues ordered;
    ordered.BeginArray(PostgresValues::Array::kIntegers);
    for (int row = 0; row < lanes->size(); ++row) ordered.Append(lanes->Integer(row, 2));
    ordered.BeginArray(PostgresValues::Array::kIntegers);
    for (int row = 0; row < lanes->size(); ++row) ordered.Append(lanes->Integer(row, 5));
    connection.Push("BEGIN ISOLATION LEVEL READ COMMITTED");
    connection.Push("UPDATE run_head SET position = CASE WHEN position = $1 THEN position + $2 END",
                    PostgresValues().Add(position).Add(int64_t{lanes->size()}));
    connection.Push(
        "INSERT INTO run (position, lane, after_id, first_id, last_id) SELECT * FROM "
        "unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])",
        runs);
    connection.Push(
        "INSERT INTO ordered (lane, last_id) SELECT * FROM unnest($1::bigint[], $2::bigint[]) "
        "ON CONFLICT (lane) DO UPDATE SET last_id = excluded.last_id",
        ordered);
    connection.Push("COMMIT");
    const absl::Status status = connection.Flush().status;
    if (connection.is_lost()) return status;
    if (status.ok()) continue;  // more may have come
    if (absl::Status undone = connection.RunScript("ROLLBACK"); !undone.ok()) return undone;
    --tries;  // another host was faster
  }
  return absl::UnavailableError("PostgreSQL: other hosts write the order of incidents; try again");
}

}  // namespace host_stub
