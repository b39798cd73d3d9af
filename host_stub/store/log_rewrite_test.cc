#include "host_stub/store/log_rewrite.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "host_stub/store/fault_vfs.h"
#include "host_stub/store/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kDatabase[] = "database";
constexpr char kLog[] = "log";
constexpr int64_t kMoreThanItChanges = 40;

// Another process that has the database open through SQLite, and reads.
class ChildWithDatabase {
 public:
  explicit ChildWithDatabase(const std::string& database) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    EXPECT_EQ(pipe(end_), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(end_[1]);
      sqlite3* handle = nullptr;
      char byte = sqlite3_open(database.c_str(), &handle) == SQLITE_OK &&
                  sqlite3_exec(handle, "PRAGMA journal_mode = WAL; CREATE TABLE t (c)", nullptr,
                               nullptr, nullptr) == SQLITE_OK;
      if (write(ready[1], &byte, 1) != 1 || read(end_[0], &byte, 1) < 0) _exit(1);
      _exit(0);
    }
    close(end_[0]);
    char is_open = 0;
    EXPECT_EQ(read(ready[0], &is_open, 1), 1);
    EXPECT_EQ(is_open, 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~ChildWithDatabase() { Finish(); }

  pid_t pid() const { return pid_; }
  void Finish() {
    if (end_[1] < 0) return;
    close(std::exchange(end_[1], -1));
    EXPECT_EQ(waitpid(pid_, nullptr, 0), pid_);
  }

 private:
  pid_t pid_ = -1;
  int end_[2];
};

// A log whose last acknowledged commit ends amid a sector, and the bytes of one that was never
// synced behind it.
class LogRewriteTest : public ::testing::Test {
 protected:
  LogRewriteTest() : folder_(*DataFolder::Open(parent_.path() + "/data", calls_)) {
    EXPECT_TRUE(folder_->PrepareFile(kDatabase).ok());
    Append(acknowledged_, 0);
    EXPECT_EQ(Sync(), 0);
    EXPECT_TRUE(folder_->Sync().ok());
    Append(tail_, acknowledged_.size());
  }

  void Append(const std::string& bytes, size_t offset) {
    const int file = calls_->Open(folder_->FileIn(kLog), O_RDWR | O_CREAT, 0600);
    EXPECT_EQ(calls_->Write(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
    close(file);
  }
  int Sync() {
    const int file = calls_->Open(folder_->FileIn(kLog), O_RDWR, 0);
    const int result = calls_->Sync(file);
    close(file);
    return result;
  }
  absl::Status Rewrite() {
    return RewriteLog(*folder_, *calls_, kDatabase, kLog, absl::ZeroDuration());
  }
  void CutPower(uint32_t seed) {
    disk_.CutPower();
    disk_.RestoreDisk(seed);
  }
  void Put(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_->FileIn(name), std::ios::binary) << bytes;
  }
  std::string Read(const std::string& name = kLog) const {
    std::ifstream file(folder_->FileIn(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  ino_t Number() const {
    struct stat info {};
    EXPECT_EQ(stat(folder_->FileIn(kLog).c_str(), &info), 0);
    return info.st_ino;
  }
  bool OnlyTheLogIsThere() const {
    for (const auto& entry : std::filesystem::directory_iterator(parent_.path() + "/data")) {
      const std::string name = entry.path().filename();
      if (name != kLog && name != kDatabase && name != "lock") return false;
    }
    return true;
  }

  const std::string acknowledged_ = std::string(1300, 'a');
  const std::string tail_ = std::string(2000, 't');
  TemporaryFolder parent_;
  FaultVfs disk_{"log-rewrite-test"};
  std::shared_ptr<DiskCalls> calls_ = disk_.disk_calls();
  std::unique_ptr<DataFolder> folder_;
};

TEST_F(LogRewriteTest, DiskThatRefusesEveryWriteLeavesTheLogAsItWas) {
  disk_.FailWrites(SQLITE_IOERR_WRITE);
  EXPECT_EQ(Rewrite().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
  EXPECT_TRUE(OnlyTheLogIsThere());
  disk_.Heal();
  EXPECT_TRUE(Rewrite().ok());
}

TEST_F(LogRewriteTest, WithoutRoomForACopyTheLogIsWrittenOverItself) {
  const ino_t before = Number();
  disk_.FailWrites(SQLITE_FULL, 0, 1);
  ASSERT_TRUE(Rewrite().ok());
  CutPower(0);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
  EXPECT_EQ(Number(), before);
  EXPECT_TRUE(OnlyTheLogIsThere());
}

TEST_F(LogRewriteTest, WhatAFailedSyncLeftInTheCacheAloneIsOnTheDiskAfterwards) {
  disk_.FailSyncs(SQLITE_IOERR_FSYNC, 0, 1);
  ASSERT_NE(Sync(), 0);
  ASSERT_TRUE(Rewrite().ok());
  CutPower(0);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
}

TEST_F(LogRewriteTest, PowerCutAtAnyStepKeepsWhatWasAcknowledged) {
  int interrupted = 0;
  for (int64_t step = 0; step < kMoreThanItChanges; ++step) {
    for (uint32_t seed = 1; seed <= 25; ++seed) {
      disk_.CutPowerAt(step);
      interrupted += !Rewrite().ok();
      CutPower(seed);
      ASSERT_TRUE(Rewrite().ok());
      ASSERT_EQ(Read().substr(0, acknowledged_.size()), acknowledged_) << step << ", " << seed;
      ASSERT_TRUE(OnlyTheLogIsThere());
      Append(tail_, acknowledged_.size());  // as if the next commit had not been synced
    }
  }
  EXPECT_GT(interrupted, 100);
}

TEST_F(LogRewriteTest, CopyThatWasLeftIsThrownAway) {
  for (const bool there_is_a_log : {true, false}) {
    Put("log.copy", std::string(5000, 'x'));
    if (!there_is_a_log) std::filesystem::remove(folder_->FileIn(kLog));
    ASSERT_TRUE(Rewrite().ok());
    EXPECT_EQ(Read(), there_is_a_log ? acknowledged_ + tail_ : "");
    EXPECT_TRUE(OnlyTheLogIsThere());
  }
}

// Without this a person's sqlite3 that writes at that moment is overwritten.
TEST_F(LogRewriteTest, DatabaseThatAnotherProcessHasOpenIsRefusedWithThatProcess) {
  ChildWithDatabase child(folder_->FileIn(kDatabase));
  const ino_t before = Number();
  const absl::Status refused = Rewrite();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      std::string(refused.message()),
      AllOf(HasSubstr(folder_->FileIn(kDatabase)), HasSubstr(absl::StrCat("process ", child.pid())),
            HasSubstr("end that process")));
  EXPECT_EQ(Number(), before);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
  EXPECT_FALSE(std::filesystem::exists(folder_->FileIn("log.copy")));
  child.Finish();
  ASSERT_TRUE(Rewrite().ok());
  EXPECT_NE(Number(), before);
}

TEST_F(LogRewriteTest, ProcessThatEndsInTimeIsWaitedFor) {
  ChildWithDatabase child(folder_->FileIn(kDatabase));
  std::thread end([&] { child.Finish(); });
  EXPECT_TRUE(RewriteLog(*folder_, *calls_, kDatabase, kLog, absl::Minutes(1)).ok());
  end.join();
}

// The bytes of the WAL are never written while another process may have it: not in place either.
TEST_F(LogRewriteTest, WithoutRoomForACopyTheDatabaseMustBeOursAlone) {
  ChildWithDatabase child(folder_->FileIn(kDatabase));
  disk_.FailWrites(SQLITE_FULL, 0, 1);
  const int64_t writes = disk_.writes();
  EXPECT_FALSE(Rewrite().ok());
  EXPECT_EQ(disk_.writes(), writes);
}

TEST_F(LogRewriteTest, NoLogIsNoFault) {
  std::filesystem::remove(folder_->FileIn(kLog));
  EXPECT_TRUE(Rewrite().ok());
  EXPECT_FALSE(std::filesystem::exists(folder_->FileIn(kLog)));
}

}  // namespace
}  // namespace host_stub
