// What the durable store does when its disk fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "host_stub/store/testing/fault_vfs.h"
#include "host_stub/store/testing/other_process.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Another process, such as a person's sqlite3, amid a reading transaction.
class OtherReader {
 public:
  OtherReader(const std::string& folder, const std::string& vfs) {
    const std::string path = folder + "/incidents.db";
    EXPECT_EQ(sqlite3_open_v2(path.c_str(), &database_, SQLITE_OPEN_READWRITE, vfs.c_str()),
              SQLITE_OK);
    sqlite3_db_config(database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    EXPECT_EQ(
        sqlite3_exec(database_, "BEGIN; SELECT count(*) FROM incidents", nullptr, nullptr, nullptr),
        SQLITE_OK);
  }
  ~OtherReader() { sqlite3_close(database_); }

 private:
  sqlite3* database_ = nullptr;
};

class SqliteStoreFaultTest : public ::testing::Test {
 protected:
  void Open(SqliteStoreOptions options = {}) {
    options.data_dir = folder_.path();
    options.vfs = disk_.name();
    options.disk_calls = disk_.disk_calls();
    auto store = OpenSqliteStore(std::move(options));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = std::move(*store);
  }
  void SetUp() override { Open(); }

  void ExpectNotCreated(const std::string& key,
                        absl::StatusCode code = absl::StatusCode::kUnavailable) {
    TestBatch batch({{.key = key}});
    ASSERT_TRUE(batch.CreateIn(*store_).ok());
    EXPECT_EQ(batch->outcome, CreationOutcome::kNotCreated);
    EXPECT_EQ(batch->status.code(), code) << batch->status;
    EXPECT_GT(batch->retry_after_seconds, 0);
    EXPECT_EQ(store_->health().code(), code);
  }
  void ExpectCreated(const std::string& key) {
    TestBatch batch({{.key = key}});
    ASSERT_TRUE(batch.CreateIn(*store_).ok());
    ASSERT_EQ(batch->outcome, CreationOutcome::kCreated) << batch->status;
    EXPECT_THAT(batch.duplicates(), ElementsAre(false));
    EXPECT_TRUE(store_->health().ok());
  }
  // The store opens its database again by itself, without a batch that asks for it. What is asked
  // after an opening has begun is answered when it is over.
  void WaitUntilHealthy() {
    for (int64_t opens = disk_.opens(); !store_->ListInstances().ok(); opens = disk_.opens()) {
      disk_.AwaitOpensPast(opens);
    }
    EXPECT_TRUE(store_->health().ok());
  }

  TemporaryFolder folder_;
  FaultVfs disk_{"fault"};
  std::unique_ptr<Store> store_;
};

TEST_F(SqliteStoreFaultTest, FullDiskCreatesNothingAndServiceResumes) {
  ExpectCreated("a");
  disk_.FailWrites(SQLITE_FULL);
  ExpectNotCreated("b", absl::StatusCode::kResourceExhausted);
  ExpectNotCreated("b", absl::StatusCode::kResourceExhausted);
  EXPECT_GT(disk_.failed_writes(), 0);
  EXPECT_TRUE(store_->Get(1).ok());  // reading goes on
  disk_.Heal();
  ExpectCreated("b");
  EXPECT_EQ(store_->last_id(), 2);
}

TEST_F(SqliteStoreFaultTest, DiskThatFillsWithinACommitLeavesNothingOfIt) {
  for (int nth = 0; nth < 12; ++nth) {
    disk_.FailWrites(SQLITE_FULL, nth);
    TestBatch batch(std::vector<TestIncident>(5, {.details = {std::string(3000, 'x')}}));
    ASSERT_TRUE(batch.CreateIn(*store_).ok());
    const bool created = batch->outcome == CreationOutcome::kCreated;
    disk_.Heal();
    const auto page = store_->List({});
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_EQ(page->incidents.size() % 5, 0u);
    EXPECT_EQ(static_cast<int64_t>(page->incidents.size()), store_->last_id());
    if (created) {
      EXPECT_EQ(batch.ids().back(), store_->last_id());
    }
  }
}

TEST_F(SqliteStoreFaultTest, ReadOnlyDiskCreatesNothingAndServiceResumes) {
  disk_.FailWrites(SQLITE_READONLY);
  ExpectNotCreated("a");
  disk_.Heal();
  ExpectCreated("a");
}

TEST_F(SqliteStoreFaultTest, FailingWritesCreateNothingUntilTheDatabaseIsReopened) {
  disk_.FailWrites(SQLITE_IOERR_WRITE);
  ExpectNotCreated("a");
  ExpectNotCreated("a");
  disk_.Heal();
  WaitUntilHealthy();
  ExpectCreated("a");
}

TEST_F(SqliteStoreFaultTest, FailedSyncIsUnknownAndNothingIsAcknowledgedUntilReopened) {
  ExpectCreated("a");
  disk_.FailSyncs(SQLITE_IOERR_FSYNC);
  TestBatch unknown({{.key = "b"}});
  ASSERT_TRUE(unknown.CreateIn(*store_).ok());
  EXPECT_EQ(unknown->outcome, CreationOutcome::kUnknown);
  EXPECT_TRUE(absl::IsUnavailable(unknown->status));
  EXPECT_TRUE(unknown->created.empty());
  EXPECT_EQ(disk_.failed_syncs(), 1);
  ExpectNotCreated("c");  // at once: the connection is closed
  EXPECT_EQ(store_->last_id(), 1);
  EXPECT_TRUE(absl::IsUnavailable(store_->Get(1).status()));  // all is closed
  disk_.Heal();
  WaitUntilHealthy();
  // The WAL was written anew with all that the kernel had of it.
  TestBatch again({{.key = "b"}});
  ASSERT_TRUE(again.CreateIn(*store_).ok());
  EXPECT_THAT(again.ids(), ElementsAre(2));
  EXPECT_THAT(again.duplicates(), ElementsAre(true));
  EXPECT_EQ(store_->last_id(), 2);
  ExpectCreated("c");
  EXPECT_TRUE(store_->Get(1).ok());
}

TEST_F(SqliteStoreFaultTest, StateWhoseSyncFailedIsUnknownAndMayBeThere) {
  disk_.FailSyncs(SQLITE_IOERR_FSYNC);
  const absl::Status unknown = store_->SaveInstance({{.uid = "u", .name = "n"}, "{}"});
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnknown) << unknown;
  disk_.Heal();
  WaitUntilHealthy();
  EXPECT_EQ(store_->ListInstances()->size(), 1u);
}

// SQLite's index survives in that process, and may count as copied what the failed sync has lost.
TEST_F(SqliteStoreFaultTest, DatabaseIsNotReopenedWhileAnotherProcessHasItOpen) {
  store_.reset();
  OtherProcess other(folder_.path() + "/incidents.db", "SELECT count(*) FROM incidents");
  ASSERT_NO_FATAL_FAILURE(Open({.first_reopen_pause = absl::Milliseconds(1)}));
  ExpectCreated("a");
  ASSERT_TRUE(other.Open());
  disk_.FailSyncs(SQLITE_IOERR_FSYNC, 0, 1);
  TestBatch unknown({Plain()});
  ASSERT_TRUE(unknown.CreateIn(*store_).ok());
  ASSERT_EQ(unknown->outcome, CreationOutcome::kUnknown);
  for (int tries = 0; tries < 4; ++tries) {
    disk_.AwaitOpensPast(disk_.opens());
    const absl::Status status = store_->ListInstances().status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("process ", other.pid())));
  }
  other.Close();
  WaitUntilHealthy();
  ExpectCreated("b");
}

TEST_F(SqliteStoreFaultTest, DatabaseThatCannotBeReopenedIsTriedAgain) {
  disk_.FailSyncs(SQLITE_IOERR_FSYNC);
  TestBatch unknown({Plain()});
  ASSERT_TRUE(unknown.CreateIn(*store_).ok());
  disk_.FailOpens(SQLITE_CANTOPEN);
  disk_.FailSyncs(SQLITE_OK);
  ExpectNotCreated("a");
  disk_.Heal();
  WaitUntilHealthy();
  ExpectCreated("a");
}

TEST_F(SqliteStoreFaultTest, ClosingWithALostConnectionStillCompletes) {
  disk_.FailSyncs(SQLITE_IOERR_FSYNC);
  TestBatch unknown({Plain()});
  ASSERT_TRUE(unknown.CreateIn(*store_).ok());
  TestBatch late({Plain()});
  WaitingSink sink;
  late->sink = &sink;
  ASSERT_TRUE(store_->Create(late.get()).ok());
  store_->Close();
  sink.WaitFor(1);
  EXPECT_EQ(late->outcome, CreationOutcome::kNotCreated);
}

TEST_F(SqliteStoreFaultTest, StoreThatCannotBeWrittenDoesNotOpen) {
  store_.reset();
  disk_.FailWrites(SQLITE_FULL);
  const auto store =
      OpenSqliteStore({folder_.path(), disk_.name(), {}, absl::Now, disk_.disk_calls()});
  EXPECT_TRUE(absl::IsResourceExhausted(store.status()));
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("full"));
  disk_.Heal();
  Open();
}

// A power cut while the WAL is copied into the database may tear any page of it, the first one too.
TEST_F(SqliteStoreFaultTest, TornFirstPageIsReadFromTheWal) {
  ExpectCreated("a");
  disk_.CutPower();
  store_.reset();
  disk_.RestoreDisk(0);
  std::fstream(folder_.path() + "/incidents.db", std::ios::in | std::ios::out | std::ios::binary)
      << std::string(4096, 'x');
  ASSERT_NO_FATAL_FAILURE(Open());
  EXPECT_TRUE(store_->Get(1).ok());
}

// Where a reader is in the way only a part of the WAL is copied, and SQLite does not sync that
// part. If the sync that comes with the rest fails, the kernel forgets both.
TEST_F(SqliteStoreFaultTest, CopiedPartOfTheWalIsCopiedAgainAfterAFailedSync) {
  store_.reset();
  int failed = 0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    ASSERT_NO_FATAL_FAILURE(Open({.wal_pages_between_copies = 20, .copies_on_a_thread = false}));
    const int64_t before = store_->last_id();
    const auto fill = [&](int batches) {
      for (int i = 0; i < batches; ++i) {
        TestBatch batch({{.details = {std::string(5'000, 'x')}}});  // pages of its own
        ASSERT_TRUE(batch.CreateIn(*store_).ok());
        ASSERT_EQ(batch->outcome, CreationOutcome::kCreated) << batch->status;
      }
    };
    fill(12 + static_cast<int>(seed % 5));
    {
      const OtherReader reader(folder_.path(), disk_.name());
      fill(12);
    }
    disk_.FailSyncs(SQLITE_IOERR_FSYNC, seed % 4, 1);
    for (int i = 0; i < 20; ++i) {
      TestBatch batch({Plain()});
      ASSERT_TRUE(batch.CreateIn(*store_).ok());
    }
    failed += disk_.failed_syncs() > failed;
    disk_.Heal();
    WaitUntilHealthy();
    fill(24);  // the WAL is copied, and begun anew
    disk_.CutPower();
    store_.reset();
    disk_.RestoreDisk(seed);
    ASSERT_NO_FATAL_FAILURE(Open({}));
    for (int64_t id = before + 1; id <= before + 24; ++id) {
      ASSERT_TRUE(store_->Get(id).ok()) << "seed " << seed << ", incident " << id;
    }
    store_.reset();
  }
  EXPECT_GT(failed, 40);
}

// The copy that failed must not keep the WAL from being emptied for good.
TEST_F(SqliteStoreFaultTest, DeletedSecretLeavesTheFilesThoughASyncFailedBefore) {
  store_.reset();
  ASSERT_NO_FATAL_FAILURE(Open({.wal_pages_between_copies = 1, .copies_on_a_thread = false}));
  disk_.FailSyncs(SQLITE_IOERR_FSYNC, 3, 1);  // past the commit's own and SQLite's of the copy
  TestBatch batch({{.key = "a"}});
  ASSERT_TRUE(batch.CreateIn(*store_).ok());
  ASSERT_EQ(batch->outcome, CreationOutcome::kCreated) << batch->status;
  store_->ListInstances().status().IgnoreError();  // the copy is over
  ASSERT_EQ(disk_.failed_syncs(), 1);
  ASSERT_NO_FATAL_FAILURE(WaitUntilHealthy());
  ASSERT_TRUE(store_->SaveInstance({{.uid = "u", .name = "n"}, "s3cret"}).ok());
  ASSERT_TRUE(store_->DeleteInstance("u").ok());
  const auto holds_secret = [this](const std::string& name) {
    std::ifstream file(folder_.path() + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {}).find("s3cret") !=
           std::string::npos;
  };
  EXPECT_FALSE(holds_secret("/incidents.db-wal"));
  EXPECT_FALSE(holds_secret("/incidents.db"));
}

// Every round: some commits, some of them with faults, then the power fails.
TEST_F(SqliteStoreFaultTest, NothingAcknowledgedIsLostWhenThePowerIsCut) {
  std::map<int64_t, std::string> acknowledged;  // details by id
  std::map<std::string, int64_t> keys;
  for (uint32_t round = 0; round < 30; ++round) {
    if (round % 3 == 1) disk_.FailSyncs(SQLITE_IOERR_FSYNC, round % 7);
    if (round % 3 == 2) disk_.FailWrites(SQLITE_FULL, 20 + round);
    for (int i = 0; i < 12; ++i) {
      if (i == 8) disk_.Heal();
      if (i == 10 && round % 2 == 0) WaitUntilHealthy();
      const std::string key = absl::StrCat(round, "-", i);
      const std::string details(100 + 997 * static_cast<size_t>(i), static_cast<char>('a' + i));
      TestBatch batch({{.key = key, .details = {details}}, {.details = {key}}});
      ASSERT_TRUE(batch.CreateIn(*store_).ok());
      if (batch->outcome != CreationOutcome::kCreated) continue;
      acknowledged[batch.ids()[0]] = details;
      acknowledged[batch.ids()[1]] = key;
      keys[key] = batch.ids()[0];
    }
    disk_.CutPower();
    store_.reset();
    disk_.RestoreDisk(round);
    ASSERT_NO_FATAL_FAILURE(Open());
    for (const auto& [id, details] : acknowledged) {
      const auto incident = store_->Get(id);
      ASSERT_TRUE(incident.ok()) << "round " << round << ": " << incident.status();
      ASSERT_EQ(incident->details, details);
    }
  }
  ASSERT_GT(keys.size(), 100u);
  for (const auto& [key, id] : keys) {
    TestBatch again({{.key = key}});
    ASSERT_TRUE(again.CreateIn(*store_).ok());
    EXPECT_THAT(again.ids(), ElementsAre(id));
  }
}

}  // namespace
}  // namespace host_stub
