// What both stores keep of an instance: its context, its configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "host_stub/store/memory_store.h"
#include "host_stub/store/postgres/postgres_store.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "host_stub/store/store.h"
#include "host_stub/store/testing/fault_vfs.h"
#include "host_stub/store/testing/postgres_server.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

StoredInstance Named(const std::string& name, const std::string& uid) {
  StoredInstance instance;
  instance.uid = uid;
  instance.name = name;
  instance.configuration = R"({"parameters":{"password":"secret"}})";
  instance.on_engine = true;
  instance.generation = 3;
  instance.request_id = "request";
  instance.created = absl::FromUnixSeconds(1'700'000'000);
  instance.changed = absl::FromUnixMicros(1'700'000'001'000'002);
  return instance;
}

// Waits for a call of one of the asynchronous functions.
class Awaited {
 public:
  ContextDone Done() {
    return [this](absl::StatusOr<std::string> value) {
      EXPECT_FALSE(done_.try_wait());
      value_ = std::move(value);
      done_.count_down();
    };
  }
  absl::StatusOr<std::string> Await() {
    done_.wait();
    return value_;
  }

 private:
  absl::StatusOr<std::string> value_ = absl::UnknownError("not called");
  std::latch done_{1};
};

absl::StatusOr<std::string> Get(Store& store, const std::string& uid, const std::string& key) {
  Awaited awaited;
  const absl::Status status = store.GetContext(uid, key, awaited.Done());
  return status.ok() ? awaited.Await() : status;
}

absl::Status Set(Store& store, const std::string& uid, const std::string& key,
                 const std::string& value) {
  Awaited awaited;
  const absl::Status status = store.SetContext(uid, key, value, awaited.Done());
  return status.ok() ? awaited.Await().status() : status;
}

constexpr char kMemory[] = "memory";
constexpr char kSqlite[] = "sqlite";
constexpr char kPostgres[] = "postgresql";

class StateStoreTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Store> Open(webhook::Limits limits = {}) {
    if (GetParam() == kMemory) return NewMemoryStore({.limits = limits});
    if (GetParam() == kPostgres) {
      if (url_.empty()) url_ = PostgresServer::Shared().NewDatabase();
      auto store = OpenPostgresStore({.url = url_, .limits = limits});
      EXPECT_TRUE(store.ok()) << store.status();
      return *std::move(store);
    }
    auto store = OpenSqliteStore({folder_.path(), "", limits, absl::Now});
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  TemporaryFolder folder_;
  std::string url_;
};

INSTANTIATE_TEST_SUITE_P(Stores, StateStoreTest, ::testing::Values(kMemory, kSqlite, kPostgres),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(StateStoreTest, KeyThatIsNoneIsRefused) {
  auto store = Open();
  for (const std::string& key :
       {std::string(), std::string("a b"), std::string("a/b"), std::string(65, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Get(*store, "uid", key).status())) << key;
    EXPECT_TRUE(absl::IsInvalidArgument(Set(*store, "uid", key, "v"))) << key;
  }
}

TEST_P(StateStoreTest, ValuePastItsLimitIsRefusedAndTheOldOneStays) {
  webhook::Limits limits;
  limits.context_value_bytes = 10;
  auto store = Open(limits);
  ASSERT_TRUE(Set(*store, "uid", "key", "0123456789").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Set(*store, "uid", "key", "0123456789+")));
  EXPECT_EQ(*Get(*store, "uid", "key"), "0123456789");
}

TEST_P(StateStoreTest, ClosedStoreIsUnavailable) {
  auto store = Open();
  store->Close();
  EXPECT_TRUE(absl::IsUnavailable(Get(*store, "uid", "key").status()));
  EXPECT_TRUE(absl::IsUnavailable(Set(*store, "uid", "key", "v")));
}

TEST_P(StateStoreTest, NothingSetIsNotFound) {
  auto store = Open();
  ASSERT_TRUE(Set(*store, "uid", "key", "v").ok());
  EXPECT_TRUE(absl::IsNotFound(Get(*store, "uid", "other").status()));
  EXPECT_TRUE(absl::IsNotFound(Get(*store, "other", "key").status()));
}

TEST_P(StateStoreTest, ValueOfAnyBytesComesBack) {
  auto store = Open();
  const std::string value = std::string("a\0\xff\n", 4) + std::string(8'000'000, 'x');
  ASSERT_TRUE(Set(*store, "uid", "key", "first").ok());
  ASSERT_TRUE(Set(*store, "uid", "key", value).ok());
  EXPECT_EQ(*Get(*store, "uid", "key"), value);
  ASSERT_TRUE(Set(*store, "uid", "key", "").ok());
  EXPECT_EQ(*Get(*store, "uid", "key"), "");
}

TEST_P(StateStoreTest, NameOfAnotherInstanceIsRefused) {
  auto store = Open();
  ASSERT_TRUE(store->SaveInstance(Named("a", "1")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store->SaveInstance(Named("a", "2"))));
  EXPECT_EQ(store->ListInstances()->size(), 1u);
}

// The other host has opened the same database.
TEST(SharedStateStore, ChangeForAnEarlierVersionIsAbortedWithItsAudit) {
  const std::string url = PostgresServer::Shared().NewDatabase();
  const auto one = OpenPostgresStore({.url = url});
  const auto other = OpenPostgresStore({.url = url});
  ASSERT_TRUE(one.ok() && other.ok());
  int64_t version = 0;
  ASSERT_TRUE((*one)->ListInstances(&version).ok());
  ASSERT_GT(version, 0);
  ASSERT_TRUE((*other)->SaveInstance(Named("a", "1"), nullptr, version).ok());
  EXPECT_EQ(*(*one)->InstancesVersion(), version + 1);
  AuditEntry audit;
  audit.what = "create";
  EXPECT_TRUE(absl::IsAborted((*one)->SaveInstance(Named("b", "2"), &audit, version)));
  EXPECT_TRUE(absl::IsAborted((*one)->DeleteInstance("1", &audit, version)));
  EXPECT_EQ((*one)->ListInstances()->size(), 1u);
  EXPECT_EQ((*one)->ListAudit(0, 10)->size(), 0u);
  EXPECT_TRUE((*one)->DeleteInstance("1", &audit, version + 1).ok());
  EXPECT_EQ(*(*other)->InstancesVersion(), version + 2);
  EXPECT_EQ((*other)->ListInstances(&version)->size(), 0u);
  EXPECT_EQ((*one)->statistics().failed_commits, 0);
}

TEST_P(StateStoreTest, InstancesAreListedByNameAndDeletedWithTheirContext) {
  auto store = Open();
  ASSERT_TRUE(store->SaveInstance(Named("b", "1")).ok());
  ASSERT_TRUE(store->SaveInstance(Named("a", "2")).ok());
  StoredInstance changed = Named("b", "1");
  changed.disabled = true;
  changed.generation = 4;
  ASSERT_TRUE(store->SaveInstance(changed).ok());
  ASSERT_TRUE(Set(*store, "1", "key", "v").ok());
  const auto list = store->ListInstances();
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].name, "a");
  const StoredInstance& b = (*list)[1];
  EXPECT_EQ(b.uid, "1");
  EXPECT_EQ(b.configuration, changed.configuration);
  EXPECT_TRUE(b.disabled);
  EXPECT_TRUE(b.on_engine);
  EXPECT_EQ(b.generation, 4);
  EXPECT_EQ(b.request_id, "request");
  EXPECT_EQ(b.created, changed.created);
  EXPECT_EQ(b.changed, changed.changed);
  ASSERT_TRUE(store->DeleteInstance("1").ok());
  EXPECT_TRUE(store->DeleteInstance("1").ok());
  EXPECT_EQ(store->ListInstances()->size(), 1u);
  EXPECT_TRUE(absl::IsNotFound(Get(*store, "1", "key").status()));
}

// The threads take over each other's work all the time. Memory has no disk to wait
// for, so it plays many rounds: work that overtook other work did so once in hundreds of them.
TEST_P(StateStoreTest, ManyThreadsAreEachToldOnceAndReadTheirOwnWrites) {
  auto store = Open();
  const int rounds = GetParam() == kMemory ? 5000 : 25;
  std::atomic<int> told{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string uid = std::to_string(t);
      for (int i = 0; i < rounds; ++i) {
        for (int k = 0; k < 4; ++k) {
          ASSERT_TRUE(store
                          ->SetContext(uid, "key", std::to_string(i * 4 + k),
                                       [&](absl::StatusOr<std::string> value) {
                                         EXPECT_TRUE(value.ok());
                                         ++told;
                                       })
                          .ok());
        }
        EXPECT_EQ(*Get(*store, uid, "key"), std::to_string(i * 4 + 3));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  store->Close();
  EXPECT_EQ(told, 16 * rounds);
}

class SqliteStateTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> Open(const std::string& vfs = "", webhook::Limits limits = {}) {
    auto store = OpenSqliteStore({folder_.path(), vfs, limits, absl::Now});
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  TemporaryFolder folder_;
};

TEST_F(SqliteStateTest, FullQueueIsUnavailableAndNothingIsTold) {
  webhook::Limits limits;
  limits.queued_context_calls = 2;
  limits.queued_context_bytes = 10;
  auto store = Open("", limits);
  WaitingSink sink;
  TestBatch batch({Plain()});
  batch->sink = &sink;
  sink.Hold();
  ASSERT_TRUE(store->Create(batch.get()).ok());
  sink.WaitUntilHeld();  // and the writer with it
  Awaited first, second, never;
  EXPECT_TRUE(absl::IsUnavailable(store->SetContext("u", "k", "12345678901", never.Done())));
  ASSERT_TRUE(store->SetContext("u", "k", "one", first.Done()).ok());
  ASSERT_TRUE(store->SetContext("u", "k", "two", second.Done()).ok());
  EXPECT_TRUE(absl::IsUnavailable(store->GetContext("u", "k", never.Done())));
  sink.Release();
  // One row was written; both are told of it.
  EXPECT_EQ(*first.Await(), "two");
  EXPECT_EQ(*second.Await(), "two");
  EXPECT_EQ(*Get(*store, "u", "k"), "two");
}

AuditEntry Audited(const std::string& what) {
  AuditEntry entry;
  entry.time = absl::FromUnixMicros(1'700'000'001'000'002);
  entry.who = "CN=somebody";
  entry.what = what;
  entry.instance = "a";
  entry.outcome = "OK";
  entry.parameters = {"password", "username"};
  return entry;
}

std::vector<int64_t> NumbersOf(const absl::StatusOr<std::vector<AuditEntry>>& entries) {
  EXPECT_TRUE(entries.ok()) << entries.status();
  std::vector<int64_t> numbers;
  for (const AuditEntry& entry : *entries) numbers.push_back(entry.number);
  return numbers;
}

TEST_P(StateStoreTest, AChangeAndItsAuditAreThereBothOrNeither) {
  const auto store = Open();
  const AuditEntry create = Audited("create");
  const AuditEntry remove = Audited("delete");
  ASSERT_TRUE(store->SaveInstance(Named("a", "1"), &create).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store->SaveInstance(Named("a", "2"), &create)));
  ASSERT_TRUE(store->DeleteInstance("1", &remove).ok());
  const auto entries = store->ListAudit(0, 10);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[0].what, "delete");
  const AuditEntry& first = (*entries)[1];
  EXPECT_EQ(first.number, 1);
  EXPECT_EQ(first.time, create.time);
  EXPECT_EQ(first.who, create.who);
  EXPECT_EQ(first.what, create.what);
  EXPECT_EQ(first.instance, create.instance);
  EXPECT_EQ(first.outcome, create.outcome);
  EXPECT_EQ(first.parameters, create.parameters);
}

TEST_P(StateStoreTest, TheNewestEntriesOfTheAuditAreKeptAndListedFirst) {
  const auto store = Open({.audit_entries = 3});
  EXPECT_THAT(NumbersOf(store->ListAudit(0, 10)), ElementsAre());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(store->AddAudit(Audited("update")).ok());
  EXPECT_THAT(NumbersOf(store->ListAudit(0, 10)), ElementsAre(5, 4, 3));
  EXPECT_THAT(NumbersOf(store->ListAudit(0, 2)), ElementsAre(5, 4));
  EXPECT_THAT(NumbersOf(store->ListAudit(4, 10)), ElementsAre(3));
  EXPECT_THAT(NumbersOf(store->ListAudit(3, 10)), ElementsAre());
}

TEST_F(SqliteStateTest, FullDiskRefusesAndServiceResumes) {
  FaultVfs disk("state-fault");
  auto store = Open(disk.name());
  ASSERT_TRUE(Set(*store, "u", "k", "before").ok());
  ASSERT_TRUE(store->SaveInstance(Named("a", "1")).ok());
  disk.FailWrites(SQLITE_FULL);
  EXPECT_TRUE(absl::IsResourceExhausted(Set(*store, "u", "k", "lost")));
  EXPECT_TRUE(absl::IsResourceExhausted(store->SaveInstance(Named("b", "2"))));
  disk.Heal();
  EXPECT_EQ(*Get(*store, "u", "k"), "before");
  EXPECT_TRUE(store->SaveInstance(Named("b", "2")).ok());
  EXPECT_EQ(store->ListInstances()->size(), 2u);
}

TEST_F(SqliteStateTest, WhatWasAcknowledgedSurvivesAPowerCut) {
  FaultVfs disk("state-fault");
  {
    auto store = Open(disk.name());
    ASSERT_TRUE(Set(*store, "u", "k", "kept").ok());
    const AuditEntry audit = Audited("create");
    ASSERT_TRUE(store->SaveInstance(Named("a", "1"), &audit).ok());
    disk.CutPower();
  }
  disk.RestoreDisk(0);
  auto store = Open();
  EXPECT_EQ(*Get(*store, "u", "k"), "kept");
  ASSERT_EQ(store->ListInstances()->size(), 1u);
  EXPECT_EQ((*store->ListInstances())[0].name, "a");
  EXPECT_THAT(NumbersOf(store->ListAudit(0, 10)), ElementsAre(1));
}

TEST_F(SqliteStateTest, OneThatIsRefusedDoesNotFailTheOthersOfItsTransaction) {
  auto store = Open();
  ASSERT_TRUE(store->SaveInstance(Named("a", "1")).ok());
  WaitingSink sink;
  TestBatch batch({Plain()});
  batch->sink = &sink;
  sink.Hold();
  ASSERT_TRUE(store->Create(batch.get()).ok());
  sink.WaitUntilHeld();
  Awaited set;
  ASSERT_TRUE(store->SetContext("u", "k", "v", set.Done()).ok());
  absl::Status refused;
  std::thread other([&] { refused = store->SaveInstance(Named("a", "2")); });
  sink.Release();
  other.join();
  EXPECT_TRUE(absl::IsAlreadyExists(refused));
  EXPECT_EQ(*set.Await(), "v");
}

std::string BytesOf(const std::string& folder) {
  std::string bytes;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    bytes.append(std::istreambuf_iterator<char>(file), {});
  }
  return bytes;
}

// Of one page's size and of several: both kinds of pages are to be overwritten.
StoredInstance WithSecret(int number, int change) {
  StoredInstance instance = Named(absl::StrCat("name", number), absl::StrCat("uid", number));
  std::string secret;
  for (int i = 0; i < (number % 3 == 0 ? 300 : 1); ++i) {
    absl::StrAppend(&secret, "planted-", number, "-", change, "-", i, ";");
  }
  instance.configuration = absl::StrCat(R"({"parameters":{"password":")", secret, "\"}}");
  return instance;
}

// Saves and deletes an instance with a secret, which a reader keeps in the WAL until the caller
// closes it.
sqlite3* DeleteBehindAReader(Store& store, const std::string& folder) {
  EXPECT_TRUE(store.SaveInstance(WithSecret(1, 1)).ok());
  sqlite3* reader = nullptr;
  EXPECT_EQ(sqlite3_open((folder + "/incidents.db").c_str(), &reader), SQLITE_OK);
  EXPECT_EQ(
      sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM incidents", nullptr, nullptr, nullptr),
      SQLITE_OK);
  EXPECT_TRUE(store.DeleteInstance("uid1").ok());
  return reader;
}

TEST_F(SqliteStateTest, SecretsThatWereReplacedOrDeletedAreInNoByteOfTheFolder) {
  constexpr int kInstances = 60;
  auto store = Open();
  for (int i = 0; i < kInstances; ++i) ASSERT_TRUE(store->SaveInstance(WithSecret(i, 1)).ok());
  EXPECT_THAT(BytesOf(folder_.path()), HasSubstr("planted-7-1-"));
  for (int i = 0; i < kInstances; i += 2) ASSERT_TRUE(store->SaveInstance(WithSecret(i, 2)).ok());
  for (int i = 1; i < kInstances; i += 4)
    ASSERT_TRUE(store->DeleteInstance(WithSecret(i, 1).uid).ok());
  const std::string bytes = BytesOf(folder_.path());
  for (int i = 0; i < kInstances; ++i) {
    const bool is_there = i % 2 == 1 && i % 4 != 1;
    EXPECT_EQ(absl::StrContains(bytes, absl::StrCat("planted-", i, "-1-")), is_there) << i;
  }
  for (int i = 0; i < kInstances; ++i)
    ASSERT_TRUE(store->DeleteInstance(WithSecret(i, 1).uid).ok());
  EXPECT_THAT(BytesOf(folder_.path()), Not(HasSubstr("planted-")));
}

TEST_F(SqliteStateTest, SecretThatAReaderKeptInTheWalGoesWithTheReader) {
  auto store = Open();
  sqlite3* const reader = DeleteBehindAReader(*store, folder_.path());
  EXPECT_THAT(store->warning(), HasSubstr("is still in " + folder_.path() + "/incidents.db-wal"));
  sqlite3_close(reader);
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!store->warning().empty() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(store->warning(), "");
  EXPECT_THAT(BytesOf(folder_.path()), Not(HasSubstr("planted-")));
}

TEST_F(SqliteStateTest, WalThatAReaderKeepsIsWarnedOfFromALengthOn) {
  webhook::Limits limits;
  limits.wal_warning_bytes = 1 << 20;
  auto opened = OpenSqliteStore({.data_dir = folder_.path(), .limits = limits});
  ASSERT_TRUE(opened.ok()) << opened.status();
  Store& store = **opened;
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open((folder_.path() + "/incidents.db").c_str(), &reader), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM incidents", nullptr, nullptr, nullptr),
      SQLITE_OK);
  EXPECT_EQ(store.warning(), "");
  for (int i = 0; i < 3; ++i) {
    absl::Notification written;
    ASSERT_TRUE(store
                    .SetContext("uid", "key", std::string(1 << 20, 'a' + i),
                                [&](const auto&) { written.Notify(); })
                    .ok());
    written.WaitForNotification();
  }
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (store.warning().empty() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));  // it is told after the commit
  }
  EXPECT_THAT(store.warning(), HasSubstr("is longer than wal_warning_bytes (1048576)"));
  sqlite3_close(reader);
}

TEST_F(SqliteStateTest, SecretThatAKilledProcessLeftInTheWalGoesAtTheNextStart) {
  TemporaryFolder killed;
  auto store = Open();
  sqlite3* const reader = DeleteBehindAReader(*store, folder_.path());
  // What a process that is killed now would leave.
  for (const char* file : {"/incidents.db", "/incidents.db-wal"}) {
    std::filesystem::copy_file(folder_.path() + file, killed.path() + file);
  }
  sqlite3_close(reader);
  ASSERT_THAT(BytesOf(killed.path()), HasSubstr("planted-1-1-"));
  auto next = OpenSqliteStore({killed.path(), "", {}, absl::Now});
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE((*next)->ListInstances()->empty());
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (absl::StrContains(BytesOf(killed.path()), "planted-") && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_THAT(BytesOf(killed.path()), Not(HasSubstr("planted-")));
}

}  // namespace
}  // namespace host_stub
