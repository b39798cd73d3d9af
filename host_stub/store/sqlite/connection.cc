#include "host_stub/store/sqlite/connection.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"

namespace host_stub {
namespace {

constexpr absl::string_view kCodePayload = "sqlite.extended_code";

bool IsOfTheDisk(int extended_code) {
  switch (extended_code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_PERM:
      return true;
    default:
      return false;
  }
}

}  // namespace

int SqliteCodeOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kCodePayload);
  int code = SQLITE_OK;
  if (payload.has_value() && absl::SimpleAtoi(std::string(*payload), &code)) return code;
  return SQLITE_OK;
}

absl::Status SqliteError(int extended_code, absl::string_view message, absl::string_view doing) {
  const std::string text = absl::StrCat("incident store: ", doing, ": ", message);
  const bool is_full = (extended_code & 0xff) == SQLITE_FULL;
  absl::Status status = is_full                      ? absl::ResourceExhaustedError(text)
                        : IsOfTheDisk(extended_code) ? absl::UnavailableError(text)
                                                     : absl::InternalError(text);
  status.SetPayload(kCodePayload, absl::Cord(absl::StrCat(extended_code)));
  return status;
}

void SqliteStatement::BindAt(int index, int64_t value) {
  const int code = sqlite3_bind_int64(statement_.get(), index, value);
  if (code != SQLITE_OK) bind_code_ = code;
}

void SqliteStatement::BindAt(int index, double value) {
  const int code = sqlite3_bind_double(statement_.get(), index, value);
  if (code != SQLITE_OK) bind_code_ = code;
}

void SqliteStatement::BindAt(int index, absl::string_view text) {
  // A null pointer would be bound as NULL, and empty is not NULL.
  const char* data = text.data() == nullptr ? "" : text.data();
  const int code =
      sqlite3_bind_text64(statement_.get(), index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) bind_code_ = code;
}

void SqliteStatement::BindZerosAt(int index, size_t size) {
  const int code = sqlite3_bind_zeroblob64(statement_.get(), index, size);
  if (code != SQLITE_OK) bind_code_ = code;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  if (bind_code_ != SQLITE_OK) return Fail(bind_code_);
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) return Fail(code);
  Reset();
  return false;
}

absl::Status SqliteStatement::Run() { return Step().status(); }

absl::Status SqliteStatement::ForEachRow(absl::FunctionRef<void()> take) {
  absl::StatusOr<bool> row = Step();
  for (; row.ok() && *row; row = Step()) take();
  return row.status();
}

absl::StatusOr<int64_t> SqliteStatement::QueryInteger() {
  int64_t value = 0;
  absl::Status status = ForEachRow([&] { value = Integer(0); });
  if (!status.ok()) return status;
  return value;
}

void SqliteStatement::Reset() {
  sqlite3_reset(statement_.get());
  bind_code_ = SQLITE_OK;
}

absl::Status SqliteStatement::Fail(int code) {
  sqlite3* const handle = sqlite3_db_handle(statement_.get());
  if (sqlite3_errcode(handle) == (code & 0xff)) code = sqlite3_extended_errcode(handle);
  const absl::Status status = SqliteError(code, sqlite3_errstr(code), "a statement failed");
  Reset();
  return status;
}

int64_t SqliteStatement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double SqliteStatement::Real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

absl::string_view SqliteStatement::Text(int column) const {
  // The text first: asking for its size before may convert it.
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path,
                                                                         const std::string& vfs,
                                                                         SqliteAccess access,
                                                                         int busy_timeout_ms) {
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
      (access == SqliteAccess::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  // SQLite gives a handle that must be closed even where opening failed.
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(handle));
  if (code != SQLITE_OK) {
    return SqliteError(code, sqlite3_errstr(code), absl::StrCat("opening ", path));
  }
  sqlite3_busy_timeout(handle, busy_timeout_ms);
  sqlite3_wal_autocheckpoint(handle, 0);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return connection;
}

SqliteConnection::~SqliteConnection() { sqlite3_close_v2(handle_); }

absl::Status SqliteConnection::Execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  return SqliteError(code, sqlite3_errmsg(handle_), sql);
}

absl::StatusOr<SqliteStatement> SqliteConnection::Prepare(absl::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return SqliteError(code, sqlite3_errmsg(handle_), "preparing a statement");
  return SqliteStatement(statement);
}

absl::Status SqliteConnection::PrepareAll(
    std::initializer_list<std::pair<SqliteStatement*, absl::string_view>> statements) {
  for (const auto& [member, sql] : statements) {
    absl::StatusOr<SqliteStatement> statement = Prepare(sql);
    if (!statement.ok()) return statement.status();
    *member = *std::move(statement);
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> SqliteConnection::QueryInteger(absl::string_view sql) {
  absl::StatusOr<SqliteStatement> statement = Prepare(sql);
  return statement.ok() ? statement->QueryInteger() : statement.status();
}

absl::Status SqliteConnection::WriteBlob(const char* table, const char* column, int64_t row,
                                         std::span<const absl::string_view> pieces) {
  sqlite3_blob* blob = nullptr;
  int code = sqlite3_blob_open(handle_, "main", table, column, row, 1, &blob);
  int offset = 0;
  for (const absl::string_view piece : pieces) {
    if (code != SQLITE_OK) break;
    const int size = static_cast<int>(piece.size());  // SQLite's limit of a row is below 2^31
    code = sqlite3_blob_write(blob, piece.data(), size, offset);
    offset += size;
  }
  if (code != SQLITE_OK && sqlite3_errcode(handle_) == (code & 0xff)) {
    code = sqlite3_extended_errcode(handle_);
  }
  const int closed = sqlite3_blob_close(blob);
  if (code == SQLITE_OK) code = closed;
  if (code == SQLITE_OK) return absl::OkStatus();
  return SqliteError(code, sqlite3_errstr(code), "a blob failed");
}

}  // namespace host_stub
