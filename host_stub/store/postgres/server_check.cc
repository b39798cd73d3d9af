#include "host_stub/store/postgres/server_check.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "host_stub/store/postgres/schema.h"

namespace host_stub {
namespace {

constexpr int kOldestServer = 130'000;  // PQserverVersion
constexpr absl::Duration kMostClockDifference = absl::Seconds(5);

}  // namespace

absl::StatusOr<Durability> ReadDurability(PostgresConnection& connection) {
  const auto rows = connection.Run(
      "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'), "
      "current_setting('fsync'), current_setting('full_page_writes')");
  if (!rows.ok()) return rows.status();
  const absl::string_view commit = rows->Text(0, 0);
  const bool has_standby = !rows->Text(0, 1).empty();
  if (rows->Text(0, 2) != "on" || rows->Text(0, 3) != "on") {
    return Durability{false,
                      "fsync or full_page_writes is off: a crash of the server's machine can lose "
                      "or damage everything; set both to on"};
  }
  if (commit == "off") {
    return Durability{false,
                      "synchronous_commit is off: a crash of the server loses what it acknowledged "
                      "in the last moments; set it to on for this role (ALTER ROLE ... SET "
                      "synchronous_commit = on)"};
  }
  if (!has_standby) {
    return Durability{true,
                      "what is acknowledged is on the disk of one server: it survives a crash of "
                      "it, and is lost with the disk, or where a standby that lags behind is "
                      "promoted"};
  }
  if (commit == "local") {
    return Durability{true,
                      "synchronous_commit is local: what is acknowledged is on the disk of the "
                      "primary, and a failover can lose what only that had"};
  }
  if (commit == "remote_write") {
    return Durability{
        true,
        "what is acknowledged is on the disk of the primary, and a synchronous standby "
        "has received it (synchronous_commit = remote_write): it survives the loss of "
        "either, but not a crash of both machines at once"};
  }
  return Durability{true,
                    absl::StrCat("what is acknowledged is on the disks of the primary and of ",
                                 "a synchronous standby (synchronous_commit = ", commit,
                                 "): it survives the loss of either")};
}

absl::StatusOr<std::vector<Finding>> CheckServer(PostgresConnection& connection) {
  std::vector<Finding> findings;
  const auto tell = [&findings](bool is_good, std::string text) {
    findings.push_back({!is_good, std::move(text)});
  };
  const int version = PQserverVersion(connection.handle());
  tell(version >= kOldestServer,
       absl::StrCat("the server's version is ", version / 10'000, ".", version % 10'000,
                    version >= kOldestServer ? "" : "; upgrade it to 13 or later"));
  const auto server = connection.Run(
      "SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
      "current_setting('max_connections')::bigint, (SELECT count(*) FROM pg_stat_activity), "
      "current_user::text");
  if (!server.ok()) return server.status();
  if (server->Boolean(0, 0)) {
    tell(false,
         "the server is a standby: name all servers in the URL, with "
         "target_session_attrs=read-write");
  }
  const absl::Duration off = absl::FromUnixMicros(server->Integer(0, 1)) - absl::Now();
  const bool clock_is_good = absl::AbsDuration(off) <= kMostClockDifference;
  tell(clock_is_good,
       absl::StrCat("the server's clock differs by ",
                    absl::FormatDuration(absl::Trunc(off, absl::Milliseconds(1))),
                    clock_is_good ? "" : "; let both machines follow the same time servers"));
  tell(server->Integer(0, 3) + 10 <= server->Integer(0, 2),
       absl::StrCat(server->Integer(0, 3), " of max_connections = ", server->Integer(0, 2),
                    " are in use; a host needs up to 6"));
  const absl::StatusOr<Durability> durability = ReadDurability(connection);
  if (!durability.ok()) return durability.status();
  tell(durability->is_on_disk, durability->text);
  if (const absl::Status schema = CheckPostgresSchema(connection); !schema.ok()) {
    tell(false, std::string(schema.message()));
    return findings;
  }
  tell(true, absl::StrCat("the tables have schema version ", kPostgresSchemaVersion));
  const auto rights = connection.Run(
      "SELECT bool_and(has_table_privilege('generic_webhook.' || name, 'SELECT, INSERT, UPDATE, "
      "DELETE')), pg_has_role(current_user, (SELECT nspowner FROM pg_namespace WHERE nspname = "
      "'generic_webhook'), 'MEMBER') FROM unnest(ARRAY['lane', 'incident', 'delivery_key', 'run', "
      "'configured_instance', 'audit']) AS name");
  if (!rights.ok()) return rights.status();
  tell(rights->Boolean(0, 0),
       rights->Boolean(0, 0)
           ? absl::StrCat("the role ", server->Text(0, 4), " may write")
           : absl::StrCat("the role ", server->Text(0, 4),
                          " may not write; as the tables' owner, run: host_stub store upgrade "
                          "--host-role ",
                          server->Text(0, 4)));
  if (rights->Boolean(0, 1)) {
    tell(true, "the role owns the tables; a host needs less: store init --host-role NAME");
  }
  const auto hosts = connection.Run(
      "SELECT count(*) FROM generic_webhook.lane WHERE expires > now() AND lane > 0");
  if (!hosts.ok()) return hosts.status();
  tell(true, absl::StrCat("hosts that write now: ", hosts->Integer(0, 0)));
  return findings;
}

}  // namespace host_stub
