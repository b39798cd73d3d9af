#include "host_stub/store/postgres/connection.h"

#include <poll.h>

#include <cstring>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/optional.h"

namespace host_stub {
namespace {

constexpr absl::string_view kCodePayload = "postgresql.code";

// Of pg_type.dat; they never change.
constexpr Oid kInteger = 20;
constexpr Oid kText = 25;
constexpr Oid kBytes = 17;
constexpr Oid kReal = 701;
constexpr Oid kIntegers = 1016;
constexpr Oid kReals = 1022;
constexpr Oid kTexts = 1009;
constexpr Oid kBytesArray = 1001;

constexpr absl::Duration kPatienceBeyondTheServers = absl::Seconds(1);

uint32_t Swap32(uint32_t value) { return __builtin_bswap32(value); }
uint64_t Swap64(uint64_t value) { return __builtin_bswap64(value); }

void Append32(std::string& data, uint32_t value) {
  const uint32_t swapped = Swap32(value);
  data.append(reinterpret_cast<const char*>(&swapped), sizeof(swapped));
}

void Append64(std::string& data, uint64_t value) {
  const uint64_t swapped = Swap64(value);
  data.append(reinterpret_cast<const char*>(&swapped), sizeof(swapped));
}

std::string OneLine(absl::string_view text) {
  return absl::StrReplaceAll(absl::StripAsciiWhitespace(text), {{"\n\t", "; "}, {"\n", "; "}});
}

// What the server, the network or another host does is UNAVAILABLE; a fault of ours is INTERNAL.
bool IsOfTheServer(absl::string_view code) {
  for (const absl::string_view of_us : {"22", "23", "42", "0A"}) {
    if (absl::StartsWith(code, of_us)) return false;
  }
  return true;
}

absl::Status ErrorOf(const PGresult* result) {
  const char* const code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* const message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const std::string text = absl::StrCat(
      "PostgreSQL: ", OneLine(message == nullptr ? PQresultErrorMessage(result) : message),
      code == nullptr ? "" : absl::StrCat(" (", code, ")"));
  constexpr absl::string_view kDiskFull = "53100";
  absl::Status status = code == nullptr || IsOfTheServer(code) ? absl::UnavailableError(text)
                                                               : absl::InternalError(text);
  if (code != nullptr && code == kDiskFull) status = absl::ResourceExhaustedError(text);
  if (code != nullptr) status.SetPayload(kCodePayload, absl::Cord(code));
  return status;
}

// libpq's own messages show parts of a URL that it does not understand, a password among them.
absl::Status CheckUrl(const std::string& url) {
  PQconninfoOption* const parts = PQconninfoParse(url.c_str(), nullptr);
  bool is_good = parts != nullptr;
  for (PQconninfoOption* part = parts; is_good && part->keyword != nullptr; ++part) {
    const bool is_host = std::strcmp(part->keyword, "host") == 0 && part->val != nullptr;
    if (is_host && std::strchr(part->val, '@') != nullptr) is_good = false;
  }
  PQconninfoFree(parts);
  if (is_good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "PostgreSQL: the URL is not as in postgresql://USER:PASSWORD@HOST/DATABASE; in a password, "
      "write @ : / % as %40 %3A %2F %25");
}

}  // namespace

std::string PostgresCodeOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kCodePayload);
  return payload.has_value() ? std::string(*payload) : "";
}

void PostgresValues::BeginValue(Oid type) { values_.push_back({type, data_.size()}); }

PostgresValues& PostgresValues::Add(int64_t value) {
  BeginValue(kInteger);
  Append64(data_, static_cast<uint64_t>(value));
  return *this;
}

PostgresValues& PostgresValues::Add(absl::string_view text) {
  BeginValue(kText);
  data_.append(text.data(), text.size());
  return *this;
}

PostgresValues& PostgresValues::AddBytes(absl::string_view bytes) {
  BeginValue(kBytes);
  data_.append(bytes.data(), bytes.size());
  return *this;
}

// One dimension, no NULL, the type of an element, how many there are, the first one's number.
PostgresValues& PostgresValues::BeginArray(Array type) {
  constexpr Oid kArrays[] = {kIntegers, kReals, kTexts, kBytesArray};
  constexpr Oid kElements[] = {kInteger, kReal, kText, kBytes};
  const auto index = static_cast<size_t>(type);
  BeginValue(kArrays[index]);
  for (const uint32_t number : {1u, 0u, kElements[index]}) Append32(data_, number);
  elements_at_ = data_.size();
  for (const uint32_t number : {0u, 1u}) Append32(data_, number);
  return *this;
}

void PostgresValues::BeginElement(size_t bytes) {
  uint32_t count = 0;
  std::memcpy(&count, &data_[elements_at_], sizeof(count));
  count = Swap32(Swap32(count) + 1);
  std::memcpy(&data_[elements_at_], &count, sizeof(count));
  Append32(data_, static_cast<uint32_t>(bytes));
}

void PostgresValues::Append(int64_t value) {
  BeginElement(sizeof(value));
  Append64(data_, static_cast<uint64_t>(value));
}

void PostgresValues::Append(double value) {
  BeginElement(sizeof(value));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  Append64(data_, bits);
}

void PostgresValues::AppendPieces(std::span<const absl::string_view> pieces) {
  size_t bytes = 0;
  for (const absl::string_view piece : pieces) bytes += piece.size();
  BeginElement(bytes);
  for (const absl::string_view piece : pieces) data_.append(piece.data(), piece.size());
}

void PostgresValues::Clear() {
  data_.clear();
  values_.clear();
}

int64_t PostgresRows::Integer(int row, int column) const {
  if (PQgetisnull(result_.get(), row, column)) return 0;
  uint64_t value = 0;
  std::memcpy(&value, PQgetvalue(result_.get(), row, column), sizeof(value));
  return static_cast<int64_t>(Swap64(value));
}

double PostgresRows::Real(int row, int column) const {
  const auto bits = static_cast<uint64_t>(Integer(row, column));
  double value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

bool PostgresRows::Boolean(int row, int column) const {
  return *PQgetvalue(result_.get(), row, column) != 0;
}

absl::string_view PostgresRows::Text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<size_t>(PQgetlength(result_.get(), row, column))};
}

int64_t PostgresRows::changed() const {
  int64_t rows = 0;
  return absl::SimpleAtoi(PQcmdTuples(result_.get()), &rows) ? rows : 0;
}

absl::StatusOr<std::unique_ptr<PostgresConnection>> PostgresConnection::Open(
    const Options& options) {
  if (absl::Status status = CheckUrl(options.url); !status.ok()) return status;
  const std::string patience = absl::StrCat(absl::ToInt64Seconds(options.connect_timeout));
  // The first is expanded; what the URL says wins over what stands before it, and ours over both
  // where it stands behind.
  const char* const names[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                               "keepalives_count", "tcp_user_timeout", "dbname",
                               "application_name", "client_encoding",  nullptr};
  const char* const values[] = {
      patience.c_str(), "5",    "2", "3", "10000", options.url.c_str(), options.application.c_str(),
      "UTF8",           nullptr};
  PGconn* const handle = PQconnectdbParams(names, values, /*expand_dbname=*/1);
  std::unique_ptr<PostgresConnection> connection(new PostgresConnection(handle, options));
  if (PQstatus(handle) != CONNECTION_OK) {
    return absl::UnavailableError(absl::StrCat("PostgreSQL: ", OneLine(PQerrorMessage(handle))));
  }
  PQsetNoticeReceiver(
      handle,
      [](void* self, const PGresult* notice) {
        const char* const severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        if (severity == nullptr || std::strcmp(severity, "WARNING") != 0) return;
        const char* const message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
        static_cast<PostgresConnection*>(self)->warning_ = message == nullptr ? "?" : message;
      },
      connection.get());
  if (PQsetnonblocking(handle, 1) != 0) return connection->Lose(PQerrorMessage(handle));
  // A pooler between us and the server passes these on, but not the options of a connection.
  // Compiling a statement (jit, where there is that) takes a second, and running each of ours
  // milliseconds. What is read alone, too, must not fail since others write.
  absl::Status status = connection->RunScript(
      absl::StrCat("SET client_min_messages = warning; SET statement_timeout = ",
                   absl::ToInt64Milliseconds(options.statement_timeout),
                   "; SET lock_timeout = ", absl::ToInt64Milliseconds(options.lock_timeout),
                   "; SET idle_in_transaction_session_timeout = 10000; SET timezone = 'UTC'; "
                   "SET default_transaction_isolation = 'read committed'; "
                   "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name = 'jit'"));
  if (!status.ok()) return status;
  return connection;
}

PostgresConnection::Clock::time_point PostgresConnection::Deadline() const {
  return Clock::now() +
         absl::ToChronoMilliseconds(options_.statement_timeout + kPatienceBeyondTheServers);
}

absl::Status PostgresConnection::Lose(absl::string_view why) {
  lost_ = true;
  return absl::UnavailableError(absl::StrCat("PostgreSQL: ", OneLine(why)));
}

// Waits until the socket can be read, or also written. False: the time is over.
bool PostgresConnection::Await(bool for_writing, Clock::time_point deadline) {
  pollfd socket = {PQsocket(handle_), static_cast<short>(POLLIN | (for_writing ? POLLOUT : 0)), 0};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left > 0 && ::poll(&socket, 1, static_cast<int>(left)) != 0;
}

absl::StatusOr<PGresult*> PostgresConnection::Next(Clock::time_point deadline) {
  for (int unsent = PQflush(handle_); PQisBusy(handle_) || unsent != 0; unsent = PQflush(handle_)) {
    if (unsent < 0) return Lose(PQerrorMessage(handle_));
    if (!Await(unsent != 0, deadline)) return Lose("the server has not answered in time");
    if (PQconsumeInput(handle_) == 0) return Lose(PQerrorMessage(handle_));
  }
  return PQgetResult(handle_);
}

absl::Status PostgresConnection::Send(const char* sql, const PostgresValues& values) {
  values_.clear();
  lengths_.clear();
  formats_.clear();
  types_.clear();
  for (size_t i = 0; i < values.values_.size(); ++i) {
    const PostgresValues::Value& value = values.values_[i];
    const bool is_last = i + 1 == values.values_.size();
    const size_t end = is_last ? values.data_.size() : values.values_[i + 1].begin;
    values_.push_back(values.data_.data() + value.begin);
    lengths_.push_back(static_cast<int>(end - value.begin));
    formats_.push_back(1);
    types_.push_back(value.type);
  }
  const int count = static_cast<int>(values_.size());
  const std::string name = absl::StrCat("s", absl::Hex(reinterpret_cast<uintptr_t>(sql)));
  if (!prepared_.contains(sql) && absl::c_find(pushed_, sql) == pushed_.end()) {
    if (PQsendPrepare(handle_, name.c_str(), sql, count, types_.data()) == 0) {
      return Lose(PQerrorMessage(handle_));
    }
    pushed_.push_back(sql);
  }
  if (PQsendQueryPrepared(handle_, name.c_str(), count, values_.data(), lengths_.data(),
                          formats_.data(), 1) == 0) {
    return Lose(PQerrorMessage(handle_));
  }
  pushed_.push_back(nullptr);
  return absl::OkStatus();
}

void PostgresConnection::Push(const char* sql, const PostgresValues& values) {
  if (PQpipelineStatus(handle_) == PQ_PIPELINE_OFF && PQenterPipelineMode(handle_) == 0) {
    push_status_.Update(Lose(PQerrorMessage(handle_)));
  }
  if (push_status_.ok()) push_status_ = Send(sql, values);
}

PostgresConnection::Pipeline PostgresConnection::Flush() {
  Pipeline pipeline{{}, std::exchange(push_status_, absl::OkStatus())};
  const std::vector<const char*> pushed = std::exchange(pushed_, {});
  if (!pipeline.status.ok()) return pipeline;
  if (PQpipelineSync(handle_) == 0) {
    pipeline.status = Lose(PQerrorMessage(handle_));
    return pipeline;
  }
  const Clock::time_point deadline = Deadline();
  // Each statement gives one result and a null. At the end comes the error of what was to be
  // committed there, or of a server that stops, before the result that says it is the end.
  for (size_t i = 0; i <= pushed.size(); ++i) {
    const bool is_end = i == pushed.size();
    for (int nulls = 0; nulls < (is_end ? 2 : 1);) {
      const absl::StatusOr<PGresult*> next = Next(deadline);
      if (!next.ok()) {
        pipeline.status.Update(next.status());
        return pipeline;
      }
      if (*next == nullptr) {
        ++nulls;
        continue;
      }
      PostgresRows rows(*next);
      switch (PQresultStatus(*next)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
          if (pushed[i] != nullptr) {
            prepared_.insert(pushed[i]);
          } else {
            pipeline.rows.push_back(std::move(rows));
          }
          break;
        case PGRES_PIPELINE_SYNC:
          if (is_end) return pipeline;
          break;
        case PGRES_PIPELINE_ABORTED:
          break;
        default:
          pipeline.status.Update(ErrorOf(*next));
      }
    }
  }
  return pipeline;
}

absl::StatusOr<PostgresRows> PostgresConnection::Run(const char* sql,
                                                     const PostgresValues& values) {
  Push(sql, values);
  Pipeline pipeline = Flush();
  if (!pipeline.status.ok()) return pipeline.status;
  return std::move(pipeline.rows.front());
}

absl::Status PostgresConnection::RunScript(const std::string& sql) {
  if (PQpipelineStatus(handle_) != PQ_PIPELINE_OFF && PQexitPipelineMode(handle_) == 0) {
    return Lose(PQerrorMessage(handle_));
  }
  if (PQsendQuery(handle_, sql.c_str()) == 0) return Lose(PQerrorMessage(handle_));
  absl::Status status;
  const Clock::time_point deadline = Deadline();
  while (true) {
    const absl::StatusOr<PGresult*> next = Next(deadline);
    if (!next.ok()) return next.status();
    if (*next == nullptr) return status;
    const PostgresRows rows(*next);
    const ExecStatusType kind = PQresultStatus(*next);
    if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK && kind != PGRES_EMPTY_QUERY) {
      status.Update(ErrorOf(*next));
    }
  }
}

}  // namespace host_stub
