#include "host_stub/observe/logger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace host_stub {
namespace {

using ::testing::ContainsRegex;
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
  const auto logger = NewFileDescriptorLogger(ends[1], Severity::kInfo, 1'000);
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
  const auto logger = NewFileDescriptorLogger(ends[1], Severity::kInfo, 3);
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
  auto logger = NewFileDescriptorLogger(ends[1], Severity::kInfo, 1'000);
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

}  // namespace
}  // namespace host_stub
