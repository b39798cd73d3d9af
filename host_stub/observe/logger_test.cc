#include "host_stub/observe/logger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(EscapeForLogTest, ControlCharactersAreEscaped) {
  EXPECT_EQ(EscapeForLog("a\nb\r\t\x1b[31m\x7f", 100), "a\\x0ab\\x0d\\x09\\x1b[31m\\x7f");
  EXPECT_EQ(EscapeForLog(absl::string_view("\0", 1), 100), "\\x00");
}

TEST(EscapeForLogTest, C1AndDirectionMarksAreEscaped) {
  EXPECT_EQ(EscapeForLog("\xC2\x85", 100), "\\u{0085}");
  EXPECT_EQ(EscapeForLog("\xE2\x80\xAE"
                         "fdp",
                         100),
            "\\u{202e}fdp");
  EXPECT_EQ(EscapeForLog("\xE2\x81\xA6", 100), "\\u{2066}");
  EXPECT_EQ(EscapeForLog("\xE2\x80\xA8", 100), "\\u{2028}");
}

TEST(EscapeForLogTest, BytesThatAreNoUtf8AreEscaped) {
  EXPECT_EQ(EscapeForLog("\xFF\xC3", 100), "\\xff\\xc3");
  EXPECT_EQ(EscapeForLog("\xC0\xAF", 100), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(EscapeForLog("\xED\xA0\x80", 100), "\\xed\\xa0\\x80");  // a surrogate
}

TEST(EscapeForLogTest, EscapesCannotBeForged) { EXPECT_EQ(EscapeForLog("\\x0a", 9), "\\\\x0a"); }

TEST(EscapeForLogTest, OrdinaryTextStays) {
  EXPECT_EQ(EscapeForLog("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80", 100),
            "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
}

TEST(EscapeForLogTest, LongTextIsCutAtACharacter) {
  EXPECT_EQ(EscapeForLog("aaaa\xC3\xBC\xC3\xBC\xC3\xBC", 8), "aaaa...");
  EXPECT_EQ(EscapeForLog("aaaaa", 5), "aaaaa");
}

TEST(FileDescriptorLoggerTest, LogThatNobodyReadsDropsLinesAndTellsSoLater) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const auto logger = NewFileDescriptorLogger(ends[1], LogFormat::kText, Severity::kInfo, 1'000);
  const std::string message(1000, 'x');
  for (int i = 0; i < 200; ++i) logger->Log(Severity::kInfo, "", message);  // a pipe holds 64 KiB
  std::string read_back(1 << 20, '\0');
  ASSERT_GT(read(ends[0], read_back.data(), read_back.size()), 0);
  logger->Log(Severity::kInfo, "", "the next one");
  const ssize_t size = read(ends[0], read_back.data(), read_back.size());
  ASSERT_GT(size, 0);
  EXPECT_THAT(read_back.substr(0, size), ContainsRegex("the next one .[0-9]+ lines before it"));
  close(ends[0]);
  close(ends[1]);
}

TEST(FileDescriptorLoggerTest, FloodOfOneSeverityIsCutAndTheOthersGetThrough) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const auto logger = NewFileDescriptorLogger(ends[1], LogFormat::kText, Severity::kInfo, 3);
  for (int i = 0; i < 1000; ++i) logger->Log(Severity::kWarning, "", "flood");
  logger->Log(Severity::kError, "", "the disk is full");
  std::string text(64 * 1024, '\0');
  const ssize_t size = read(ends[0], text.data(), text.size());
  ASSERT_GT(size, 0);
  text.resize(size);
  // The clock may have begun another second or two meanwhile.
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 3 * 3 + 1);
  EXPECT_THAT(text, ContainsRegex("the disk is full .[0-9]+ lines before it were dropped"));
  close(ends[0]);
  close(ends[1]);
}

TEST(FileDescriptorLoggerTest, EachMessageIsOneLineAndLowSeveritiesAreLeftOut) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto logger = NewFileDescriptorLogger(ends[1], LogFormat::kText, Severity::kInfo, 1'000);
  logger->Log(Severity::kDebug, "", "unseen");
  logger->Log(Severity::kWarning, "hook", "one\ntwo");
  char text[256];
  const ssize_t size = read(ends[0], text, sizeof(text));
  ASSERT_GT(size, 0);
  EXPECT_THAT(std::string(text, size),
              MatchesRegex("20..-..-..T..:..:..\\....Z WARNING \\[hook\\] one\\\\x0atwo\n"));
  close(ends[0]);
  close(ends[1]);
}

// A pipe with a logger at its end.
class FormatTest : public testing::Test {
 protected:
  FormatTest() { EXPECT_EQ(pipe(ends_), 0); }
  ~FormatTest() override {
    unsetenv("JOURNAL_STREAM");
    close(ends_[0]);
    close(ends_[1]);
  }

  std::unique_ptr<Logger> NewLogger(LogFormat format, int64_t lines_per_second = 1'000) {
    return NewFileDescriptorLogger(ends_[1], format, Severity::kInfo, lines_per_second);
  }
  void SetJournal(int64_t further) {
    struct stat status = {};
    ASSERT_EQ(fstat(ends_[1], &status), 0);
    const std::string stream = absl::StrCat(status.st_dev, ":", status.st_ino + further);
    setenv("JOURNAL_STREAM", stream.c_str(), 1);
  }
  std::string Read() {
    std::string text(1 << 16, '\0');
    const ssize_t size = read(ends_[0], text.data(), text.size());
    text.resize(std::max<ssize_t>(size, 0));
    return text;
  }

  int ends_[2];
};

TEST_F(FormatTest, AnotherStreamThanTheJournalsGetsATime) {
  SetJournal(1);
  NewLogger(LogFormat::kText)->Log(Severity::kWarning, "", "a line");
  EXPECT_THAT(Read(), MatchesRegex("20.*Z WARNING a line\n"));
}

TEST_F(FormatTest, TheJournalGetsAPriorityAndNoTime) {
  SetJournal(0);
  const auto text = NewLogger(LogFormat::kText);
  text->Log(Severity::kInfo, "", "a line");
  text->Log(Severity::kWarning, "hook", "a line");
  NewLogger(LogFormat::kJson)->Log(Severity::kError, "", "a line");
  EXPECT_EQ(Read(),
            "<6>INFO a line\n<4>WARNING [hook] a line\n"
            "<3>{\"severity\":\"ERROR\",\"message\":\"a line\"}\n");
}

TEST_F(FormatTest, JsonHasOneObjectALineWithWhatIsKnown) {
  const auto logger = NewLogger(LogFormat::kJson);
  logger->Log(Severity::kInfo, "", "a \"line\"\n\xff\xE2\x80\xAE");
  EXPECT_THAT(Read(), MatchesRegex("\\{\"time\":\"20[^\"]*Z\",\"severity\":\"INFO\",\"message\":"
                                   "\"a \\\\\"line\\\\\"\\\\u000a\xEF\xBF\xBD\\\\u202e\"\\}\n"));
  logger->LogRequest(Severity::kWarning, "hook", "refused",
                     {.peer = "192.0.2.7",
                      .via = "front",
                      .status = 401,
                      .bytes = 0,
                      .duration = absl::Milliseconds(2)});
  EXPECT_THAT(Read(), EndsWith("\"severity\":\"WARNING\",\"instance\":\"hook\",\"peer\":"
                               "\"192.0.2.7\",\"via\":\"front\",\"status\":401,\"bytes\":0,"
                               "\"duration\":0.002000,\"message\":\"refused\"}\n"));
}

TEST_F(FormatTest, JsonThatIsTooLongIsCutInItsMessageAndStaysJson) {
  const auto logger = NewLogger(LogFormat::kJson);
  logger->Log(Severity::kInfo, "", std::string(5'000, '\n'));
  const std::string line = Read();
  EXPECT_LE(line.size(), size_t{PIPE_BUF});
  EXPECT_GT(line.size(), size_t{PIPE_BUF} / 2);
  EXPECT_THAT(line, EndsWith("\\u000a...\"}\n"));
}

TEST_F(FormatTest, JsonTellsOfDroppedLinesInAMember) {
  const auto logger = NewLogger(LogFormat::kJson, 1);
  for (int i = 0; i < 100; ++i) logger->Log(Severity::kWarning, "", "flood");
  logger->Log(Severity::kError, "", "the disk is full");
  EXPECT_THAT(Read(),
              ContainsRegex("\"message\":\"the disk is full\",\"lines_dropped\":[0-9]+}\n"));
}

}  // namespace
}  // namespace host_stub
