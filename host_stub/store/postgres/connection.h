// A connection to PostgreSQL: statements with a deadline, alone or many in one round trip; errors
// as statuses. Made with libpq. Internal.
//
// Nothing is sent that a bound of time does not end: the server's statement_timeout first, and this
// side's deadline where the server, or the network, is silent. After that the connection is lost.
#ifndef HOST_STUB_STORE_POSTGRES_CONNECTION_H_
#define HOST_STUB_STORE_POSTGRES_CONNECTION_H_

#include <postgresql/libpq-fe.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace host_stub {

// The five characters of PostgreSQL's error code that a status was made of; empty where it was not.
std::string PostgresCodeOf(const absl::Status& status);

// The values of one statement's $1, $2 and so on, in PostgreSQL's binary format. Reused from
// statement to statement: Clear keeps the memory.
class PostgresValues {
 public:
  // A column of a table, for unnest($n).
  enum class Array { kIntegers, kReals, kTexts, kBytes };

  PostgresValues& Add(int64_t value);
  PostgresValues& Add(absl::string_view text);
  PostgresValues& AddBytes(absl::string_view bytes);
  // The array that the next Append calls fill.
  PostgresValues& BeginArray(Array type);
  // One with what `project`, which may be a member, makes of each row.
  template <typename Rows, typename Project>
  PostgresValues& AddArray(Array type, const Rows& rows, const Project& project) {
    BeginArray(type);
    for (const auto& row : rows) Append(std::invoke(project, row));
    return *this;
  }
  void Append(int64_t value);
  void Append(double value);
  void Append(absl::string_view value) { AppendPieces({&value, 1}); }
  // One element, put together.
  void AppendPieces(std::span<const absl::string_view> pieces);
  void Clear();

 private:
  friend class PostgresConnection;
  struct Value {
    Oid type;
    size_t begin;  // it ends where the next one begins
  };

  void BeginValue(Oid type);
  void BeginElement(size_t bytes);

  std::string data_;
  std::vector<Value> values_;
  size_t elements_at_ = 0;  // where the last array's number of elements is
};

// What a statement gave.
class PostgresRows {
 public:
  // One of them, as rows.h has it. It must not outlive them.
  class Row {
   public:
    Row(const PostgresRows& rows, int row) : rows_(rows), row_(row) {}
    int64_t Integer(int column) const { return rows_.Integer(row_, column); }
    double Real(int column) const { return rows_.Real(row_, column); }
    absl::string_view Text(int column) const { return rows_.Text(row_, column); }

   private:
    const PostgresRows& rows_;
    const int row_;
  };

  explicit PostgresRows(PGresult* result) : result_(result, &PQclear) {}

  int size() const { return PQntuples(result_.get()); }
  Row operator[](int row) const { return {*this, row}; }
  // Columns of type bigint; 0 for NULL.
  int64_t Integer(int row, int column) const;
  double Real(int row, int column) const;  // of type double precision
  bool IsNull(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  bool Boolean(int row, int column) const;
  absl::string_view Text(int row, int column) const;  // text, and bytea as its bytes
  // As in "INSERT 0 3" and "COMMIT".
  absl::string_view command() const { return PQcmdStatus(result_.get()); }
  int64_t changed() const;  // rows

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

// For one thread at a time.
class PostgresConnection {
 public:
  struct Options {
    std::string url;          // as libpq takes it: a URL or KEY=VALUE
    std::string application;  // shown by pg_stat_activity
    absl::Duration connect_timeout = absl::Seconds(5);
    absl::Duration statement_timeout = absl::Seconds(3);
    absl::Duration lock_timeout = absl::Seconds(2);
  };

  // UNAVAILABLE, or INVALID_ARGUMENT for a URL that is none, with one line, without the password.
  static absl::StatusOr<std::unique_ptr<PostgresConnection>> Open(const Options& options);
  ~PostgresConnection() { PQfinish(handle_); }
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // Runs one statement, which is prepared when it is first run; `sql` must be a literal.
  absl::StatusOr<PostgresRows> Run(const char* sql, const PostgresValues& values = {});
  // Runs several statements without values, such as a schema's.
  absl::Status RunScript(const std::string& sql);

  // Statements in one round trip: Push each, then Flush, which gives the rows of each up to the
  // first that failed, and its error.
  struct Pipeline {
    std::vector<PostgresRows> rows;
    absl::Status status;
  };
  void Push(const char* sql, const PostgresValues& values = {});
  Pipeline Flush();

  // The connection can be used no more.
  bool is_lost() const { return lost_ || PQstatus(handle_) != CONNECTION_OK; }
  bool in_transaction() const { return PQtransactionStatus(handle_) != PQTRANS_IDLE; }
  // A warning of the server since this was last asked; empty: none.
  std::string TakeWarning() { return std::exchange(warning_, ""); }
  PGconn* handle() { return handle_; }

 private:
  using Clock = std::chrono::steady_clock;

  PostgresConnection(PGconn* handle, const Options& options) : handle_(handle), options_(options) {}
  Clock::time_point Deadline() const;
  bool Await(bool for_writing, Clock::time_point deadline);
  absl::Status Send(const char* sql, const PostgresValues& values);
  // Null: no more results of this statement.
  absl::StatusOr<PGresult*> Next(Clock::time_point deadline);
  absl::Status Lose(absl::string_view why);

  PGconn* const handle_;
  const Options options_;
  std::set<const char*> prepared_;
  // Of the pipeline, in order: the statement that is prepared; null: one is run.
  std::vector<const char*> pushed_;
  absl::Status push_status_;
  std::vector<const char*> values_;  // reused, as are the next three
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<Oid> types_;
  std::string warning_;
  bool lost_ = false;
};

}  // namespace host_stub

#endif  // HOST_STUB_STORE_POSTGRES_CONNECTION_H_
