// SQLite's connection and prepared statements as owners; its errors as statuses. Internal.
#ifndef HOST_STUB_STORE_SQLITE_CONNECTION_H_
#define HOST_STUB_STORE_SQLITE_CONNECTION_H_

#include <sqlite3.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

// SQLite's extended result code that a status was made of; SQLITE_OK where it was not.
int SqliteCodeOf(const absl::Status& status);

// UNAVAILABLE for what the disk or another process does, INTERNAL for the rest.
absl::Status SqliteError(int extended_code, absl::string_view message, absl::string_view doing);

// One prepared statement. Not thread-safe, like its connection, which must outlive it.
class SqliteStatement {
 public:
  SqliteStatement() = default;
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  // Binds numbers and texts to ?1, ?2 and so on. A text must stay until the statement has run.
  template <typename... Values>
  SqliteStatement& Bind(const Values&... values) {
    int index = 0;
    (BindAt(++index, values), ...);
    return *this;
  }
  void BindAt(int index, int64_t value);
  void BindAt(int index, double value);
  void BindAt(int index, absl::string_view text);
  // A blob of so many bytes, to be written by SqliteConnection::WriteBlob.
  void BindZerosAt(int index, size_t size);

  // Runs a statement that gives no rows.
  absl::Status Run();
  // Runs it and calls `take` at each row.
  absl::Status ForEachRow(absl::FunctionRef<void()> take);
  // Runs it. The first column of the last row; 0 where there is none.
  absl::StatusOr<int64_t> QueryInteger();
  // Goes to the next row. False: done; the statement is reset then, as it is after an error.
  absl::StatusOr<bool> Step();
  void Reset();

  // Of the row where the statement is.
  int64_t Integer(int column) const;
  double Real(int column) const;
  absl::string_view Text(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  absl::Status Fail(int code);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bind_code_ = SQLITE_OK;
};

enum class SqliteAccess { kReadOnly, kReadWrite };

// For one thread at a time. Never copies the WAL into the database by itself, neither after a
// commit nor when it is closed: the store says when.
class SqliteConnection {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path,
                                                                const std::string& vfs,
                                                                SqliteAccess access,
                                                                int busy_timeout_ms);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  absl::Status Execute(const char* sql);
  absl::StatusOr<SqliteStatement> Prepare(absl::string_view sql);
  absl::Status PrepareAll(
      std::initializer_list<std::pair<SqliteStatement*, absl::string_view>> statements);
  absl::StatusOr<int64_t> QueryInteger(absl::string_view sql);
  // Writes over a blob of that very length, piece by piece: no second copy of it is made.
  absl::Status WriteBlob(const char* table, const char* column, int64_t row,
                         std::span<const absl::string_view> pieces);

  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
  sqlite3* handle() { return handle_; }

 private:
  explicit SqliteConnection(sqlite3* handle) : handle_(handle) {}

  sqlite3* handle_;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_SQLITE_CONNECTION_H_
