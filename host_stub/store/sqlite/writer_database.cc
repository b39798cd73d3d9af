#include "host_stub/store/sqlite/writer_database.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/store/rows.h"

namespace host_stub {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = TransactionResult::Kind;

// Another process that writes, such as a person's sqlite3, holds up the writer this long at most.
constexpr int kBusyTimeoutMs = 100;
constexpr std::chrono::milliseconds kPauseBetweenWipes(1'000);
// Room in the database that deleted incidents have left is used for new ones. What is beyond this,
// and beyond one page in so many, goes back to the disk, in small pieces.
constexpr int64_t kLeastFreePages = 64;
constexpr int64_t kPagesForAFreeOne = 16;
constexpr char kGiveSomeSpaceBack[] = "PRAGMA incremental_vacuum(16)";
constexpr size_t kCachedInstances = 10'000;
// Details of that many bytes and more are written slice by slice. That writes the pages of the WAL
// twice, and saves two copies in memory: ours in one piece, and SQLite's row. They are stored as a
// blob, which reads as the text that it is.
constexpr size_t kWrittenInPiecesBytes = 1 << 20;

absl::string_view PutTogether(std::span<const absl::string_view> slices, std::string& buffer) {
  if (slices.size() == 1) return slices.front();
  buffer.clear();
  for (const absl::string_view slice : slices) buffer.append(slice.data(), slice.size());
  return buffer;
}

// What a failed transaction means. An error of a commit is unknown where it may leave a whole
// commit frame behind: a failed sync, or SQLite's index that could not take the frame. Recovery
// takes such a frame for committed. Where the write itself failed the frame is not whole, its
// checksum does not match, and nothing is there. (SQLite repeats a commit frame to fill a sector
// only where the VFS denies powersafe overwrite; ours does not.)
Kind KindOf(int code, bool committing) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
    case SQLITE_PROTOCOL:
      return Kind::kRolledBack;
    case SQLITE_NOMEM:
      return committing ? Kind::kUnknownConnectionLost : Kind::kRolledBack;
    case SQLITE_READONLY:
      return code == SQLITE_READONLY ? Kind::kRolledBack : Kind::kRolledBackConnectionLost;
    case SQLITE_IOERR:
      if (!committing || code == SQLITE_IOERR_WRITE) return Kind::kRolledBackConnectionLost;
      return Kind::kUnknownConnectionLost;
    case SQLITE_OK:  // refused without SQLite, as a name that is taken
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
      return Kind::kBadBatch;
    default:  // corrupt, not a database, cannot open, misuse
      return committing ? Kind::kUnknownConnectionLost : Kind::kRolledBackConnectionLost;
  }
}

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
    R"sql(
-- A hash of what was delivered with the key; empty: not known.
ALTER TABLE delivery_keys ADD COLUMN content BLOB NOT NULL DEFAULT '';
-- What the details of several incidents of a batch end with: the headers of their request.
CREATE TABLE details_ends (
  number INTEGER PRIMARY KEY,
  text TEXT NOT NULL
);
-- details_ends.number: what follows `details`; 0: nothing.
ALTER TABLE incidents ADD COLUMN details_end INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
-- As the platform counts: 0, 0.5, 1, 2, 3 or 4; 0: unknown.
ALTER TABLE incidents ADD COLUMN severity REAL NOT NULL DEFAULT 0;
)sql",
    R"sql(
-- What else is stored of that request; empty: nothing.
ALTER TABLE details_ends ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE details_ends ADD COLUMN query TEXT NOT NULL DEFAULT '';
)sql",
    R"sql(
-- What tells this store from every other one.
ALTER TABLE openings ADD COLUMN identity TEXT NOT NULL DEFAULT '';
UPDATE openings SET identity = lower(hex(randomblob(8)));
-- What duplicates are told of the incidents, which may be deleted earlier than the key; empty: not
-- known.
ALTER TABLE delivery_keys ADD COLUMN firsts BLOB NOT NULL DEFAULT '';
-- Who changed what: the newest calls, as many as the limit audit_entries says.
CREATE TABLE audit (
  number INTEGER PRIMARY KEY,  -- grows: the newest is never deleted
  time INTEGER NOT NULL,       -- microseconds of Unix time
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  instance TEXT NOT NULL,      -- a name; empty: all of the file's
  outcome TEXT NOT NULL,       -- "OK", or the name of a code
  parameters TEXT NOT NULL     -- the names of those that changed, each followed by a line break
);
)sql",
};

}  // namespace

const int64_t kSchemaVersion = std::size(kSteps);

absl::StatusOr<std::unique_ptr<WriterDatabase>> WriterDatabase::Open(
    const std::string& path, const std::string& vfs, absl::Time now, bool gives_space_back,
    const Checkpointer::Options& checkpointer, WalState& wal) {
  std::error_code no_file;
  const auto wal_bytes = std::filesystem::file_size(path + "-wal", no_file);
  const bool left_a_wal = !no_file && wal_bytes > 0;
  absl::StatusOr<std::unique_ptr<SqliteConnection>> connection =
      SqliteConnection::Open(path, vfs, SqliteAccess::kReadWrite, kBusyTimeoutMs);
  if (!connection.ok()) return connection.status();
  std::unique_ptr<WriterDatabase> database(new WriterDatabase(*std::move(connection), wal));
  // Does nothing to a database that has tables.
  const char* const vacuum = gives_space_back ? "PRAGMA auto_vacuum = INCREMENTAL" : "";
  for (const char* pragma : {vacuum, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"}) {
    if (absl::Status status = database->connection_->Execute(pragma); !status.ok()) return status;
  }
  constexpr int64_t kIncremental = 2;
  const absl::StatusOr<int64_t> mode = database->connection_->QueryInteger("PRAGMA auto_vacuum");
  if (!mode.ok()) return mode.status();
  database->gives_space_back_ = *mode == kIncremental;
  if (absl::Status status = database->Migrate(path); !status.ok()) return status;
  const std::string prove =
      absl::StrCat("INSERT INTO openings VALUES (1, 1, ", absl::ToUnixMicros(now),
                   ", lower(hex(randomblob(8)))) ON CONFLICT (number) DO UPDATE SET "
                   "times = times + 1, last = excluded.last");
  if (absl::Status status = database->connection_->Execute(prove.c_str()); !status.ok()) {
    return status;
  }
  if (absl::Status status = database->PrepareStatements(); !status.ok()) return status;
  auto started = Checkpointer::Start(path, vfs, checkpointer);
  if (!started.ok()) return started.status();
  database->checkpointer_ = *std::move(started);
  database->checkpointer_->Committed();  // the proof
  sqlite3_wal_hook(
      database->connection_->handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        auto* const database = static_cast<WriterDatabase*>(self);
        database->wal_pages_ = pages;
        database->checkpointer_->Committed();
        return SQLITE_OK;
      },
      database.get());
  // A process that was killed, or a connection that was lost, may have left a secret there.
  database->wal_holds_secret_ = left_a_wal;
  if (left_a_wal) database->WipeWal(false);
  database->TellOfWal();
  if (!database->lost_.ok()) return database->lost_;
  return database;
}

// Each step in a transaction of its own. Where one fails, the connection is closed, which rolls it
// back.
absl::Status WriterDatabase::Migrate(const std::string& path) {
  const absl::StatusOr<int64_t> version = connection_->QueryInteger("PRAGMA user_version");
  if (!version.ok()) return version.status();
  if (*version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("incident store: ", path, " has schema version ", *version,
                     ", and this program knows up to ", kSchemaVersion,
                     ": it was written by a newer version; start that one"));
  }
  for (int64_t from = *version; from < kSchemaVersion; ++from) {
    const std::string set_version = absl::StrCat("PRAGMA user_version = ", from + 1);
    for (const char* sql : {"BEGIN IMMEDIATE", kSteps[from], set_version.c_str(), "COMMIT"}) {
      if (absl::Status status = connection_->Execute(sql); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status WriterDatabase::PrepareStatements() {
  return connection_->PrepareAll({
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&add_incident_,
       "INSERT INTO incidents (instance, created, name, type, occurred, warnings, details_end, "
       "severity, details) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
      {&add_end_, "INSERT INTO details_ends (text, address, query) VALUES (?1, ?2, ?3)"},
      {&add_key_,
       "INSERT INTO delivery_keys (instance, scope, expires, key, incidents, content, firsts) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
      {&delete_key_, "DELETE FROM delivery_keys WHERE number = ?1"},
      {&read_firsts_, "SELECT firsts FROM delivery_keys WHERE number = ?1"},
      {&read_oldest_, "SELECT id, created, details_end FROM incidents ORDER BY id LIMIT 1"},
      {&delete_incident_, "DELETE FROM incidents WHERE id = ?1"},
      {&delete_ends_, "DELETE FROM details_ends WHERE number < ?1"},
      {&pages_, "PRAGMA page_count"},
      {&free_pages_, "PRAGMA freelist_count"},
      {&read_first_, "SELECT created, name, type, occurred, severity FROM incidents WHERE id = ?1"},
      {&find_instance_, "SELECT number, name, brand FROM instances WHERE uid = ?1"},
      {&save_instance_,
       "INSERT INTO instances (uid, name, brand) VALUES (?1, ?2, ?3) "
       "ON CONFLICT (uid) DO UPDATE SET name = ?2, brand = ?3"},
      {&read_context_, "SELECT value FROM context WHERE uid = ?1 AND key = ?2"},
      {&write_context_,
       "INSERT INTO context (uid, key, value) VALUES (?1, ?2, ?3) "
       "ON CONFLICT (uid, key) DO UPDATE SET value = ?3"},
      {&delete_context_, "DELETE FROM context WHERE uid = ?1"},
      {&read_instances_,
       "SELECT uid, name, configuration, disabled, on_engine, generation, request_id, created, "
       "changed FROM configured_instances ORDER BY name"},
      {&find_name_, "SELECT uid FROM configured_instances WHERE name = ?1"},
      {&write_instance_,
       "INSERT INTO configured_instances (uid, name, configuration, disabled, on_engine, "
       "generation, request_id, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
       "ON CONFLICT (uid) DO UPDATE SET name = ?2, configuration = ?3, disabled = ?4, "
       "on_engine = ?5, generation = ?6, request_id = ?7, created = ?8, changed = ?9"},
      {&delete_instance_, "DELETE FROM configured_instances WHERE uid = ?1"},
      {&write_audit_,
       "INSERT INTO audit (time, who, what, instance, outcome, parameters) "
       "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
      {&trim_audit_, "DELETE FROM audit WHERE number <= ?1"},
      {&read_audit_,
       "SELECT number, time, who, what, instance, outcome, parameters FROM audit "
       "WHERE number < ?1 ORDER BY number DESC LIMIT ?2"},
  });
}

absl::Status WriterDatabase::Begin() { return lost_.ok() ? begin_.Run() : lost_; }

TransactionResult WriterDatabase::End(const absl::Status& written) {
  const absl::Status status = written.ok() ? commit_.Run() : written;
  const bool removed_secret = std::exchange(removed_secret_, false);
  if (status.ok()) {
    if (removed_secret) {  // gone before the caller is told, unless a reader is in the way
      wal_holds_secret_ = true;
      WipeWal(true);
      TellOfWal();
    }
    return {};
  }
  // Pages of what was rolled back may have reached the WAL.
  wal_holds_secret_ = wal_holds_secret_ || removed_secret;
  const Kind kind = KindOf(SqliteCodeOf(status), written.ok());
  instances_.clear();
  // Some errors have rolled back already.
  const bool rolled_back = !connection_->in_transaction() || rollback_.Run().ok();
  if (!rolled_back && (kind == Kind::kRolledBack || kind == Kind::kBadBatch)) {
    return {Kind::kRolledBackConnectionLost, status};
  }
  return {kind, status};
}

absl::StatusOr<int64_t> WriterDatabase::InstanceNumber(const Submission& batch, bool may_add) {
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
  save_instance_.Bind(batch.instance_uid, batch.instance_name, batch.source_brand);
  if (absl::Status status = save_instance_.Run(); !status.ok()) return status;
  return ReadInstance(batch.instance_uid);
}

// 0 where there is none; else it is in the cache then.
absl::StatusOr<int64_t> WriterDatabase::ReadInstance(absl::string_view uid) {
  int64_t number = 0;
  absl::Status status = find_instance_.Bind(uid).ForEachRow([&] {
    number = find_instance_.Integer(0);
    if (instances_.size() >= kCachedInstances) instances_.clear();
    instances_.insert_or_assign(
        std::string(uid),
        Instance{number, std::string(find_instance_.Text(1)), std::string(find_instance_.Text(2))});
  });
  if (!status.ok()) return status;
  return number;
}

absl::StatusOr<int64_t> WriterDatabase::AddIncident(int64_t instance, absl::Time created,
                                                    const NewIncident& incident,
                                                    SharedParts& shared) {
  std::span<const absl::string_view> details = incident.details;
  const bool shares_end = shared.EndsDetailsOf(incident);
  int64_t& number = shares_end ? shared.number : shared.request_number;
  if (number == 0 && (shares_end || shared.has_request())) {
    add_end_.Bind(shares_end ? shared.end : "", shared.request_address, shared.request_query);
    if (absl::Status status = add_end_.Run(); !status.ok()) return status;
    number = sqlite3_last_insert_rowid(connection_->handle());
  }
  if (shares_end) {
    slices_.assign(details.begin(), details.end());
    slices_.back().remove_suffix(shared.end.size());
    details = slices_;
  }
  add_incident_.Bind(instance, absl::ToUnixMicros(created), incident.name, incident.type,
                     incident.occurred, AsLines(incident.warnings, warnings_), number,
                     incident.severity);
  constexpr int kDetails = 9;
  const size_t bytes = BytesOf(details);
  const bool in_pieces = bytes >= kWrittenInPiecesBytes;
  if (in_pieces) {
    add_incident_.BindZerosAt(kDetails, bytes);
  } else {
    add_incident_.BindAt(kDetails, PutTogether(details, details_));
  }
  if (absl::Status status = add_incident_.Run(); !status.ok()) return status;
  const int64_t id = sqlite3_last_insert_rowid(connection_->handle());
  if (!in_pieces) return id;
  absl::Status status = connection_->WriteBlob("incidents", "details", id, details);
  if (!status.ok()) return status;
  return id;
}

absl::Status WriterDatabase::AddKey(DeliveryKey& key) {
  const std::string ids = key.ids.ToText();
  const int64_t expires =
      key.expires == absl::InfiniteFuture() ? 0 : absl::ToUnixMicros(key.expires);
  add_key_.Bind(key.instance, static_cast<int64_t>(key.scope), expires, key.key, ids, key.content,
                key.firsts);
  if (absl::Status status = add_key_.Run(); !status.ok()) return status;
  key.firsts = std::string();  // read when it is needed
  key.row = sqlite3_last_insert_rowid(connection_->handle());
  return absl::OkStatus();
}

absl::StatusOr<std::string> WriterDatabase::ReadFirsts(const DeliveryKey& key) {
  std::string firsts;
  absl::Status status =
      read_firsts_.Bind(key.row).ForEachRow([&] { firsts = std::string(read_firsts_.Text(0)); });
  if (!status.ok()) return status;
  return firsts;
}

absl::Status WriterDatabase::ReadFirst(int64_t id, CreatedIncident& duplicate) {
  return read_first_.Bind(id).ForEachRow([&] { ReadFirstIncident(read_first_, duplicate); });
}

absl::Status WriterDatabase::ReadKeys(const std::function<void(DeliveryKey)>& take) {
  absl::StatusOr<SqliteStatement> keys = connection_->Prepare(
      "SELECT number, instance, scope, expires, key, incidents, content FROM delivery_keys "
      "ORDER BY number");
  if (!keys.ok()) return keys.status();
  absl::Status malformed;
  absl::Status status = keys->ForEachRow([&] {
    absl::StatusOr<IncidentIds> ids = IncidentIds::FromText(keys->Text(5));
    if (!ids.ok()) return malformed.Update(ids.status());
    const int64_t expires = keys->Integer(3);
    take({keys->Integer(1), keys->Integer(2) == 0 ? KeyScope::kBatch : KeyScope::kIncident,
          std::string(keys->Text(4)), std::move(*ids),
          expires == 0 ? absl::InfiniteFuture() : absl::FromUnixMicros(expires), keys->Integer(0),
          std::string(keys->Text(6))});
  });
  status.Update(malformed);
  return status;
}

absl::Status WriterDatabase::DeleteKeys(const std::deque<int64_t>& rows, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (absl::Status status = delete_key_.Bind(rows[i]).Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status WriterDatabase::DeleteOldest(absl::Time created_before, int64_t most_bytes,
                                          Clock::time_point deadline, Deleted& deleted) {
  deleted.more = true;
  do {
    absl::StatusOr<bool> done = DeleteIncident(created_before, most_bytes);
    deleted.incidents += done.ok() && *done;
    if (done.ok() && !*done) done = GiveSpaceBack();
    if (!done.ok()) return done.status();
    deleted.more = *done;
  } while (deleted.more && Clock::now() < deadline);
  return absl::OkStatus();
}

// False: there is none to be deleted.
absl::StatusOr<bool> WriterDatabase::DeleteIncident(absl::Time created_before, int64_t most_bytes) {
  int64_t id = 0;
  int64_t created = 0;
  int64_t end = 0;
  absl::Status status = read_oldest_.ForEachRow([&] {
    id = read_oldest_.Integer(0);
    created = read_oldest_.Integer(1);
    end = read_oldest_.Integer(2);
  });
  if (!status.ok()) return status;
  // Ends have ascending numbers, and a batch has one: whatever has a smaller number than the oldest
  // incident's was of incidents that are gone.
  if (id == 0) end = INT64_MAX;
  if (end != 0) status = delete_ends_.Bind(end).Run();
  if (!status.ok()) return status;
  if (id == 0) return false;
  if (created >= absl::ToUnixMicros(created_before)) {
    if (most_bytes == 0) return false;
    const absl::StatusOr<Space> space = ReadSpace();
    if (!space.ok()) return space.status();
    if (space->used_pages * kPageBytes <= most_bytes) return false;
  }
  status = delete_incident_.Bind(id).Run();
  if (!status.ok()) return status;
  return true;
}

absl::StatusOr<WriterDatabase::Space> WriterDatabase::ReadSpace() {
  const absl::StatusOr<int64_t> pages = pages_.QueryInteger();
  if (!pages.ok()) return pages.status();
  const absl::StatusOr<int64_t> free_pages = free_pages_.QueryInteger();
  if (!free_pages.ok()) return free_pages.status();
  return Space{*pages - *free_pages, *free_pages};
}

// False: there is nothing to be given back.
absl::StatusOr<bool> WriterDatabase::GiveSpaceBack() {
  const absl::StatusOr<Space> space = ReadSpace();
  if (!space.ok()) return space.status();
  const bool too_many =
      space->free_pages > std::max(kLeastFreePages, space->used_pages / kPagesForAFreeOne);
  if (too_many && !gives_space_back_) wal_.keeps_free_space = true;  // until the next start
  if (!too_many || !gives_space_back_) return false;
  absl::Status status = connection_->Execute(kGiveSomeSpaceBack);
  if (!status.ok()) return status;
  return true;
}

absl::StatusOr<std::string> WriterDatabase::ReadContext(const std::string& uid,
                                                        const std::string& key) {
  std::optional<std::string> value;
  absl::Status status =
      read_context_.Bind(uid, key).ForEachRow([&] { value.emplace(read_context_.Text(0)); });
  if (!status.ok()) return status;
  if (!value.has_value()) return absl::NotFoundError("nothing is set under this key");
  return *std::move(value);
}

absl::Status WriterDatabase::WriteContext(const std::string& uid, const std::string& key,
                                          const std::string& value) {
  return write_context_.Bind(uid, key, value).Run();
}

absl::StatusOr<std::vector<StoredInstance>> WriterDatabase::ReadInstances() {
  std::vector<StoredInstance> instances;
  absl::Status status = read_instances_.ForEachRow(
      [&] { instances.push_back(host_stub::ReadInstance(read_instances_)); });
  if (!status.ok()) return status;
  return instances;
}

absl::Status WriterDatabase::WriteInstance(const StoredInstance& instance) {
  bool taken = false;
  absl::Status status = find_name_.Bind(instance.name).ForEachRow([&] {
    taken = find_name_.Text(0) != instance.uid;
  });
  if (!status.ok()) return status;
  if (taken) {
    return absl::AlreadyExistsError(
        absl::StrCat("an instance \"", instance.name, "\" exists already"));
  }
  return RunOverwriting(write_instance_.Bind(
      instance.uid, instance.name, instance.configuration, int64_t{instance.disabled},
      int64_t{instance.on_engine}, instance.generation, instance.request_id,
      absl::ToUnixMicros(instance.created), absl::ToUnixMicros(instance.changed)));
}

// Overwrites with zeros what a configuration leaves behind in its pages. Not used for what senders
// send: it would double the writes.
absl::Status WriterDatabase::RunOverwriting(SqliteStatement& statement) {
  absl::Status status = connection_->Execute("PRAGMA secure_delete = ON");
  if (!status.ok()) return status;
  removed_secret_ = true;
  status = statement.Run();
  status.Update(connection_->Execute("PRAGMA secure_delete = OFF"));
  return status;
}

absl::Status WriterDatabase::DeleteInstance(const std::string& uid) {
  absl::Status status = RunOverwriting(delete_instance_.Bind(uid));
  return status.ok() ? delete_context_.Bind(uid).Run() : status;
}

absl::Status WriterDatabase::WriteAudit(const AuditEntry& entry, int64_t most_kept) {
  std::string parameters;
  absl::Status status =
      write_audit_
          .Bind(absl::ToUnixMicros(entry.time), entry.who, entry.what, entry.instance,
                entry.outcome, AsLines(entry.parameters, parameters))
          .Run();
  if (!status.ok()) return status;
  const int64_t number = sqlite3_last_insert_rowid(connection_->handle());
  return trim_audit_.Bind(number - most_kept).Run();
}

absl::StatusOr<std::vector<AuditEntry>> WriterDatabase::ReadAudit(int64_t before, int64_t most) {
  std::vector<AuditEntry> entries;
  absl::Status status = read_audit_.Bind(before > 0 ? before : INT64_MAX, most).ForEachRow([&] {
    entries.push_back(ReadAuditEntry(read_audit_));
  });
  if (!status.ok()) return status;
  return entries;
}

absl::StatusOr<int64_t> WriterDatabase::ReadLastId() {
  return connection_->QueryInteger(
      "SELECT coalesce((SELECT max(id) FROM incidents), "
      "(SELECT seq FROM sqlite_sequence WHERE name = 'incidents'), 0)");
}

absl::StatusOr<std::string> WriterDatabase::ReadIdentity() {
  absl::StatusOr<SqliteStatement> statement = connection_->Prepare("SELECT identity FROM openings");
  if (!statement.ok()) return statement.status();
  std::string identity;
  absl::Status status = statement->ForEachRow([&] { identity = std::string(statement->Text(0)); });
  if (!status.ok()) return status;
  return identity;
}

absl::Status WriterDatabase::RunMaintenance() {
  if (wal_holds_secret_ && Clock::now() >= wipe_at_) WipeWal(false);
  if (lost_.ok() && checkpointer_->ShouldFinish(wal_pages_)) {
    Checkpoint(SQLITE_CHECKPOINT_PASSIVE, true);
  }
  lost_.Update(checkpointer_->status());
  TellOfWal();
  return lost_;
}

void WriterDatabase::TellOfWal() {
  wal_.holds_secret = wal_holds_secret_;
  wal_.pages = wal_pages_;
}

std::optional<Clock::time_point> WriterDatabase::next_maintenance() const {
  return wal_holds_secret_ ? std::optional(wipe_at_) : std::nullopt;
}

// Copies the WAL into the database and keeps the Checkpointer informed. SQLITE_BUSY: somebody was
// in the way. After a failed sync the next commit on this connection could not be trusted; the WAL
// keeps all that was acknowledged.
int WriterDatabase::Checkpoint(int mode, bool wait) {
  if (!checkpointer_->BeginCopy(wait)) return SQLITE_BUSY;
  int pages = -1;
  int copied = -1;
  if (!wait) sqlite3_busy_timeout(connection_->handle(), 0);
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, mode, &pages, &copied);
  if (!wait) sqlite3_busy_timeout(connection_->handle(), kBusyTimeoutMs);
  checkpointer_->EndCopy(pages == copied);
  if ((code & 0xff) == SQLITE_IOERR) {
    lost_.Update(SqliteError(code, sqlite3_errstr(code), "copying the WAL into the database"));
  }
  return code;
}

// Copies all of the WAL and cuts it to nothing. Where a reader is in the way this is tried again in
// a while, without holding up the writer.
void WriterDatabase::WipeWal(bool wait) {
  wipe_at_ = Clock::now() + kPauseBetweenWipes;
  wal_holds_secret_ = Checkpoint(SQLITE_CHECKPOINT_TRUNCATE, wait) != SQLITE_OK;
  if (!wal_holds_secret_) wal_pages_ = 0;
}

// Leaves no WAL behind. After a failed sync it must stay: it alone has what was acknowledged.
void WriterDatabase::PrepareToClose() {
  checkpointer_->Stop();
  if (lost_.ok() && checkpointer_->status().ok()) Checkpoint(SQLITE_CHECKPOINT_TRUNCATE, true);
}

}  // namespace host_stub
