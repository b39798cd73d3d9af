// Which files are loaded as plugins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "host_stub/engine/plugin_core.h"
#include "host_stub/files/trusted_files.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kEchoPlugin[] = "tests/abi/echo_plugin.so";

// A folder of our own with a copy of a good plugin.
class PluginLibraryTest : public testing::Test {
 protected:
  PluginLibraryTest() {
    std::filesystem::create_directory(folder_);
    std::filesystem::copy_file(kEchoPlugin, file_,
                               std::filesystem::copy_options::overwrite_existing);
    chmod(folder_.c_str(), 0755);
    chmod(file_.c_str(), 0644);
  }
  std::string Refusal(const std::string& path) {
    auto library = PluginLibrary::Load(path);
    EXPECT_FALSE(library.ok()) << path;
    return library.ok() ? "" : std::string(library.status().message());
  }

  // The tests' own folder may be anywhere; /tmp is where others may write.
  static std::string MakeFolder() {
    char name[] = "/tmp/plugin_library_test.XXXXXX";
    return mkdtemp(name);
  }
  const std::string folder_ = MakeFolder();
  const std::string file_ = folder_ + "/plugin.so";
  ~PluginLibraryTest() override { std::filesystem::remove_all(folder_); }
};

TEST_F(PluginLibraryTest, MissingFileIsNamed) {
  EXPECT_THAT(Refusal("/nowhere/plugin.so"),
              AllOf(HasSubstr("/nowhere/plugin.so"), HasSubstr("No such file")));
}

TEST_F(PluginLibraryTest, FolderIsNoPlugin) {
  EXPECT_THAT(Refusal(folder_), HasSubstr("is not a file"));
}

TEST_F(PluginLibraryTest, FileThatIsNoSharedObjectIsRefused) {
  std::ofstream(file_) << "#!/bin/sh\n";
  EXPECT_THAT(Refusal(file_), AllOf(HasSubstr(file_), HasSubstr("cannot be loaded")));
}

TEST_F(PluginLibraryTest, FileThatOthersCanWriteIsRefusedWithTheCommandThatHelps) {
  chmod(file_.c_str(), 0666);
  EXPECT_THAT(Refusal(file_), AllOf(HasSubstr("can be written by everybody (mode 0666)"),
                                    HasSubstr(absl::StrCat("run: chmod go-w ", file_))));
  chmod(file_.c_str(), 0664);
  EXPECT_THAT(Refusal(file_), HasSubstr("can be written by its group"));
}

TEST_F(PluginLibraryTest, FolderThatOthersCanWriteIsRefusedWithTheCommandThatHelps) {
  chmod(folder_.c_str(), 0777);
  EXPECT_THAT(Refusal(file_), AllOf(HasSubstr("its folder"), HasSubstr("everybody"),
                                    HasSubstr(absl::StrCat("run: chmod go-w ", folder_))));
}

TEST_F(PluginLibraryTest, LinkIsJudgedByTheFileThatItLeadsTo) {
  const std::string link = folder_ + ".link";
  std::filesystem::create_symlink(file_, link);
  auto library = PluginLibrary::Load(link);
  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_EQ(library->path, std::filesystem::canonical(file_));
  chmod(folder_.c_str(), 0777);
  EXPECT_THAT(Refusal(link), HasSubstr("its folder"));
  std::filesystem::remove(link);
}

TEST_F(PluginLibraryTest, FileOfAnotherUserIsRefusedWithTheCommandThatHelps) {
  const absl::Status status = CheckWriters(file_, {geteuid() + 1});
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(absl::StrCat("belongs to user ", geteuid())),
                    HasSubstr(absl::StrCat("run: chown ", geteuid(), " ", file_))));
}

TEST_F(PluginLibraryTest, PluginInAStickyFolderIsLoaded) {
  chmod(folder_.c_str(), 01777);
  auto library = PluginLibrary::Load(file_);
  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_EQ(library->table->struct_size, sizeof(lri_plugin_table));
}

}  // namespace
}  // namespace host_stub
