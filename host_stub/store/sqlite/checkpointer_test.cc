// A copy of the WAL does not meet a commit that begins the WAL anew.
#include "host_stub/store/sqlite/checkpointer.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "host_stub/store/sqlite/connection.h"
#include "host_stub/store/testing/fault_vfs.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using Step = FaultVfs::CheckpointStep;

class CheckpointerTest : public ::testing::Test {
 protected:
  CheckpointerTest() {
    sqlite3* made = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &made), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(made, "PRAGMA journal_mode = WAL; CREATE TABLE rows (bytes)", nullptr,
                           nullptr, nullptr),
              SQLITE_OK);
    sqlite3_close(made);
    writer_ = Connect();
    sqlite3_wal_hook(
        writer_->handle(),
        [](void* pages, sqlite3*, const char*, int now) {
          *static_cast<int64_t*>(pages) = now;
          return SQLITE_OK;
        },
        &wal_pages_);
  }

  std::unique_ptr<SqliteConnection> Connect() {
    auto connection = SqliteConnection::Open(path_, disk_.name(), SqliteAccess::kReadWrite, 1000);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }
  void Start(bool own_thread) {
    Checkpointer::Options options;
    options.wal_pages_between = 800;
    options.own_thread = own_thread;
    options.sync_database = [] { return absl::OkStatus(); };
    options.begin_writing = [] {};
    auto checkpointer = Checkpointer::Start(path_, disk_.name(), options);
    ASSERT_TRUE(checkpointer.ok()) << checkpointer.status();
    checkpointer_ = *std::move(checkpointer);
  }
  // Commits as the writer does; true: it is asked to copy.
  bool Commit(int pages) {
    const std::string row =
        absl::StrCat("INSERT INTO rows VALUES (zeroblob(", 4000 * pages - 3000, "))");
    EXPECT_TRUE(writer_->Execute(row.c_str()).ok());
    ++rows_;
    checkpointer_->Committed();
    return checkpointer_->ShouldFinish(wal_pages_);
  }
  // As the writer does, to remove what the WAL holds.
  void TryToEmptyTheWal() {
    if (!checkpointer_->BeginCopy(false)) return;
    int pages = -1;
    int copied = -1;
    sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &pages,
                              &copied);
    checkpointer_->EndCopy(pages == copied);
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/database";
  FaultVfs disk_{"checkpointer-test"};
  std::unique_ptr<SqliteConnection> writer_;
  std::unique_ptr<Checkpointer> checkpointer_;
  int64_t wal_pages_ = 0;
  int64_t rows_ = 0;
};

// SQLite up to 3.51.2 loses the last row, where the writer may copy all while the thread is about
// to.
TEST_F(CheckpointerTest, CommitThatFollowsTheWritersCopyIsNotTakenForCopied) {
  Start(true);
  disk_.StopCheckpointAt(Step::kBeforeTheLock);
  EXPECT_FALSE(Commit(400));
  disk_.AwaitStoppedCheckpoint();
  {
    const std::unique_ptr<SqliteConnection> reader = Connect();
    ASSERT_TRUE(reader->Execute("BEGIN; SELECT count(*) FROM rows").ok());
    TryToEmptyTheWal();  // all can be copied, and the WAL stays because of the reader
  }
  disk_.StopCheckpointAt(Step::kAfterTheHeader);
  disk_.ContinueCheckpoint();
  disk_.AwaitStoppedCheckpoint();
  EXPECT_FALSE(Commit(1));  // begins the WAL anew where all is copied
  disk_.ContinueCheckpoint();
  checkpointer_->Stop();
  Commit(1);
  TryToEmptyTheWal();
  EXPECT_EQ(*Connect()->QueryInteger("SELECT count(*) FROM rows"), rows_);
}

TEST_F(CheckpointerTest, WhereAllIsCopiedNothingIsCopiedBeforeTheNextCommit) {
  Start(false);
  EXPECT_TRUE(Commit(1000));
  EXPECT_EQ(disk_.checkpoints(), 1);
  checkpointer_->ShouldFinish(2 * wal_pages_);
  EXPECT_EQ(disk_.checkpoints(), 1);
  TryToEmptyTheWal();
  EXPECT_EQ(disk_.checkpoints(), 2);
  checkpointer_->ShouldFinish(4 * wal_pages_);
  EXPECT_EQ(disk_.checkpoints(), 2);
  EXPECT_TRUE(Commit(1000));
  EXPECT_EQ(disk_.checkpoints(), 3);
}

TEST_F(CheckpointerTest, OneThreadCopiesAtATime) {
  Start(true);
  disk_.StopCheckpointAt(Step::kBeforeTheLock);
  EXPECT_FALSE(Commit(400));
  disk_.AwaitStoppedCheckpoint();
  EXPECT_FALSE(checkpointer_->BeginCopy(false));
  disk_.ContinueCheckpoint();
  checkpointer_->Stop();
  ASSERT_TRUE(checkpointer_->BeginCopy(false));
  checkpointer_->EndCopy(true);
}

}  // namespace
}  // namespace host_stub
