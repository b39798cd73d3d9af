#include "host_stub/store/log_rewrite.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "host_stub/store/fault_vfs.h"
#include "host_stub/store/store_test_util.h"

namespace host_stub {
namespace {

constexpr char kDatabase[] = "database";
constexpr char kLog[] = "log";
constexpr int64_t kMoreThanItChanges = 40;

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
  absl::Status Rewrite() { return RewriteLog(*folder_, *calls_, kDatabase, kLog); }
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

TEST_F(LogRewriteTest, LogStaysTheFileThatAnotherReaderOfTheDatabaseHas) {
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(folder_->FileIn(kDatabase).c_str(), &other), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(other, "CREATE TABLE t (c); BEGIN; SELECT * FROM t", nullptr, nullptr, nullptr),
      SQLITE_OK);
  const ino_t before = Number();
  ASSERT_TRUE(Rewrite().ok());
  EXPECT_EQ(Number(), before);
  sqlite3_close(other);
  ASSERT_TRUE(Rewrite().ok());
  EXPECT_NE(Number(), before);
}

TEST_F(LogRewriteTest, NoLogIsNoFault) {
  std::filesystem::remove(folder_->FileIn(kLog));
  EXPECT_TRUE(Rewrite().ok());
  EXPECT_FALSE(std::filesystem::exists(folder_->FileIn(kLog)));
}

}  // namespace
}  // namespace host_stub
