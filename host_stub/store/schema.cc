#include "host_stub/store/schema.h"

#include <iterator>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

// Step i leads from version i to i + 1. A step that was once released is never changed.
constexpr const char* kSteps[] = {
    R"sql(
CREATE TABLE instances (
  number INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,   -- the last one known, as is brand
  brand TEXT NOT NULL
);
CREATE TABLE incidents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  instance INTEGER NOT NULL,  -- instances.number
  created INTEGER NOT NULL,   -- microseconds of Unix time
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  occurred TEXT NOT NULL,     -- RFC 3339
  warnings TEXT NOT NULL,     -- lines
  details TEXT NOT NULL       -- one JSON object, byte for byte
);
-- Only appended to, and pruned at its beginning: a unique index over random keys would cost three
-- to five times. What is a duplicate is decided in memory.
CREATE TABLE delivery_keys (
  number INTEGER PRIMARY KEY,
  instance INTEGER NOT NULL,
  scope INTEGER NOT NULL,     -- 0: of a batch, 1: of an incident
  expires INTEGER NOT NULL,   -- microseconds of Unix time; 0: never
  key TEXT NOT NULL,
  incidents TEXT NOT NULL     -- runs of a first id and a count: "17+3 40+1"
);
-- One row, written when the store is opened: it proves that the disk takes writes.
CREATE TABLE openings (
  number INTEGER PRIMARY KEY,
  times INTEGER NOT NULL,
  last INTEGER NOT NULL       -- microseconds of Unix time
);
)sql",
    R"sql(
-- What an instance remembers.
CREATE TABLE context (
  number INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  UNIQUE (uid, key)
);
-- The instances that do not stand in the configuration file. Not to be confused with `instances`,
-- which names those whose incidents are here.
CREATE TABLE configured_instances (
  number INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  configuration TEXT NOT NULL,  -- one JSON object, with secrets
  disabled INTEGER NOT NULL,
  on_engine INTEGER NOT NULL,
  generation INTEGER NOT NULL,  -- grows with each change
  request_id TEXT NOT NULL,     -- of the call that made it
  created INTEGER NOT NULL,     -- microseconds of Unix time
  changed INTEGER NOT NULL
);
)sql",
};

absl::Status Step(SqliteConnection& connection, int64_t version) {
  absl::Status status = connection.Execute("BEGIN IMMEDIATE");
  if (status.ok()) status = connection.Execute(kSteps[version]);
  if (status.ok()) {
    status = connection.Execute(absl::StrCat("PRAGMA user_version = ", version + 1).c_str());
  }
  if (status.ok()) status = connection.Execute("COMMIT");
  if (!status.ok() && connection.in_transaction()) connection.Execute("ROLLBACK").IgnoreError();
  return status;
}

}  // namespace

const int64_t kSchemaVersion = std::size(kSteps);

absl::Status Migrate(SqliteConnection& connection, const std::string& path) {
  const absl::StatusOr<int64_t> version = connection.QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("incident store: ", path, " has schema version ", *version,
                     ", and this program knows up to ", kSchemaVersion,
                     ": it was written by a newer version; start that one"));
  }
  for (int64_t from = *version; from < kSchemaVersion; ++from) {
    if (absl::Status status = Step(connection, from); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace host_stub
