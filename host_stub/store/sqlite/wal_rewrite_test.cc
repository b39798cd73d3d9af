#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
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
#include "host_stub/store/sqlite/data_folder.h"
#include "host_stub/store/testing/fault_vfs.h"
#include "host_stub/store/testing/other_process.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kDatabase[] = "database";
constexpr char kWal[] = "wal";
constexpr char kOtherSql[] = "PRAGMA journal_mode = WAL; CREATE TABLE t (c)";
constexpr int64_t kMoreThanItChanges = 40;

// A WAL whose last acknowledged commit ends amid a sector, and the bytes of one that was never
// synced behind it.
class WalRewriteTest : public ::testing::Test {
 protected:
  WalRewriteTest() : folder_(*DataFolder::Open(parent_.path() + "/data", calls_)) {
    EXPECT_TRUE(folder_->PrepareFile(kDatabase).ok());
    Append(acknowledged_, 0);
    EXPECT_EQ(Sync(), 0);
    EXPECT_TRUE(folder_->Sync().ok());
    Append(tail_, acknowledged_.size());
  }

  void Append(const std::string& bytes, size_t offset) {
    const int file = calls_->Open(folder_->FileIn(kWal), O_RDWR | O_CREAT, 0600);
    EXPECT_EQ(calls_->Write(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(bytes.size()));
    close(file);
  }
  int Sync() {
    const int file = calls_->Open(folder_->FileIn(kWal), O_RDWR, 0);
    const int result = calls_->Sync(file);
    close(file);
    return result;
  }
  absl::Status Rewrite() { return folder_->RewriteWal(kDatabase, kWal, absl::ZeroDuration()); }
  void CutPower(uint32_t seed) {
    disk_.CutPower();
    disk_.RestoreDisk(seed);
  }
  void Put(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_->FileIn(name), std::ios::binary) << bytes;
  }
  std::string Read(const std::string& name = kWal) const {
    std::ifstream file(folder_->FileIn(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  ino_t Number() const {
    struct stat info {};
    EXPECT_EQ(stat(folder_->FileIn(kWal).c_str(), &info), 0);
    return info.st_ino;
  }
  bool OnlyTheWalIsThere() const {
    for (const auto& entry : std::filesystem::directory_iterator(parent_.path() + "/data")) {
      const std::string name = entry.path().filename();
      if (name != kWal && name != kDatabase && name != "lock") return false;
    }
    return true;
  }

  const std::string acknowledged_ = std::string(1300, 'a');
  const std::string tail_ = std::string(2000, 't');
  TemporaryFolder parent_;
  FaultVfs disk_{"wal-rewrite-test"};
  std::shared_ptr<DiskCalls> calls_ = disk_.disk_calls();
  std::unique_ptr<DataFolder> folder_;
};

TEST_F(WalRewriteTest, DiskThatRefusesEveryWriteLeavesTheWalAsItWas) {
  disk_.FailWrites(SQLITE_IOERR_WRITE);
  EXPECT_EQ(Rewrite().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
  EXPECT_TRUE(OnlyTheWalIsThere());
  disk_.Heal();
  EXPECT_TRUE(Rewrite().ok());
}

TEST_F(WalRewriteTest, WithoutRoomForACopyTheWalIsWrittenOverItself) {
  const ino_t before = Number();
  disk_.FailWrites(SQLITE_FULL, 0, 1);
  ASSERT_TRUE(Rewrite().ok());
  CutPower(0);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
  EXPECT_EQ(Number(), before);
  EXPECT_TRUE(OnlyTheWalIsThere());
}

TEST_F(WalRewriteTest, WhatAFailedSyncLeftInTheCacheAloneIsOnTheDiskAfterwards) {
  disk_.FailSyncs(SQLITE_IOERR_FSYNC, 0, 1);
  ASSERT_NE(Sync(), 0);
  ASSERT_TRUE(Rewrite().ok());
  CutPower(0);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
}

TEST_F(WalRewriteTest, PowerCutAtAnyStepKeepsWhatWasAcknowledged) {
  int interrupted = 0;
  for (int64_t step = 0; step < kMoreThanItChanges; ++step) {
    for (uint32_t seed = 1; seed <= 25; ++seed) {
      disk_.CutPowerAt(step);
      interrupted += !Rewrite().ok();
      CutPower(seed);
      ASSERT_TRUE(Rewrite().ok());
      ASSERT_EQ(Read().substr(0, acknowledged_.size()), acknowledged_) << step << ", " << seed;
      ASSERT_TRUE(OnlyTheWalIsThere());
      Append(tail_, acknowledged_.size());  // as if the next commit had not been synced
    }
  }
  EXPECT_GT(interrupted, 100);
}

TEST_F(WalRewriteTest, CopyThatWasLeftIsThrownAway) {
  for (const bool there_is_a_wal : {true, false}) {
    Put("wal.copy", std::string(5000, 'x'));
    if (!there_is_a_wal) std::filesystem::remove(folder_->FileIn(kWal));
    ASSERT_TRUE(Rewrite().ok());
    EXPECT_EQ(Read(), there_is_a_wal ? acknowledged_ + tail_ : "");
    EXPECT_TRUE(OnlyTheWalIsThere());
  }
}

// Without this a person's sqlite3 that writes at that moment is overwritten.
TEST_F(WalRewriteTest, DatabaseThatAnotherProcessHasOpenIsRefusedWithThatProcess) {
  OtherProcess child(folder_->FileIn(kDatabase), kOtherSql);
  ASSERT_TRUE(child.Open());
  const ino_t before = Number();
  const absl::Status refused = Rewrite();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      std::string(refused.message()),
      AllOf(HasSubstr(folder_->FileIn(kDatabase)), HasSubstr(absl::StrCat("process ", child.pid())),
            HasSubstr("end that process")));
  EXPECT_EQ(Number(), before);
  EXPECT_EQ(Read(), acknowledged_ + tail_);
  EXPECT_FALSE(std::filesystem::exists(folder_->FileIn("wal.copy")));
  child.Close();
  ASSERT_TRUE(Rewrite().ok());
  EXPECT_NE(Number(), before);
}

TEST_F(WalRewriteTest, ProcessThatEndsInTimeIsWaitedFor) {
  OtherProcess child(folder_->FileIn(kDatabase), kOtherSql);
  ASSERT_TRUE(child.Open());
  std::thread end([&] { child.Close(); });
  EXPECT_TRUE(folder_->RewriteWal(kDatabase, kWal, absl::Minutes(1)).ok());
  end.join();
}

// The bytes of the WAL are never written while another process may have it: not in place either.
TEST_F(WalRewriteTest, WithoutRoomForACopyTheDatabaseMustBeOursAlone) {
  OtherProcess child(folder_->FileIn(kDatabase), kOtherSql);
  ASSERT_TRUE(child.Open());
  disk_.FailWrites(SQLITE_FULL, 0, 1);
  const int64_t writes = disk_.writes();
  EXPECT_FALSE(Rewrite().ok());
  EXPECT_EQ(disk_.writes(), writes);
}

TEST_F(WalRewriteTest, NoWalIsNoFault) {
  std::filesystem::remove(folder_->FileIn(kWal));
  EXPECT_TRUE(Rewrite().ok());
  EXPECT_FALSE(std::filesystem::exists(folder_->FileIn(kWal)));
}

}  // namespace
}  // namespace host_stub
