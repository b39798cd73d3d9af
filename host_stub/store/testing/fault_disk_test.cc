// That the failing disk of the other tests fails as a real one does.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "host_stub/store/testing/fault_vfs.h"
#include "host_stub/store/testing/store_test_util.h"

namespace host_stub {
namespace {

class FaultDiskTest : public ::testing::Test {
 protected:
  int Create(const std::string& name) { return calls_->Open(Path(name), O_RDWR | O_CREAT, 0600); }
  void Write(int file, const std::string& bytes) {
    ASSERT_EQ(calls_->Write(file, bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  void SyncFolder() {
    const int folder = calls_->Open(folder_.path(), O_RDONLY | O_DIRECTORY, 0);
    EXPECT_EQ(calls_->Sync(folder), 0);
    close(folder);
  }
  void CutPowerAndRestore(uint32_t seed = 0) {
    disk_.CutPower();
    disk_.RestoreDisk(seed);
  }
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  bool Exists(const std::string& name) const { return std::filesystem::exists(Path(name)); }
  std::string Read(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  TemporaryFolder folder_;
  FaultVfs disk_{"fault-disk-test"};
  std::shared_ptr<DiskCalls> calls_ = disk_.disk_calls();
};

TEST_F(FaultDiskTest, FileWhoseFolderWasNotSyncedIsGoneAfterAPowerCut) {
  const int file = Create("new");
  Write(file, "bytes");
  EXPECT_EQ(calls_->Sync(file), 0);
  CutPowerAndRestore();
  EXPECT_FALSE(Exists("new"));
  close(file);
}

TEST_F(FaultDiskTest, FolderWhoseParentWasNotSyncedIsGoneAfterAPowerCut) {
  ASSERT_EQ(calls_->MakeFolder(Path("data"), 0700), 0);
  CutPowerAndRestore();
  EXPECT_FALSE(Exists("data"));
}

TEST_F(FaultDiskTest, OnlySyncedBytesAreThereAfterAPowerCut) {
  const int file = Create("new");
  SyncFolder();
  Write(file, "old");
  EXPECT_EQ(calls_->Sync(file), 0);
  Write(file, "new bytes");
  EXPECT_EQ(Read("new"), "new bytes");
  CutPowerAndRestore();
  EXPECT_EQ(Read("new"), "old");
  close(file);
}

TEST_F(FaultDiskTest, DeletedFileComesBackUnlessItsFolderWasSynced) {
  for (const bool synced : {false, true}) {
    const int file = Create("new");
    Write(file, "bytes");
    EXPECT_EQ(calls_->Sync(file), 0);
    SyncFolder();
    EXPECT_EQ(sqlite3_vfs_find("fault-disk-test")
                  ->xDelete(sqlite3_vfs_find("fault-disk-test"), Path("new").c_str(), synced),
              SQLITE_OK);
    EXPECT_FALSE(Exists("new"));
    CutPowerAndRestore();
    EXPECT_EQ(Exists("new"), !synced);
    close(file);
  }
}

TEST_F(FaultDiskTest, FailedSyncIsToldToEveryHandleOnceAndItsBytesAreNeverWritten) {
  const int one = Create("new");
  const int other = Create("new");
  SyncFolder();
  Write(one, std::string(100'000, 'x'));
  disk_.FailSyncs(SQLITE_IOERR_FSYNC, 0, 1);
  EXPECT_EQ(calls_->Sync(one), -1);
  EXPECT_EQ(calls_->Sync(other), -1);
  EXPECT_EQ(calls_->Sync(one), 0);  // as if nothing had happened: the trap
  EXPECT_EQ(calls_->Sync(other), 0);
  EXPECT_EQ(Read("new"), std::string(100'000, 'x'));
  CutPowerAndRestore();
  EXPECT_NE(Read("new"), std::string(100'000, 'x'));
  close(one);
  close(other);
}

TEST_F(FaultDiskTest, PendingSectorsAreLostKeptAndTorn) {
  const int file = Create("new");
  SyncFolder();
  Write(file, std::string(512 * 400, 'o'));
  EXPECT_EQ(calls_->Sync(file), 0);
  Write(file, std::string(512 * 400, 'n'));
  CutPowerAndRestore(7);
  const std::string bytes = Read("new");
  ASSERT_EQ(bytes.size(), 512u * 400);
  int lost = 0, kept = 0, torn = 0;
  for (size_t i = 0; i < bytes.size(); i += 512) {
    const std::string sector = bytes.substr(i, 512);
    lost += sector == std::string(512, 'o');
    kept += sector == std::string(512, 'n');
  }
  torn = 400 - lost - kept;
  EXPECT_GT(lost, 50);
  EXPECT_GT(kept, 50);
  EXPECT_GT(torn, 20);
  close(file);
}

TEST_F(FaultDiskTest, KilledProcessLosesNothingThatWasWritten) {
  const int file = Create("new");
  Write(file, "bytes");
  disk_.CutPower();
  EXPECT_EQ(calls_->Write(file, "x", 1, 0), -1);
  disk_.KeepCache();
  EXPECT_EQ(Read("new"), "bytes");
  close(file);
}

}  // namespace
}  // namespace host_stub
