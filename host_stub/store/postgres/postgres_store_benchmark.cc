// Durable rows a second, by rows in a commit and by hosts: the store beside its own statements
// alone. The server is PostgreSQL with its usual settings, on the disk that TEST_TMPDIR or /tmp is
// on.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/postgres_store.h"
#include "host_stub/store/postgres/schema.h"
#include "host_stub/store/testing/postgres_server.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using Array = PostgresValues::Array;

const std::string kDetails = R"({"text":")" + std::string(580, 'x') + "\"}";

PostgresServer& Server() {
  static PostgresServer server({}, "/tmp");
  return server;
}

std::atomic<int64_t> next_key{0};

std::string url;  // of the benchmark's database
void MakeDatabase(const benchmark::State&) { url = Server().NewDatabase(); }

// Each thread is a host with a caller of its own, which sends one batch after the other.
void CreateBatches(benchmark::State& state, bool with_keys) {
  auto store = OpenPostgresStore({.url = url});
  if (!store.ok()) return state.SkipWithError(std::string(store.status().message()).c_str());
  for (auto _ : state) {
    std::vector<TestIncident> incidents(static_cast<size_t>(state.range(0)),
                                        {.name = "Disk failing", .details = {kDetails}});
    for (TestIncident& incident : incidents) {
      if (with_keys) incident.key = absl::StrCat("delivery-", next_key++);
    }
    TestBatch batch(std::move(incidents));
    if (!batch.CreateIn(**store).ok() || !batch->status.ok()) {
      return state.SkipWithError("failed");
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void BM_PostgresStore(benchmark::State& state) { CreateBatches(state, false); }
void BM_PostgresStoreWithKeys(benchmark::State& state) { CreateBatches(state, true); }

// The store's statements over its tables, sent by libpq, without all that the store does.
void BM_PostgresAlone(benchmark::State& state) {
  auto connection = PostgresConnection::Open({.url = Server().NewDatabase()});
  if (!connection.ok()) return state.SkipWithError("no connection");
  (*connection)->RunScript("SET search_path = generic_webhook").IgnoreError();
  const int64_t day = IncidentId::DayOf(absl::Now());
  (*connection)
      ->Run("SELECT make_partitions($1, $2)", PostgresValues().Add(day).Add(day + 1))
      .IgnoreError();
  (*connection)->RunScript("INSERT INTO lane VALUES (1, 1, 0, 0, 'x', now())").IgnoreError();
  int64_t id = IncidentId::After(0, 1, absl::Now());
  int64_t batch = 0;
  PostgresValues values;
  for (auto _ : state) {
    values.Clear();
    values.Add(int64_t{1}).BeginArray(Array::kIntegers);
    for (int64_t i = 0; i < state.range(0); ++i) {
      values.Append(id = IncidentId::After(id, 1, absl::Now()));
    }
    for (const int64_t number : {int64_t{1}, int64_t{0}, absl::ToUnixMicros(absl::Now())}) {
      values.BeginArray(Array::kIntegers);
      for (int64_t i = 0; i < state.range(0); ++i) values.Append(number);
    }
    values.BeginArray(Array::kReals);
    for (int64_t i = 0; i < state.range(0); ++i) values.Append(0.0);
    for (const absl::string_view text :
         {absl::string_view("Disk failing"), absl::string_view("Hardware"),
          absl::string_view("2024-05-01T10:00:00Z"), absl::string_view(""),
          absl::string_view(kDetails)}) {
      values.BeginArray(Array::kBytes);
      for (int64_t i = 0; i < state.range(0); ++i) values.Append(text);
    }
    (*connection)->Push("BEGIN");
    (*connection)
        ->Push(
            "UPDATE lane SET head = $1, batch = CASE WHEN batch = $2 THEN batch + 1 END, "
            "expires = now() + interval '15 s' WHERE lane = 1",
            PostgresValues().Add(id).Add(batch++));
    (*connection)
        ->Push(
            "INSERT INTO incident (lane, id, sender, shared, created, severity, name, type, "
            "occurred, warnings, details) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], "
            "$4::bigint[], $5::bigint[], $6::float8[], $7::bytea[], $8::bytea[], $9::bytea[], "
            "$10::bytea[], $11::bytea[])",
            values);
    (*connection)->Push("COMMIT");
    const auto done = (*connection)->Flush();
    if (!done.status.ok()) {
      return state.SkipWithError(std::string(done.status.message()).c_str());
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(BM_PostgresAlone)->Arg(1)->Arg(32)->Arg(256)->UseRealTime();
BENCHMARK(BM_PostgresStore)->Setup(MakeDatabase)->Arg(1)->Arg(32)->Arg(256)->UseRealTime();
BENCHMARK(BM_PostgresStore)->Setup(MakeDatabase)->Arg(32)->Threads(2)->UseRealTime();
BENCHMARK(BM_PostgresStoreWithKeys)->Setup(MakeDatabase)->Arg(1)->Arg(32)->Arg(256)->UseRealTime();
BENCHMARK(BM_PostgresStoreWithKeys)->Setup(MakeDatabase)->Arg(32)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace host_stub

BENCHMARK_MAIN();
