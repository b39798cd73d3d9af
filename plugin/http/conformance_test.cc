// Plays conformance_cases.txt, all cases at a time, and judges each as a test of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plugin/http/server.h"
#include "plugin/http/testing/conformance_octets.h"
#include "plugin/http/testing/fixture_handler.h"
#include "plugin/http/testing/test_client.h"

namespace webhook::http {
namespace {

struct Case {
  std::string name;
  std::string rule;
  std::set<std::string> allowed;
  std::set<std::string> options;
  size_t most_answers = 1;
  size_t most_ok = 1000;
  std::string without;
  std::string octets;
  std::string then;
};

struct Outcome {
  std::vector<Answer> answers;
  int interim = 0;
  bool closed_by_server = false;  // before we closed anything (but for "cut")
  bool ended = false;
  std::string rest;
};

Case ReadCase(const std::string& line) {
  const std::vector<std::string> parts = absl::StrSplit(line, " | ");
  Case one;
  one.name = parts.at(0);
  one.rule = parts.at(1);
  one.allowed = absl::StrSplit(parts.at(2), ' ', absl::SkipEmpty());
  for (const absl::string_view option : absl::StrSplit(parts.at(3), ' ', absl::SkipEmpty())) {
    if (absl::StartsWith(option, "most=")) {
      EXPECT_TRUE(absl::SimpleAtoi(option.substr(5), &one.most_answers));
    } else if (absl::StartsWith(option, "ok=")) {
      EXPECT_TRUE(absl::SimpleAtoi(option.substr(3), &one.most_ok));
    } else if (absl::StartsWith(option, "without=")) {
      EXPECT_TRUE(absl::CUnescape(option.substr(8), &one.without));
    } else {
      one.options.insert(std::string(option));
    }
  }
  return one;
}

std::vector<Case> ReadCases() {
  std::ifstream file("plugin/http/conformance_cases.txt");
  std::vector<Case> cases;
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    if (!absl::StartsWith(line, "  ")) {
      cases.push_back(ReadCase(line));
    } else if (cases.back().octets.empty()) {
      cases.back().octets = Octets(line.substr(2));
    } else {
      cases.back().then = Octets(line.substr(2));
    }
  }
  return cases;
}

void SendCase(const Case& one, TestClient& client) {
  if (one.options.contains("octetwise")) {
    for (const char octet : one.octets) {
      client.Send(absl::string_view(&octet, 1));
      std::this_thread::yield();
    }
  } else if (one.options.contains("linewise")) {
    for (const absl::string_view part : absl::StrSplit(one.octets, '\r')) {
      client.Send(part);
      std::this_thread::yield();
      if (part.data() + part.size() != one.octets.data() + one.octets.size()) client.Send("\r");
    }
  } else {
    client.Send(one.octets);
  }
  if (!one.then.empty()) client.Send(one.then);
  if (one.options.contains("cut")) client.CloseSending();
}

Outcome Play(const Case& one, uint16_t port) {
  TestClient client(port);
  Outcome outcome;
  SendCase(one, client);
  bool to_head = one.options.contains("head");
  // The first answer must come by itself; then our side is closed, so that the server ends too
  // and every answer it would ever give is seen.
  while (std::optional<Answer> answer = client.ReadAnswer(to_head)) {
    outcome.answers.push_back(*std::move(answer));
    to_head = false;
    if (outcome.answers.size() == 1 && !one.options.contains("closed")) client.CloseSending();
  }
  outcome.ended = client.ReadUntilClosed();
  outcome.closed_by_server =
      outcome.ended && (one.options.contains("closed") || outcome.answers.empty());
  outcome.interim = client.interim_answers();
  outcome.rest = client.rest();
  return outcome;
}

class ConformanceTest : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    ServerOptions options;
    // So that a message that never ends is answered soon.
    options.limits.head_timeout_ms = 1500;
    options.limits.body_timeout_ms = 1500;
    options.limits.connections_from_one_address = 1000;
    auto threads = IoThreads::Start(2);
    FixtureHandler handler("");
    auto server = Server::Listen(options, **threads, handler);
    ASSERT_TRUE(server.ok()) << server.status();
    const std::vector<Case> cases = ReadCases();
    outcomes_ = new std::map<std::string, Outcome>;
    for (const Case& one : cases) (*outcomes_)[one.name];
    std::vector<std::thread> players;
    for (const Case& one : cases) {
      players.emplace_back([&one, &outcome = outcomes_->at(one.name), port = (*server)->port()] {
        outcome = Play(one, port);
      });
    }
    for (std::thread& player : players) player.join();
  }

  static void TearDownTestSuite() { delete outcomes_; }

  static std::map<std::string, Outcome>* outcomes_;
};

std::map<std::string, Outcome>* ConformanceTest::outcomes_ = nullptr;

void JudgeAnswer(const Case& one, const Answer& answer) {
  EXPECT_NE(answer.status, 101);
  if (answer.status == 401) {
    EXPECT_NE(answer.Header("www-authenticate"), "");
  }
  if (answer.status == 405 && one.options.contains("allow")) {
    EXPECT_NE(answer.Header("allow"), "");
  }
  if (answer.status != 204) {
    EXPECT_NE(answer.Header("content-length"), "");
  }
  if (!one.without.empty()) {
    EXPECT_THAT(answer.bytes, ::testing::Not(::testing::HasSubstr(one.without)));
  }
}

TEST_P(ConformanceTest, IsAnsweredAsTheRuleSays) {
  const Case& one = GetParam();
  const Outcome& outcome = outcomes_->at(one.name);
  SCOPED_TRACE(one.rule);
  EXPECT_TRUE(outcome.ended) << "still open after 10 s";
  EXPECT_EQ(outcome.rest, "") << "octets that are no answer";
  const std::string first =
      outcome.answers.empty() ? "close" : absl::StrCat(outcome.answers[0].status);
  EXPECT_THAT(one.allowed, ::testing::Contains(first));
  EXPECT_LE(outcome.answers.size(), one.most_answers);
  if (one.options.contains("closed")) {
    EXPECT_TRUE(outcome.closed_by_server);
  }
  if (one.options.contains("no100")) {
    EXPECT_EQ(outcome.interim, 0);
  }
  size_t ok = 0;
  for (const Answer& answer : outcome.answers) {
    ok += answer.status / 100 == 2;
    JudgeAnswer(one, answer);
  }
  EXPECT_LE(ok, one.most_ok);
  if (!one.allowed.contains("200") && !one.allowed.contains("204") &&
      !one.options.contains("head")) {
    EXPECT_EQ(ok, 0u) << "a refused request got through";
  }
}

INSTANTIATE_TEST_SUITE_P(Http, ConformanceTest, ::testing::ValuesIn(ReadCases()),
                         [](const auto& info) { return info.param.name; });

TEST(ConformanceCasesTest, NoneIsLost) { EXPECT_EQ(ReadCases().size(), 215u); }

}  // namespace
}  // namespace webhook::http
