#include "plugin/core/stored_headers.h"

#include <gtest/gtest.h>

namespace webhook::core {
namespace {

std::string Stored(std::initializer_list<HeaderView> headers, absl::string_view secret = "") {
  TextBuffer text;
  StoredHeaders().Append(std::span(headers.begin(), headers.size()), secret, &text);
  return std::string(text.text());
}

TEST(StoredHeadersTest, SecretsAreNeverStored) {
  EXPECT_EQ(Stored({{"Authorization", "a"},
                    {"PROXY-AUTHORIZATION", "b"},
                    {"Cookie", "c"},
                    {"set-cookie", "d"},
                    {"X-Api-Key", "e"},
                    {"X-Hub-Signature-256", "f"},
                    {"X-Gitlab-Token", "g"},
                    {"Webhook-Signature", "h"},
                    {"X-My-Token", "i"}},
                   "x-my-token"),
            "{}");
}

TEST(StoredHeadersTest, WithheldNamesAreFoundWhereverTheyStandInTheTable) {
  for (const char* name :
       {"api-key", "apikey", "authorization", "cookie", "proxy-authorization", "set-cookie",
        "stripe-signature", "svix-signature", "webhook-signature", "x-api-key", "x-gitlab-token",
        "x-grafana-alerting-signature", "x-hub-signature", "x-hub-signature-256",
        "x-pagerduty-signature", "x-slack-signature", "x-zm-signature"}) {
    EXPECT_TRUE(IsWithheldHeader(name)) << name;
  }
  for (const char* name : {"", "a", "host", "x-github-delivery", "x-zz", "webhook-id"}) {
    EXPECT_FALSE(IsWithheldHeader(name)) << name;
  }
}

TEST(StoredHeadersTest, NamesAreLowerCaseInTheOrderFirstSeenAndRepeatedOnesJoined) {
  EXPECT_EQ(Stored({{"X-B", " 1 "}, {"Host", "h"}, {"x-b", "2"}, {"X-a", ""}, {"X-B", "3"}}),
            R"({"x-b":"1, 2, 3","host":"h","x-a":""})");
}

TEST(StoredHeadersTest, WhatIsNotUtf8IsTakenAsLatin1) {
  EXPECT_EQ(Stored({{"A", "caf\xE9"}, {"B", "café"}, {"B", "\xFF\""}}),
            R"({"a":"café","b":"café, ÿ\""})");
}

TEST(StoredHeadersTest, ManyDistinctNamesDoNotTakeQuadraticTime) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("x-" + std::to_string(i % 5'000));
  std::vector<HeaderView> headers;
  for (const std::string& name : names) headers.push_back({name, "v"});
  TextBuffer text;
  StoredHeaders().Append(headers, "", &text);
  EXPECT_EQ(text.text().substr(0, 30), R"({"x-0":"v, v","x-1":"v, v","x-)");
}

}  // namespace
}  // namespace webhook::core
