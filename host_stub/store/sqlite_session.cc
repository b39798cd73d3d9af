#include "host_stub/store/sqlite_session.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "host_stub/store/batch_writer.h"
#include "host_stub/store/schema.h"

namespace host_stub {
namespace {

using Kind = TransactionResult::Kind;

// Another process that writes, such as a person's sqlite3, holds up the writer this long at most.
constexpr int kBusyTimeoutMs = 100;

// A commit frame that was not written whole has no valid checksum, so all but a failed sync (and
// what we do not know) means that nothing is there.
Kind KindOf(int code, bool committing) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
    case SQLITE_PROTOCOL:
      return Kind::kUndone;
    case SQLITE_READONLY:
      return code == SQLITE_READONLY ? Kind::kUndone : Kind::kUndoneLost;
    case SQLITE_IOERR:
      if (!committing || code == SQLITE_IOERR_WRITE) return Kind::kUndoneLost;
      return Kind::kUnknownLost;
    case SQLITE_TOOBIG:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
      return Kind::kBadBatch;
    default:  // corrupt, no database, cannot open, misuse
      return committing ? Kind::kUnknownLost : Kind::kUndoneLost;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteSession>> SqliteSession::Open(const std::string& path,
                                                                   const std::string& vfs,
                                                                   int64_t remembered_delivery_keys,
                                                                   absl::Time now) {
  std::unique_ptr<SqliteSession> session(new SqliteSession(remembered_delivery_keys));
  absl::StatusOr<std::unique_ptr<SqliteConnection>> connection =
      SqliteConnection::Open(path, vfs, SqliteAccess::kReadWrite, kBusyTimeoutMs);
  if (!connection.ok()) return connection.status();
  session->connection_ = std::move(*connection);
  if (absl::Status status = session->Prepare(path, now); !status.ok()) return status;
  return session;
}

absl::Status SqliteSession::Prepare(const std::string& path, absl::Time now) {
  for (const char* pragma : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"}) {
    if (absl::Status status = connection_->Execute(pragma); !status.ok()) return status;
  }
  if (absl::Status status = Migrate(*connection_, path); !status.ok()) return status;
  // After a failed sync this also writes over what the log holds of that transaction.
  const std::string prove =
      absl::StrCat("INSERT INTO openings VALUES (1, 1, ", absl::ToUnixMicros(now),
                   ") ON CONFLICT (number) DO UPDATE SET times = times + 1, last = excluded.last");
  if (absl::Status status = connection_->Execute(prove.c_str()); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<SqliteTables>> tables = SqliteTables::Prepare(*connection_);
  if (!tables.ok()) return tables.status();
  tables_ = std::move(*tables);
  absl::StatusOr<std::unique_ptr<SqliteStateTables>> state_tables =
      SqliteStateTables::Prepare(*connection_);
  if (!state_tables.ok()) return state_tables.status();
  state_tables_ = std::move(*state_tables);
  if (absl::Status status = tables_->LoadKeys(index_, now); !status.ok()) return status;
  const absl::StatusOr<int64_t> last = connection_->QueryInteger("SELECT max(id) FROM incidents");
  if (!last.ok()) return last.status();
  last_id_ = *last;
  sqlite3_wal_hook(
      connection_->handle(),
      [](void* hook, sqlite3*, const char*, int pages) {
        *static_cast<WalHook*>(hook) = {pages, true};
        return SQLITE_OK;
      },
      &hook_);
  return absl::OkStatus();
}

// Without memory a statement may be left in the middle, or the index without a key that is on disk:
// only a reopened database is as it must be.
TransactionResult SqliteSession::Write(std::span<Submission* const> batches,
                                       absl::Time now) noexcept {
  const absl::Status no_memory(absl::StatusCode::kUnavailable, "");
  absl::Status written;
  try {
    written = tables_->Begin();
    for (size_t i = 0; written.ok() && i < batches.size(); ++i) {
      written = WriteBatch(*batches[i], now, *tables_, index_);
    }
  } catch (const std::exception&) {
    return {Kind::kUndoneLost, no_memory};
  }
  try {
    return Conclude(written, batches, now);
  } catch (const std::exception&) {
    return {written.ok() ? Kind::kUnknownLost : Kind::kUndoneLost, no_memory};
  }
}

TransactionResult SqliteSession::Conclude(const absl::Status& written,
                                          std::span<Submission* const> batches, absl::Time now) {
  TransactionResult result = Finish(written);
  if (result.kind != Kind::kCommitted) {
    index_.Abandon();
    return result;
  }
  index_.Commit(now);
  for (const Submission* batch : batches) {
    for (const CreatedIncident& incident : batch->created) {
      last_id_ = std::max(last_id_, incident.id);
    }
  }
  return result;
}

TransactionResult SqliteSession::RunState(std::span<StateWork> works) noexcept try {
  absl::Status written = tables_->Begin();
  for (size_t i = 0; written.ok() && i < works.size(); ++i) written = works[i].run(*state_tables_);
  // What is refused without SQLite, as a name that is taken, is that one's fault alone.
  if (!written.ok() && SqliteCodeOf(written) == SQLITE_OK) {
    const absl::Status undone = tables_->Undo();
    return {undone.ok() ? Kind::kBadBatch : Kind::kUndoneLost, written};
  }
  return Finish(written);
} catch (const std::exception&) {
  return {Kind::kUnknownLost, absl::Status(absl::StatusCode::kUnavailable, "")};
}

TransactionResult SqliteSession::Finish(const absl::Status& written) {
  const absl::Status status = written.ok() ? tables_->Commit() : written;
  if (status.ok()) return {Kind::kCommitted, status};
  const Kind kind = KindOf(SqliteCodeOf(status), written.ok());
  if (!tables_->Undo().ok() && (kind == Kind::kUndone || kind == Kind::kBadBatch)) {
    return {Kind::kUndoneLost, status};
  }
  return {kind, status};
}

TransactionResult SqliteSession::DeleteForgottenKeys(size_t most) {
  std::deque<int64_t>& rows = index_.forgotten_rows();
  const size_t count = std::min(most, rows.size());
  absl::Status written = tables_->Begin();
  if (written.ok()) written = tables_->DeleteKeys(rows, count);
  TransactionResult result = Finish(written);
  if (result.kind == Kind::kCommitted) {
    rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return result;
}

absl::Status SqliteSession::Checkpoint(bool& all_copied) {
  int pages = -1;
  int copied = -1;
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
  all_copied = pages == copied;
  if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY) return absl::OkStatus();
  return SqliteError(code, sqlite3_errstr(code), "copying the WAL into the database");
}

absl::StatusOr<bool> SqliteSession::EmptyLog(bool wait, bool& all_copied) {
  int pages = -1;
  int copied = -1;
  if (!wait) sqlite3_busy_timeout(connection_->handle(), 0);
  const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr,
                                             SQLITE_CHECKPOINT_TRUNCATE, &pages, &copied);
  if (!wait) sqlite3_busy_timeout(connection_->handle(), kBusyTimeoutMs);
  all_copied = pages == copied;
  if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY) return code == SQLITE_OK;
  return SqliteError(code, sqlite3_errstr(code), "emptying the WAL");
}

}  // namespace host_stub
