// Durable rows a second, by rows in a commit: the store beside SQLite alone with the same rows in
// the same batches. TEST_TMPDIR names the disk; the default is /tmp.
#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "host_stub/store/memory_store.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

const std::string kDetails = R"({"text":")" + std::string(480, 'x') + "\"}";

// That many callers, each with a batch of one incident: the writer puts them together as they
// come, in two commits mostly (the first caller's, and the others').
void CreateBatches(benchmark::State& state, IncidentStore& store) {
  WaitingSink sink;
  std::vector<std::unique_ptr<TestBatch>> batches;
  for (int64_t i = 0; i < state.range(0); ++i) {
    batches.push_back(std::make_unique<TestBatch>(
        std::vector<TestIncident>{{.name = "Disk failing", .details = {kDetails}}}));
    (*batches.back())->sink = &sink;
  }
  int64_t completions = 0;
  for (auto _ : state) {
    for (const auto& batch : batches) {
      if (!store.Create(batch->get()).ok()) return state.SkipWithError("not taken");
    }
    completions += state.range(0);
    sink.WaitFor(completions);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// One caller, one batch of many incidents: one transaction each.
void CreateOneBatch(benchmark::State& state, IncidentStore& store) {
  TestBatch batch(std::vector<TestIncident>(static_cast<size_t>(state.range(0)),
                                            {.name = "Disk failing", .details = {kDetails}}));
  for (auto _ : state) {
    if (!batch.CreateIn(store).ok() || !batch->status.ok()) return state.SkipWithError("failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void BM_SqliteStoreOneCaller(benchmark::State& state) {
  const TemporaryFolder folder;
  auto store = OpenSqliteStore({folder.path(), "", {}, absl::Now});
  CreateOneBatch(state, **store);
}

void BM_SqliteStoreManyCallers(benchmark::State& state) {
  const TemporaryFolder folder;
  auto store = OpenSqliteStore({folder.path(), "", {}, absl::Now});
  CreateBatches(state, **store);
}

// How long one batch of one incident waits, while (1) or without (0) retention deleting many.
void BM_SqliteStoreWhileDeleting(benchmark::State& state) {
  constexpr int64_t kOld = 400'000;
  const TemporaryFolder folder;
  std::atomic<int64_t> now_us{1'700'000'000'000'000};
  auto store = OpenSqliteStore({.data_dir = folder.path(),
                                .now = [&now_us] { return absl::FromUnixMicros(now_us); },
                                .retention = {.days = 1}});
  for (int64_t i = 0; i < kOld / 4'000; ++i) {
    TestBatch old(std::vector<TestIncident>(4'000, {.details = {kDetails}}));
    if (!old.CreateIn(**store).ok()) return state.SkipWithError("failed");
  }
  now_us += int64_t{25} * 3'600 * 1'000'000;
  (*store)->SetRetention(state.range(0) == 0 ? Retention{} : Retention{.days = 1});
  TestBatch batch(std::vector<TestIncident>{{.name = "Disk failing", .details = {kDetails}}});
  std::vector<double> waits;  // microseconds
  const absl::Time begun = absl::Now();
  for (auto _ : state) {
    const absl::Time begin = absl::Now();
    if (!batch.CreateIn(**store).ok()) return state.SkipWithError("failed");
    waits.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
  }
  const int64_t deleted = (*store)->statistics().deleted_incidents;
  state.counters["deleted_per_s"] =
      static_cast<double>(deleted) / absl::ToDoubleSeconds(absl::Now() - begun);
  state.counters["all_deleted"] = deleted >= kOld;
  std::sort(waits.begin(), waits.end());
  state.counters["p50_us"] = waits[waits.size() / 2];
  state.counters["p99_us"] = waits[waits.size() * 99 / 100];
  state.counters["max_us"] = waits.back();
}

void BM_MemoryStoreManyCallers(benchmark::State& state) {
  auto store = NewMemoryStore({});
  CreateBatches(state, *store);
}

// The same table, on the same thread, without a queue, a duplicate index or a completion.
void BM_SqliteAlone(benchmark::State& state) {
  const TemporaryFolder folder;
  sqlite3* database = nullptr;
  sqlite3_open((folder.path() + "/plain.db").c_str(), &database);
  sqlite3_exec(database,
               "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE incidents (id "
               "INTEGER PRIMARY KEY AUTOINCREMENT, instance INTEGER NOT NULL, created INTEGER NOT "
               "NULL, name TEXT NOT NULL, type TEXT NOT NULL, occurred TEXT NOT NULL, warnings "
               "TEXT NOT NULL, details TEXT NOT NULL)",
               nullptr, nullptr, nullptr);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(database,
                     "INSERT INTO incidents (instance, created, name, type, occurred, warnings, "
                     "details) VALUES (1, ?1, 'Disk failing', 'Hardware', "
                     "'2024-05-01T10:00:00Z', '', ?2)",
                     -1, &insert, nullptr);
  std::vector<double> commits;  // microseconds; a commit on its own, not the inserts
  for (auto _ : state) {
    sqlite3_exec(database, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
    for (int64_t i = 0; i < state.range(0); ++i) {
      sqlite3_bind_int64(insert, 1, 1'700'000'000'000'000 + i);
      sqlite3_bind_text(insert, 2, kDetails.data(), static_cast<int>(kDetails.size()),
                        SQLITE_STATIC);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    const absl::Time begin = absl::Now();
    sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr);
    commits.push_back(absl::ToDoubleMicroseconds(absl::Now() - begin));
  }
  std::sort(commits.begin(), commits.end());
  state.counters["p50_us"] = commits[commits.size() / 2];
  state.counters["p99_us"] = commits[commits.size() * 99 / 100];
  state.SetItemsProcessed(state.iterations() * state.range(0));
  sqlite3_finalize(insert);
  sqlite3_close(database);
}

BENCHMARK(BM_SqliteAlone)->Arg(1)->Arg(32)->Arg(256)->UseRealTime();
BENCHMARK(BM_SqliteStoreOneCaller)->Arg(1)->Arg(32)->Arg(256)->UseRealTime();
BENCHMARK(BM_SqliteStoreManyCallers)->Arg(1)->Arg(32)->Arg(256)->UseRealTime();
BENCHMARK(BM_SqliteStoreWhileDeleting)->Arg(0)->Arg(1)->Iterations(5'000)->UseRealTime();
BENCHMARK(BM_MemoryStoreManyCallers)->Arg(1)->Arg(256)->UseRealTime();

}  // namespace
}  // namespace host_stub

BENCHMARK_MAIN();
