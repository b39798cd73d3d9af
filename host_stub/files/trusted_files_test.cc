#include "host_stub/files/trusted_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SmallFileTest : public testing::Test {
 protected:
  SmallFileTest() {
    char name[] = "/tmp/small_file_test.XXXXXX";
    folder_ = mkdtemp(name);
    file_ = absl::StrCat(folder_, "/secret");
    std::ofstream(file_) << "secret";
  }
  ~SmallFileTest() override { std::filesystem::remove_all(folder_); }

  std::string Fault(mode_t mode) {
    EXPECT_EQ(chmod(file_.c_str(), mode), 0);
    const auto file = ReadSmallFile(file_, 100);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? file->secret_fault : "";
  }

  std::string folder_;
  std::string file_;
};

TEST_F(SmallFileTest, FileThatEverybodyCanReadOrChangeIsNoPlaceForASecret) {
  for (const mode_t mode : {0644, 0604, 0602, 0601, 0666}) {
    EXPECT_THAT(Fault(mode), HasSubstr(absl::StrCat("run chmod 600 ", file_))) << mode;
  }
  EXPECT_THAT(Fault(0644), HasSubstr("is open to other users (mode 0644)"));
}

TEST_F(SmallFileTest, FileThatItsGroupCanChangeIsNoPlaceForASecret) {
  for (const mode_t mode : {0660, 0620, 0610}) {
    EXPECT_THAT(Fault(mode), HasSubstr("is open to other users")) << mode;
  }
}

TEST_F(SmallFileTest, GroupMayReadWhatRootGaveItAndNothingElse) {
  if (geteuid() == 0) {
    EXPECT_THAT(Fault(0640), IsEmpty());
    // A file of another user is refused whatever its mode; where the system lets root give it away.
    if (chown(file_.c_str(), 12345, static_cast<gid_t>(-1)) == 0) {
      EXPECT_THAT(Fault(0600), HasSubstr("belongs to user 12345, who can read it"));
    }
  } else {
    EXPECT_THAT(Fault(0640), HasSubstr("is open to other users (mode 0640)"));
  }
}

TEST_F(SmallFileTest, LinkIsJudgedByTheFileThatItLeadsTo) {
  const std::string link = absl::StrCat(folder_, "/link");
  ASSERT_EQ(symlink(file_.c_str(), link.c_str()), 0);
  ASSERT_EQ(chmod(file_.c_str(), 0644), 0);
  EXPECT_THAT(ReadSmallFile(link, 100)->secret_fault, HasSubstr("is open to other users"));
}

TEST_F(SmallFileTest, FileOfItsOwnerAloneIsGood) {
  for (const mode_t mode : {0600, 0400, 0700}) EXPECT_THAT(Fault(mode), IsEmpty()) << mode;
}

}  // namespace
}  // namespace host_stub
