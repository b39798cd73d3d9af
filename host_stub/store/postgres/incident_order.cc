#include "host_stub/store/postgres/incident_order.h"

#include <map>
#include <vector>

#include "host_stub/store/postgres/schema.h"

namespace host_stub {
namespace {

using Array = PostgresValues::Array;

constexpr int kTriesToOrder = 50;

struct Run {
  int64_t lane;
  int64_t after_id;
  int64_t first_id;
  int64_t last_id;
};

// What lanes have beyond the order: rows of the lane, its last ordered id, and its head, from the
// third column on. A run ends with the day, so that retention deletes it whole. The bounds are
// values of their own, so that of all the partitions these alone are looked at.
absl::StatusOr<std::vector<Run>> FindRuns(PostgresConnection& connection,
                                          const PostgresRows& lanes) {
  for (int row = 0; row < lanes.size(); ++row) {
    connection.Push(
        "SELECT $1, $2, min(id), max(id) FROM incident WHERE lane = $1 AND id > $2 AND id <= $3 "
        "AND id < ((SELECT id FROM incident WHERE lane = $1 AND id > $2 AND id <= $3 "
        "ORDER BY id LIMIT 1) / $4 + 1) * $4",
        PostgresValues()
            .Add(lanes.Integer(row, 2))
            .Add(lanes.Integer(row, 3))
            .Add(lanes.Integer(row, 4))
            .Add(IncidentId::FirstOf(1)));
  }
  const PostgresConnection::Pipeline found = connection.Flush();
  if (!found.status.ok()) return found.status;
  std::vector<Run> runs;
  for (const PostgresRows& row : found.rows) {
    if (row.IsNull(0, 2)) continue;
    runs.push_back({row.Integer(0, 0), row.Integer(0, 1), row.Integer(0, 2), row.Integer(0, 3)});
  }
  return runs;
}

// False: another host has appended something since this position was the last one.
absl::StatusOr<bool> AppendRuns(PostgresConnection& connection, int64_t position,
                                const std::vector<Run>& runs) {
  PostgresValues added;
  int64_t next = position;
  added.AddArray(Array::kIntegers, runs, [&next](const Run&) { return ++next; });
  for (const auto member : {&Run::lane, &Run::after_id, &Run::first_id, &Run::last_id}) {
    added.AddArray(Array::kIntegers, runs, member);
  }
  PostgresValues ordered;
  ordered.AddArray(Array::kIntegers, runs, &Run::lane);
  ordered.AddArray(Array::kIntegers, runs, &Run::last_id);
  connection.Push("BEGIN ISOLATION LEVEL READ COMMITTED");
  connection.Push("UPDATE run_head SET position = CASE WHEN position = $1 THEN $2 END",
                  PostgresValues().Add(position).Add(next));
  connection.Push(
      "INSERT INTO run (position, lane, after_id, first_id, last_id) SELECT * FROM "
      "unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])",
      added);
  connection.Push(
      "INSERT INTO ordered (lane, last_id) SELECT * FROM unnest($1::bigint[], $2::bigint[]) "
      "ON CONFLICT (lane) DO UPDATE SET last_id = excluded.last_id",
      ordered);
  connection.Push("COMMIT");
  const absl::Status status = connection.Flush().status;
  if (status.ok()) return true;
  if (connection.is_lost()) return absl::UnavailableError(status.message());
  if (absl::Status undone = connection.RunScript("ROLLBACK"); !undone.ok()) return undone;
  return false;
}

}  // namespace

absl::StatusOr<LastOrdered> OrderIncidents(PostgresConnection& connection) {
  std::map<int64_t, int64_t> heads;  // of lanes, at the first look
  bool is_first = true;
  for (int tries = kTriesToOrder; tries > 0;) {
    const auto lanes = connection.Run(
        "SELECT h.position, r.last_id, l.lane, l.after, l.head "
        "FROM run_head h LEFT JOIN run r ON r.position = h.position LEFT JOIN ("
        "SELECT lane, head, coalesce(last_id, 0) AS after "
        "FROM lane LEFT JOIN ordered USING (lane)) l "
        "ON l.head > l.after ORDER BY l.lane");
    if (!lanes.ok()) return lanes.status();
    const LastOrdered last{lanes->Integer(0, 0), lanes->Integer(0, 1)};
    // What has come since the first look is not waited for.
    bool is_done = true;
    for (int row = 0; row < lanes->size() && !lanes->IsNull(row, 2); ++row) {
      const int64_t lane = lanes->Integer(row, 2);
      if (is_first) heads[lane] = lanes->Integer(row, 4);
      const auto head = heads.find(lane);
      if (head != heads.end() && head->second > lanes->Integer(row, 3)) is_done = false;
    }
    is_first = false;
    if (is_done) return last;
    const absl::StatusOr<std::vector<Run>> runs = FindRuns(connection, *lanes);
    if (!runs.ok()) return runs.status();
    if (runs->empty()) return last;
    const absl::StatusOr<bool> appended = AppendRuns(connection, last.position, *runs);
    if (!appended.ok()) return appended.status();
    if (!*appended) --tries;
  }
  return absl::UnavailableError("PostgreSQL: other hosts write the order of incidents; try again");
}

}  // namespace host_stub
