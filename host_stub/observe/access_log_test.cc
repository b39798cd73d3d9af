#include "host_stub/observe/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"

namespace host_stub {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

struct KeptLog : Logger {
  void Log(Severity, absl::string_view, absl::string_view message) override {
    const absl::MutexLock lock(&mutex);
    kept.emplace_back(message);
  }
  std::vector<std::string> lines() {
    const absl::MutexLock lock(&mutex);
    return kept;
  }

  absl::Mutex mutex;
  std::vector<std::string> kept ABSL_GUARDED_BY(mutex);
};

lri_view View(absl::string_view text) { return {text.data(), text.size()}; }

lri_answered Answered(absl::string_view path = "/instance/execute/webhook") {
  lri_answered answered{};
  answered.struct_size = sizeof answered;
  answered.door = LRI_DOOR_FRONT;
  answered.request_id = View("http-1-7");
  answered.trace_id = View("0af7651916cd43dd8448eb211c80319c");
  answered.peer_address = View("192.0.2.7");
  answered.method = View("POST");
  answered.path = View(path);
  answered.header_names = {nullptr, 0, sizeof(lri_view)};
  answered.status = 200;
  answered.bytes_received = 512;
  answered.bytes_sent = 140;
  answered.duration_ns = 1'234'567;
  return answered;
}

class AccessLogTest : public testing::Test {
 protected:
  AccessLogTest() {
    fs::create_directory(folder_);
    ::chmod(folder_.c_str(), 0700);
  }
  ~AccessLogTest() override { fs::remove_all(folder_); }

  std::unique_ptr<AccessLog> Open(LogFormat format = LogFormat::kText, int64_t bytes = 1 << 20) {
    auto log = AccessLog::Open({.path = file_, .format = format, .buffer_bytes = bytes}, errors_);
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }
  absl::Status Refusal(const std::string& path) {
    return AccessLog::Open({.path = path, .buffer_bytes = 1 << 20}, errors_).status();
  }
  static std::vector<std::string> LinesOf(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  const std::string folder_ = absl::StrCat(testing::TempDir(), "/access-", ::getpid());
  const std::string file_ = folder_ + "/access.log";
  const std::shared_ptr<KeptLog> errors_ = std::make_shared<KeptLog>();
  const absl::Time time_ = absl::FromUnixMillis(1'714'557'600'123);
};

TEST_F(AccessLogTest, AFileThatOthersCanChangeIsRefused) {
  std::ofstream(file_) << "";
  ::chmod(file_.c_str(), 0620);
  EXPECT_THAT(Refusal(file_).ToString(), HasSubstr("chmod go-w"));
  ::chmod(file_.c_str(), 0600);
  ::chmod(folder_.c_str(), 0777);
  EXPECT_TRUE(absl::IsPermissionDenied(Refusal(file_)));
}

TEST_F(AccessLogTest, WhatIsNoFileIsRefusedWithItsName) {
  EXPECT_THAT(Refusal(folder_ + "/none/access.log").ToString(), HasSubstr("/none/access.log"));
  EXPECT_THAT(Refusal("/dev/null").ToString(), HasSubstr("not a regular file"));
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_FALSE(Refusal(file_).ok());  // and nobody waits for a reader
}

TEST_F(AccessLogTest, ARequestIsOneLineOfWords) {
  const auto log = Open();
  log->Add("webhook", Answered(), time_);
  log->Close();
  EXPECT_THAT(LinesOf(file_),
              ElementsAre("2024-05-01T10:00:00.123Z peer=192.0.2.7 via=front instance=webhook "
                          "method=POST path=/instance/execute/webhook status=200 reason=answered "
                          "bytes=512 bytes_sent=140 duration=0.001235 request_id=http-1-7 "
                          "trace_id=0af7651916cd43dd8448eb211c80319c"));
  struct stat status = {};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(AccessLogTest, ARequestIsOneJsonObject) {
  const auto log = Open(LogFormat::kJson);
  log->Add("", Answered("/a\"b"), time_);
  log->Close();
  EXPECT_THAT(
      LinesOf(file_),
      ElementsAre("{\"time\":\"2024-05-01T10:00:00.123Z\",\"severity\":\"INFO\",\"request_id\":"
                  "\"http-1-7\",\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"peer\":"
                  "\"192.0.2.7\",\"via\":\"front\",\"method\":\"POST\",\"path\":\"/a\\\"b\","
                  "\"status\":200,\"reason\":\"answered\",\"bytes\":512,\"bytes_sent\":140,"
                  "\"duration\":0.001235}"));
}

TEST_F(AccessLogTest, NobodyCanForgeALineOrAWord) {
  const auto log = Open();
  log->Add("webhook", Answered("/a\nb status=200 \\x20\xff\xE2\x80\xAE"), time_);
  log->Close();
  const auto lines = LinesOf(file_);
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("path=/a\\x0ab\\x20status=200\\x20\\\\x20\\xff\\u{202e} status"));
}

TEST_F(AccessLogTest, AConnectionThatSentNoRequestHasNoLine) {
  const auto log = Open();
  lri_answered refused = Answered();
  refused.status = 0;
  refused.method = {nullptr, 0};
  log->Add("webhook", refused, time_);
  log->Close();
  EXPECT_THAT(LinesOf(file_), IsEmpty());
  EXPECT_EQ(log->dropped(), 0);
}

TEST_F(AccessLogTest, WhatTheBufferHasNoRoomForIsCounted) {
  const auto log = Open(LogFormat::kText, 1'000);
  std::vector<std::thread> threads;
  constexpr int kOfAThread = 2'000;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < kOfAThread; ++k) log->Add("webhook", Answered(), time_);
    });
  }
  for (std::thread& thread : threads) thread.join();
  log->Close();
  log->Add("webhook", Answered(), time_);  // too late
  EXPECT_GT(log->dropped(), 0);
  EXPECT_EQ(static_cast<int64_t>(LinesOf(file_).size()) + log->dropped(), 4 * kOfAThread + 1);
}

TEST_F(AccessLogTest, AFileThatWasRenamedIsMadeAgainAndNoLineIsLost) {
  const auto log = Open();
  log->Add("webhook", Answered("/first"), time_);
  const std::string renamed = file_ + ".1";
  fs::rename(file_, renamed);
  log->Reopen();
  while (!fs::exists(file_)) std::this_thread::yield();
  log->Add("webhook", Answered("/second"), time_);
  log->Close();
  EXPECT_THAT(LinesOf(renamed), ElementsAre(HasSubstr("path=/first ")));
  EXPECT_THAT(LinesOf(file_), ElementsAre(HasSubstr("path=/second ")));
}

TEST_F(AccessLogTest, WhereItCannotBeMadeAgainTheEarlierFileIsKeptAndTheLogSaysWhy) {
  const auto log = Open();
  const std::string renamed = file_ + ".1";
  fs::rename(file_, renamed);
  fs::create_directory(file_);
  log->Reopen();
  while (errors_->lines().empty()) std::this_thread::yield();
  log->Add("webhook", Answered(), time_);
  log->Close();
  EXPECT_THAT(errors_->lines(), ElementsAre(HasSubstr("the earlier file is kept: cannot open")));
  EXPECT_THAT(LinesOf(renamed), SizeIs(1));
}

TEST_F(AccessLogTest, ADiskThatRefusesIsToldOnceAndCounted) {
  const auto log = Open();
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit little = {300, before.rlim_max};  // room for a line and a half
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
  for (int i = 0; i < 3; ++i) log->Add("webhook", Answered(), time_);
  while (errors_->lines().empty()) std::this_thread::yield();
  log->Add("webhook", Answered(), time_);
  while (log->dropped() < 3) std::this_thread::yield();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  log->Add("webhook", Answered("/again"), time_);
  log->Close();
  EXPECT_THAT(errors_->lines(), ElementsAre(HasSubstr("access.log: File too large; 2 lines are")));
  EXPECT_EQ(log->dropped(), 3);
  const auto lines = LinesOf(file_);
  ASSERT_THAT(lines, SizeIs(3));  // the second is cut off
  EXPECT_THAT(lines[1], Not(HasSubstr("trace_id")));
  EXPECT_THAT(lines[2], HasSubstr("path=/again "));
}

}  // namespace
}  // namespace host_stub
