#include "host_stub/service/addresses.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace host_stub {
namespace {

using ::testing::HasSubstr;

class ControlSocketTest : public ::testing::Test {
 protected:
  ControlSocketTest() {
    char name[] = "/tmp/addresses_test.XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~ControlSocketTest() override { EXPECT_EQ(::system(absl::StrCat("rm -r ", folder_).c_str()), 0); }

  std::string Refusal(const std::string& path) {
    return std::string(PrepareControlSocket(path).message());
  }

  std::string folder_;
};

TEST(ParseHostPort, WhatIsNoAddressIsRefused) {
  for (const char* text :
       {"", ":", "8080", "localhost", ":8080", "localhost:", "localhost:http", "localhost:65536",
        "localhost:-1", "localhost: 1", "::1:8080", "[::1]", "unix:/tmp/x"}) {
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
  }
}

TEST(ParseHostPort, TakesNamesAndBothFamilies) {
  EXPECT_EQ(ParseHostPort("localhost:0")->host, "localhost");
  EXPECT_EQ(ParseHostPort("127.0.0.1:8080")->port, 8080);
  EXPECT_EQ(ParseHostPort("[::1]:65535")->host, "::1");
  EXPECT_EQ(FormatHostPort("::1", 80), "[::1]:80");
  EXPECT_EQ(FormatHostPort("127.0.0.1", 80), "127.0.0.1:80");
}

TEST(IsLoopback, OnlyThisMachineIs) {
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "example.com", "128.0.0.1", ""}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
}

TEST_F(ControlSocketTest, ALongPathIsRefusedWithTheRemedy) {
  const std::string path = absl::StrCat(folder_, "/", std::string(108, 'x'));
  EXPECT_EQ(PrepareControlSocket(path).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Refusal(path), HasSubstr("choose a shorter --data-dir"));
}

TEST_F(ControlSocketTest, AFolderOpenToOthersIsRefusedWithTheRemedy) {
  ASSERT_EQ(::chmod(folder_.c_str(), 0750), 0);
  EXPECT_THAT(Refusal(folder_ + "/control.sock"), HasSubstr("run chmod 700 " + folder_));
}

TEST_F(ControlSocketTest, AFileInTheWayIsNotRemoved) {
  const std::string path = folder_ + "/control.sock";
  std::ofstream(path) << "precious";
  EXPECT_THAT(Refusal(path), HasSubstr("is no socket; remove it"));
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

TEST_F(ControlSocketTest, AServingHostIsNotPushedAsideButADeadOnesSocketIsRemoved) {
  const std::string path = folder_ + "/control.sock";
  const int server = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(server, 1), 0);
  EXPECT_EQ(PrepareControlSocket(path).code(), absl::StatusCode::kAlreadyExists);
  ::close(server);
  EXPECT_TRUE(PrepareControlSocket(path).ok());
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST_F(ControlSocketTest, AMissingFolderIsMadeForItsOwnerAlone) {
  const std::string folder = folder_ + "/data";
  EXPECT_TRUE(PrepareControlSocket(folder + "/control.sock").ok());
  struct stat status = {};
  ASSERT_EQ(::stat(folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
}

}  // namespace
}  // namespace host_stub
