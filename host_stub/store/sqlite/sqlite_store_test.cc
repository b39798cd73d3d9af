// What is the durable store's own: files, schema, restarts, kills, the queue.
#include "host_stub/store/sqlite/sqlite_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<IncidentStore>> Open(const std::string& folder,
                                                    webhook::Limits limits = {}) {
  return OpenSqliteStore({folder, "", limits, absl::Now});
}

void RunSql(const std::string& folder, const char* sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder + "/incidents.db").c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
}

mode_t ModeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

class SqliteStoreTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(SqliteStoreTest, SecondOpenerIsRefusedWithTheHoldersProcess) {
  auto first = Open(folder_.path());
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = Open(folder_.path()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second));
  EXPECT_THAT(std::string(second.message()), HasSubstr(folder_.path()));
  EXPECT_THAT(std::string(second.message()), HasSubstr(absl::StrCat("process ", getpid())));
  first->reset();
  EXPECT_TRUE(Open(folder_.path()).ok());
}

TEST_F(SqliteStoreTest, FolderThatOthersMayWriteIsRefused) {
  ASSERT_EQ(chmod(folder_.path().c_str(), 0770), 0);
  const absl::Status status = Open(folder_.path()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("other users may write to it (mode 0770); run chmod 700 ",
                                     folder_.path())));
}

TEST_F(SqliteStoreTest, FolderWhosePlaceOthersMayTakeIsRefused) {
  const std::string parent = folder_.path() + "/parent";
  ASSERT_EQ(mkdir(parent.c_str(), 0700), 0);
  ASSERT_EQ(chmod(parent.c_str(), 0777), 0);
  const std::string link = folder_.path() + "/link";
  ASSERT_EQ(symlink(parent.c_str(), link.c_str()), 0);
  for (const std::string& folder : {parent + "/data", link + "/data"}) {
    const absl::Status status = Open(folder).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << folder;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("/parent can be written by everybody (mode 0777)"),
                      HasSubstr("chmod go-w ")));
  }
  ASSERT_EQ(chmod(parent.c_str(), 01777), 0);  // as /tmp
  EXPECT_TRUE(Open(link + "/data").ok());
}

TEST_F(SqliteStoreTest, FileInTheFoldersPlaceIsRefused) {
  const std::string file = folder_.path() + "/file";
  close(open(file.c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_TRUE(absl::IsFailedPrecondition(Open(file).status()));
}

TEST_F(SqliteStoreTest, FolderWithoutParentIsRefused) {
  const absl::Status status = Open(folder_.path() + "/no/such").status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("/no/such"));
}

TEST_F(SqliteStoreTest, FilesAreTheOwnersAloneWhateverTheUmask) {
  const mode_t before = umask(0);
  const std::string made = folder_.path() + "/data";
  auto store = Open(made);
  umask(before);
  ASSERT_TRUE(store.ok()) << store.status();
  TestBatch batch({Plain()});
  ASSERT_TRUE(batch.CreateIn(**store).ok());
  EXPECT_EQ(ModeOf(made), 0700u);
  for (const char* file : {"/incidents.db", "/incidents.db-wal", "/incidents.db-shm", "/lock"}) {
    EXPECT_EQ(ModeOf(made + file), 0600u) << file;
  }
}

TEST_F(SqliteStoreTest, IncidentsKeysAndNamesSurviveAReopening) {
  {
    auto store = Open(folder_.path());
    TestBatch batch({{.name = "a", .key = "k", .warnings = {"w"}}, Plain()}, "delivery");
    ASSERT_TRUE(batch.CreateIn(**store).ok());
  }
  auto store = Open(folder_.path());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->last_id(), 2);
  EXPECT_EQ((*store)->Get(1)->name, "a");
  EXPECT_THAT((*store)->Get(1)->warnings, ElementsAre("w"));
  TestBatch again({Plain(), Plain()}, "delivery");
  ASSERT_TRUE(again.CreateIn(**store).ok());
  EXPECT_THAT(again.ids(), ElementsAre(1, 2));
  TestBatch more({{.key = "k"}, Plain()});
  ASSERT_TRUE(more.CreateIn(**store).ok());
  EXPECT_THAT(more.ids(), ElementsAre(1, 3));
  EXPECT_THAT(more.duplicates(), ElementsAre(true, false));
}

// Details from 1 MiB on are written slice by slice.
TEST_F(SqliteStoreTest, GreatDetailsAreKeptByteForByte) {
  constexpr size_t kLimit = 1 << 20;
  for (const size_t size : {kLimit - 1, kLimit, kLimit + 1, 5 * kLimit}) {
    TestIncident great;
    great.details = {R"({"a":")", std::string(size - 8, 'x'), R"("})"};
    const std::string whole = great.details[0] + great.details[1] + great.details[2];
    ASSERT_EQ(whole.size(), size);
    auto store = Open(folder_.path());
    TestBatch batch({Plain(), great, Plain()});
    ASSERT_TRUE(batch.CreateIn(**store).ok());
    ASSERT_EQ(batch->outcome, CreationOutcome::kCreated) << batch->status;
    store = absl::UnknownError("closed");
    store = Open(folder_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE((*store)->Get(batch.ids()[1])->details == whole);
    EXPECT_EQ((*store)->Get(batch.ids()[2])->details, R"({"a":1})");
  }
}

int64_t KeysInTheTable(const std::string& folder) {
  sqlite3* database = nullptr;
  EXPECT_EQ(sqlite3_open((folder + "/incidents.db").c_str(), &database), SQLITE_OK);
  int64_t rows = -1;
  const auto keep = [](void* rows, int, char** values, char**) {
    *static_cast<int64_t*>(rows) = std::stoll(values[0]);
    return 0;
  };
  sqlite3_exec(database, "SELECT count(*) FROM delivery_keys", keep, &rows, nullptr);
  sqlite3_close(database);
  return rows;
}

std::unique_ptr<TestBatch> WithKeys(size_t count, int round) {
  std::vector<TestIncident> incidents(count);
  for (size_t i = 0; i < count; ++i) incidents[i].key = absl::StrCat(round, ".", i);
  return std::make_unique<TestBatch>(std::move(incidents));
}

TEST_F(SqliteStoreTest, ForgottenKeysLeaveTheTable) {
  webhook::Limits limits;
  limits.remembered_delivery_keys = 10;
  {
    auto store = Open(folder_.path(), limits);
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(WithKeys(1000, round)->CreateIn(**store).ok());
    }
  }
  const int64_t rows = KeysInTheTable(folder_.path());
  EXPECT_LE(rows, 2000);  // at least one step of 1,000 was deleted, when the queue was empty
  EXPECT_GE(rows, 10);
}

TEST_F(SqliteStoreTest, ForgottenKeysStayBoundedWhileTheQueueIsNeverEmpty) {
  webhook::Limits limits;
  limits.remembered_delivery_keys = 10;
  constexpr int kBatches = 22;
  {
    auto store = Open(folder_.path(), limits);
    WaitingSink sink;
    std::vector<std::unique_ptr<TestBatch>> batches;
    for (int round = 0; round < kBatches; ++round) {
      batches.push_back(WithKeys(6000, round));
      (*batches.back())->sink = &sink;
      ASSERT_TRUE((*store)->Create(batches.back()->get()).ok());
    }
    sink.WaitFor(kBatches);
  }
  EXPECT_LE(KeysInTheTable(folder_.path()), 112'000);  // of 132,000
}

TEST_F(SqliteStoreTest, FullQueueIsRefusedAndTheRestIsOneHandOver) {
  webhook::Limits limits;
  limits.queued_batches = 3;
  auto store = Open(folder_.path(), limits);
  WaitingSink sink;
  sink.Hold();
  TestBatch first({Plain()}), a({Plain()}), b({Plain()}), c({Plain()}), full({Plain()});
  first->sink = a->sink = b->sink = c->sink = full->sink = &sink;
  ASSERT_TRUE((*store)->Create(first.get()).ok());
  sink.WaitUntilHeld();
  for (TestBatch* batch : {&a, &b, &c}) ASSERT_TRUE((*store)->Create(batch->get()).ok());
  const absl::Status status = (*store)->Create(full.get());
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("3 batches wait"));
  sink.Release();
  sink.WaitFor(4);
  EXPECT_THAT(sink.lists(), ElementsAre(1, 3));
  EXPECT_THAT(sink.completed(), ElementsAre(first.get(), a.get(), b.get(), c.get()));
  EXPECT_TRUE(full.CreateIn(**store).ok());
}

TEST_F(SqliteStoreTest, QueueFullOfBytesIsRefused) {
  webhook::Limits limits;
  limits.queued_bytes = 1 << 20;
  auto store = Open(folder_.path(), limits);
  TestBatch great({{.details = {std::string(1 << 20, 'x')}}});
  EXPECT_TRUE(absl::IsUnavailable(great.CreateIn(**store)));
  TestBatch small({{.details = {std::string(1 << 19, 'x')}}});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(small.CreateIn(**store).ok());
}

TEST_F(SqliteStoreTest, ClosingCompletesWhatWaits) {
  auto store = Open(folder_.path());
  WaitingSink sink;
  std::vector<std::unique_ptr<TestBatch>> batches;
  for (int i = 0; i < 100; ++i) {
    batches.push_back(std::make_unique<TestBatch>(std::vector<TestIncident>(3)));
    (*batches.back())->sink = &sink;
    ASSERT_TRUE((*store)->Create(batches.back()->get()).ok());
  }
  (*store)->Close();
  EXPECT_EQ(sink.completed().size(), 100u);
  for (const auto& batch : batches) EXPECT_EQ((*batch)->outcome, CreationOutcome::kCreated);
}

TEST_F(SqliteStoreTest, OneCallersBadBatchDoesNotFailTheOthers) {
  ASSERT_TRUE(Open(folder_.path()).ok());
  RunSql(folder_.path(),
         "CREATE TRIGGER refuse BEFORE INSERT ON incidents WHEN NEW.name = 'bad' "
         "BEGIN SELECT RAISE(ABORT, 'bad'); END");
  auto store = Open(folder_.path());
  WaitingSink sink;
  sink.Hold();
  TestBatch first({Plain()}), good({{.key = "g"}});
  TestBatch bad({{.key = "b"}, {.name = "bad"}}, "batch"), other({{.key = "b"}}, "batch");
  first->sink = good->sink = bad->sink = other->sink = &sink;
  ASSERT_TRUE((*store)->Create(first.get()).ok());
  sink.WaitUntilHeld();
  for (TestBatch* batch : {&good, &bad, &other}) ASSERT_TRUE((*store)->Create(batch->get()).ok());
  sink.Release();
  sink.WaitFor(4);
  EXPECT_EQ(bad->outcome, CreationOutcome::kNotCreated);
  EXPECT_TRUE(absl::IsInternal(bad->status)) << bad->status;
  EXPECT_TRUE(bad->created.empty());
  EXPECT_THAT(good.ids(), ElementsAre(2));
  EXPECT_THAT(other.ids(), ElementsAre(3));  // what failed left no row and no key
  EXPECT_THAT(other.duplicates(), ElementsAre(false));
  EXPECT_TRUE((*store)->health().ok());
}

TEST_F(SqliteStoreTest, LockedDatabaseCreatesNothingAndServiceResumes) {
  auto store = Open(folder_.path());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((folder_.path() + "/incidents.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  TestBatch locked({{.key = "k"}});
  ASSERT_TRUE(locked.CreateIn(**store).ok());
  EXPECT_EQ(locked->outcome, CreationOutcome::kNotCreated);
  EXPECT_TRUE(absl::IsUnavailable(locked->status));
  EXPECT_GT(locked->retry_after_seconds, 0);
  EXPECT_TRUE(absl::IsUnavailable((*store)->health()));
  ASSERT_EQ(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  TestBatch again({{.key = "k"}});
  ASSERT_TRUE(again.CreateIn(**store).ok());
  EXPECT_THAT(again.duplicates(), ElementsAre(false));
  EXPECT_TRUE((*store)->health().ok());
}

// A small body and large headers: 60 KB and a thousand incidents made 60 MB.
TEST_F(SqliteStoreTest, HeadersAndQueryOfABatchAreStoredOnce) {
  auto store = Open(folder_.path());
  const std::string headers = ",\"headers\":{\"x\":\"" + std::string(60'000, 'h') + "\"}}";
  const absl::string_view details[] = {"{\"n\":1", headers};
  const std::vector<NewIncident> incidents(
      1'000, {.name = "n", .occurred = "2024-05-01T10:00:00Z", .details = details});
  const std::string query(4096, 'q');
  TestBatch batch({Plain()});
  batch->incidents = incidents;
  batch->request_query = query;
  ASSERT_TRUE(batch.CreateIn(**store).ok());
  EXPECT_EQ((*store)->Get(1'000)->request_query, query);
  EXPECT_EQ((*store)->Get(1'000)->details, "{\"n\":1" + headers);
  struct stat info {};
  ASSERT_EQ(stat((folder_.path() + "/incidents.db-wal").c_str(), &info), 0);
  EXPECT_LT(info.st_size, 1 << 20);
}

TEST_F(SqliteStoreTest, WalIsCopiedAndStaysSmall) {
  auto store = Open(folder_.path());
  int64_t created = 0;
  const std::vector<TestIncident> incidents(100, {.details = {std::string(8 << 10, 'x')}});
  for (; created < 100 * 160; created += 100) {  // 128 MB
    TestBatch batch(incidents);
    ASSERT_TRUE(batch.CreateIn(**store).ok());
  }
  struct stat info {};
  ASSERT_EQ(stat((folder_.path() + "/incidents.db-wal").c_str(), &info), 0);
  EXPECT_LT(info.st_size, 100 << 20);
}

// The thread that copies and the writer must not keep each other from finishing.
TEST_F(SqliteStoreTest, WalStaysSmallWhereEveryCommitIsLargerThanWhatIsCopiedAtATime) {
  auto store = OpenSqliteStore({.data_dir = folder_.path(), .wal_pages_between_copies = 256});
  ASSERT_TRUE(store.ok()) << store.status();
  const std::vector<TestIncident> incidents(20, {.details = {std::string(8 << 10, 'x')}});
  int64_t most_bytes = 0;
  for (int i = 0; i < 400; ++i) {  // 64 MB
    TestBatch batch(incidents);
    ASSERT_TRUE(batch.CreateIn(**store).ok());
    struct stat info {};
    ASSERT_EQ(stat((folder_.path() + "/incidents.db-wal").c_str(), &info), 0);
    most_bytes = std::max<int64_t>(most_bytes, info.st_size);
  }
  EXPECT_LT(most_bytes, 20 << 20);
}

int64_t SizeOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_size;
}

// Writes some 10 MB that are too old, and waits until they are deleted.
void FillAndDelete(Store& store, int64_t incidents, std::atomic<int64_t>& now_us) {
  TestBatch batch(std::vector<TestIncident>(static_cast<size_t>(incidents),
                                            {.details = {std::string(10'000, 'x')}}));
  ASSERT_TRUE(batch.CreateIn(store).ok());
  now_us += int64_t{25} * 3'600 * 1'000'000;
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  const auto is_done = [&] {  // what is deleted is counted when it is committed
    return store.List({})->incidents.empty() && store.statistics().deleted_incidents >= incidents;
  };
  while (!is_done() && absl::Now() < give_up) continue;
  ASSERT_GE(store.statistics().deleted_incidents, incidents);
}

TEST_F(SqliteStoreTest, SpaceOfDeletedIncidentsIsGivenBack) {
  std::atomic<int64_t> now_us{1'700'000'000'000'000};
  const auto options = SqliteStoreOptions{.data_dir = folder_.path(),
                                          .now = [&now_us] { return absl::FromUnixMicros(now_us); },
                                          .retention = {.days = 1},
                                          .wal_pages_between_copies = 64,
                                          .retention_pause = absl::Milliseconds(1)};
  const std::string database = folder_.path() + "/incidents.db";
  int64_t largest = 0;
  {
    auto store = OpenSqliteStore(options);
    ASSERT_TRUE(store.ok()) << store.status();
    FillAndDelete(**store, 1'000, now_us);
    largest = SizeOf(database);
    EXPECT_GT(largest, 5 << 20);
    // The writer goes on until it has given back what it should.
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    TestBatch small({Plain()});
    while (SizeOf(database) > 1 << 20 && absl::Now() < give_up) {
      ASSERT_TRUE(small.CreateIn(**store).ok());
    }
    EXPECT_LT(SizeOf(database), 1 << 20);
    EXPECT_EQ((*store)->warning(), "");
  }
  auto store = OpenSqliteStore(options);
  ASSERT_TRUE(store.ok()) << store.status();
  TestBatch next({Plain()});
  ASSERT_TRUE(next.CreateIn(**store).ok());
  EXPECT_GT(next.ids()[0], 1'001);
}

// What incidents of a batch share can hold headers of a person: it goes with the last of them.
TEST_F(SqliteStoreTest, NothingOfADeletedIncidentIsLeftInItsTables) {
  std::atomic<int64_t> now_us{1'700'000'000'000'000};
  auto store = OpenSqliteStore({.data_dir = folder_.path(),
                                .now = [&now_us] { return absl::FromUnixMicros(now_us); },
                                .retention = {.days = 1},
                                .retention_pause = absl::Milliseconds(1)});
  ASSERT_TRUE(store.ok()) << store.status();
  const std::string end(10'000, 'h');
  const std::vector<absl::string_view> details = {"{", end};
  const std::vector<NewIncident> incidents(2, {.name = "n", .details = details});
  TestBatch shared({Plain()});
  shared->incidents = incidents;
  ASSERT_TRUE(shared.CreateIn(**store).ok());
  FillAndDelete(**store, 2, now_us);
  const auto ends = [&] {
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open((folder_.path() + "/incidents.db").c_str(), &database), SQLITE_OK);
    int64_t count = -1;
    sqlite3_exec(
        database, "SELECT count(*) FROM details_ends",
        [](void* into, int, char** columns, char**) {
          *static_cast<int64_t*>(into) = std::stoll(columns[0]);
          return 0;
        },
        &count, nullptr);
    sqlite3_close(database);
    return count;
  };
  const absl::Time give_up = absl::Now() + absl::Seconds(60);
  while (ends() != 0 && absl::Now() < give_up) continue;
  EXPECT_EQ(ends(), 0);
}

TEST_F(SqliteStoreTest, DatabaseThatCannotGiveSpaceBackSaysWhatItNeeds) {
  ASSERT_TRUE(Open(folder_.path()).ok());  // made without retention
  std::atomic<int64_t> now_us{1'700'000'000'000'000};
  const auto options = SqliteStoreOptions{.data_dir = folder_.path(),
                                          .now = [&now_us] { return absl::FromUnixMicros(now_us); },
                                          .retention = {.days = 1},
                                          .retention_pause = absl::Milliseconds(1)};
  std::string warning;
  {
    auto store = OpenSqliteStore(options);
    ASSERT_TRUE(store.ok()) << store.status();
    FillAndDelete(**store, 1'000, now_us);
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while ((*store)->warning().empty() && absl::Now() < give_up) {
      ASSERT_TRUE((*store)->ListInstances().ok());
    }
    warning = (*store)->warning();
  }
  const std::string database = folder_.path() + "/incidents.db";
  EXPECT_THAT(warning, HasSubstr("sqlite3 " + database + " 'PRAGMA auto_vacuum"));
  EXPECT_GT(SizeOf(database), 5 << 20);
  // What the warning says does help.
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(database.c_str(), &handle), SQLITE_OK);
  const std::string sql = warning.substr(warning.find('\'') + 1);
  ASSERT_EQ(sqlite3_exec(handle, sql.substr(0, sql.find('\'')).c_str(), nullptr, nullptr, nullptr),
            SQLITE_OK);
  ASSERT_EQ(sqlite3_close(handle), SQLITE_OK);
  EXPECT_LT(SizeOf(database), 1 << 20);
  auto store = OpenSqliteStore(options);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->last_id(), 1'000);
  FillAndDelete(**store, 1'000, now_us);
  (*store)->Close();
  EXPECT_EQ((*store)->warning(), "");
}

TEST_F(SqliteStoreTest, WhatADuplicateOfADeletedIncidentIsToldOutlivesARestart) {
  std::atomic<int64_t> now_us{1'700'000'000'000'000};
  const auto options = SqliteStoreOptions{.data_dir = folder_.path(),
                                          .now = [&now_us] { return absl::FromUnixMicros(now_us); },
                                          .retention = {.days = 1},
                                          .retention_pause = absl::Milliseconds(1)};
  {
    auto store = OpenSqliteStore(options);
    ASSERT_TRUE(store.ok()) << store.status();
    TestBatch first(std::vector<TestIncident>{{.name = "kept", .key = "k"}});
    ASSERT_TRUE(first.CreateIn(**store).ok());
    FillAndDelete(**store, 999, now_us);
  }
  auto store = OpenSqliteStore(options);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->last_id(), 1'000);
  TestBatch again(std::vector<TestIncident>{{.name = "x", .key = "k"}});
  ASSERT_TRUE(again.CreateIn(**store).ok());
  EXPECT_THAT(again.ids(), ElementsAre(1));
  EXPECT_EQ(again->created[0].first->name, "kept");
  EXPECT_EQ(again->created[0].created, absl::FromUnixMicros(1'700'000'000'000'000));
}

TEST_F(SqliteStoreTest, RareInstanceIsFoundPageByPage) {
  auto store = Open(folder_.path());
  TestBatch rare({Plain()}, "", "rare");
  ASSERT_TRUE(rare.CreateIn(**store).ok());
  TestBatch many(std::vector<TestIncident>(20'001));
  ASSERT_TRUE(many.CreateIn(**store).ok());
  const IncidentFilter filter = {.instance_uid = "rare"};
  auto page = (*store)->List({.newest_first = true, .filter = filter});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_TRUE(page->incidents.empty());
  ASSERT_TRUE(page->more);
  page = (*store)->List({.newest_first = true, .before_id = page->resume_id, .filter = filter});
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->incidents.size(), 1u);
  EXPECT_EQ(page->incidents[0].id, 1);
  EXPECT_FALSE(page->more);
}

// A record is written whole or not at all: it is smaller than PIPE_BUF.
struct Acknowledged {
  int64_t id;
  int64_t number;  // what the incident tells of itself
};

std::string DetailsOf(int64_t number) {
  return absl::StrCat(R"({"number":)", number, R"(,"fill":")",
                      std::string(static_cast<size_t>(number % 3000), 'f'), "\"}");
}

// Creates incidents until it is killed, and tells of each that was acknowledged.
[[noreturn]] void CreateUntilKilled(const std::string& folder, int64_t number, int pipe) {
  auto store = Open(folder);
  if (!store.ok()) _exit(2);
  for (;;) {
    std::vector<TestIncident> incidents(3);
    for (size_t i = 0; i < incidents.size(); ++i) {
      incidents[i].details = {DetailsOf(number + static_cast<int64_t>(i))};
    }
    TestBatch batch(incidents, absl::StrCat("delivery-", number));
    if (!batch.CreateIn(**store).ok() || !batch->status.ok()) _exit(3);
    for (const int64_t id : batch.ids()) {
      const Acknowledged record{id, number++};
      if (write(pipe, &record, sizeof(record)) != sizeof(record)) _exit(4);
    }
  }
}

std::vector<Acknowledged> KillAWriter(const std::string& folder, int64_t number, int after) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    CreateUntilKilled(folder, number, ends[1]);
  }
  close(ends[1]);
  std::vector<Acknowledged> acknowledged;
  Acknowledged record{};
  while (read(ends[0], &record, sizeof(record)) == sizeof(record)) {
    acknowledged.push_back(record);
    if (static_cast<int>(acknowledged.size()) == after) kill(child, SIGKILL);
  }
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  return acknowledged;
}

TEST_F(SqliteStoreTest, EveryAcknowledgedIncidentSurvivesSigkill) {
  std::map<int64_t, int64_t> numbers;  // by id
  for (int round = 0; round < 6; ++round) {
    const int64_t first = round * 1'000'000;
    const std::vector<Acknowledged> acknowledged =
        KillAWriter(folder_.path(), first, 50 + 37 * round);
    ASSERT_GE(acknowledged.size(), 50u);
    for (const auto& [id, number] : acknowledged) {
      EXPECT_TRUE(numbers.emplace(id, number).second) << "id " << id << " was given twice";
    }
    auto store = Open(folder_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    for (const auto& [id, number] : numbers) {
      const auto incident = (*store)->Get(id);
      ASSERT_TRUE(incident.ok()) << incident.status();
      ASSERT_EQ(incident->details, DetailsOf(number));
    }
    // Sent again, the first batch of the round gets its ids.
    TestBatch again(std::vector<TestIncident>(3), absl::StrCat("delivery-", first));
    ASSERT_TRUE(again.CreateIn(**store).ok());
    EXPECT_THAT(again.ids(),
                ElementsAre(acknowledged[0].id, acknowledged[1].id, acknowledged[2].id));
  }
}

}  // namespace
}  // namespace host_stub
