#include "plugin/core/stored_headers.h"

#include <gtest/gtest.h>

namespace webhook::core {
namespace {

std::string Stored(std::initializer_list<HeaderView> headers, absl::string_view secret = "",
                   const KeptHeaders& kept = {}) {
  TextBuffer text;
  StoredHeaders().Append(std::span(headers.begin(), headers.size()), secret, {}, kept, &text);
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

// RFC 6265, 9110 and 9421; Standard Webhooks; senders such as GitHub, GitLab, Slack, Stripe;
// proxies of AWS, Azure, Cloudflare and Google.
TEST(StoredHeadersTest, SecretsOfWellKnownSendersAreWithheld) {
  for (const char* name : {"token",
                           "apikey",
                           "cookie",
                           "api-key",
                           "x-token",
                           "x-secret",
                           "signature",
                           "x-api-key",
                           "set-cookie",
                           "x-signature",
                           "x-auth-token",
                           "x-csrf-token",
                           "authorization",
                           "private-token",
                           "x-hook-secret",
                           "x-vault-token",
                           "authentication",
                           "svix-signature",
                           "x-access-token",
                           "x-gitlab-token",
                           "x-goog-api-key",
                           "x-ld-signature",
                           "x-zm-signature",
                           "cf-webhook-auth",
                           "x-authorization",
                           "x-functions-key",
                           "x-hub-signature",
                           "x-signature-256",
                           "x-webhook-token",
                           "linear-signature",
                           "stripe-signature",
                           "x-amzn-oidc-data",
                           "x-gogs-signature",
                           "x-hook-signature",
                           "x-line-signature",
                           "x-webhook-secret",
                           "x-xero-signature",
                           "webhook-signature",
                           "x-buildkite-token",
                           "x-gitea-signature",
                           "x-nylas-signature",
                           "x-slack-signature",
                           "circleci-signature",
                           "typeform-signature",
                           "x-twilio-signature",
                           "x-vercel-signature",
                           "proxy-authorization",
                           "x-dropbox-signature",
                           "x-forgejo-signature",
                           "x-hub-signature-256",
                           "x-hub-signature-512",
                           "x-hubspot-signature",
                           "x-amz-security-token",
                           "x-goog-channel-token",
                           "x-mandrill-signature",
                           "sentry-hook-signature",
                           "x-buildkite-signature",
                           "x-pagerduty-signature",
                           "x-shopify-hmac-sha256",
                           "x-cc-webhook-signature",
                           "x-docusign-signature-1",
                           "x-hubspot-signature-v3",
                           "x-wc-webhook-signature",
                           "cf-access-client-secret",
                           "cf-access-jwt-assertion",
                           "paypal-transmission-sig",
                           "x-amzn-oidc-accesstoken",
                           "x-ms-token-aad-id-token",
                           "x-forwarded-access-token",
                           "x-goog-iap-jwt-assertion",
                           "x-original-authorization",
                           "ocp-apim-subscription-key",
                           "x-forwarded-authorization",
                           "x-discourse-event-signature",
                           "x-ms-token-aad-access-token",
                           "x-zendesk-webhook-signature",
                           "x-grafana-alerting-signature",
                           "x-square-hmacsha256-signature",
                           "x-telegram-bot-api-secret-token"}) {
    EXPECT_TRUE(IsWithheldHeader(name)) << name;
  }
  for (const char* name : {"", "a", "host", "x-github-delivery", "x-zz", "webhook-id"}) {
    EXPECT_FALSE(IsWithheldHeader(name)) << name;
  }
}

TEST(StoredHeadersTest, HeaderThatOnlyLooksLikeASecretIsStoredWhereItIsListed) {
  EXPECT_EQ(Stored({{"X-Apikey", "a"}, {"Dd-Api-Key", "b"}, {"X-Session-Id", "c"}}), "{}");
  EXPECT_EQ(Stored({{"X-Apikey", "a"}, {"X-Session-Id", "c"}}, "", {"x-session-id"}),
            R"({"x-session-id":"c"})");
}

TEST(StoredHeadersTest, CredentialCannotBeListedAsKept) {
  EXPECT_EQ(*ReadKeptHeaders(" X-Session-Id,x-a ", ""), KeptHeaders({"x-session-id", "x-a"}));
  EXPECT_TRUE(ReadKeptHeaders(" ", "")->empty());
  for (const char* list : {"Cookie", "x-a, authorization", "Set-Cookie", "X-Mine",
                           "x-amzn-oidc-data", "a,,b", "a b", ","}) {
    const auto kept = ReadKeptHeaders(list, "x-mine");
    ASSERT_FALSE(kept.ok()) << list;
    EXPECT_EQ(kept.status().message().substr(0, 12), "kept_headers") << list;
  }
}

TEST(StoredHeadersTest, NamesAreLowerCaseInTheOrderFirstSeenAndRepeatedOnesJoined) {
  EXPECT_EQ(Stored({{"X-B", " 1 "}, {"Host", "h"}, {"x-b", "2"}, {"X-a", ""}, {"X-B", "3"}}),
            R"({"x-b":"1, 2, 3","host":"h","x-a":""})");
}

TEST(StoredHeadersTest, WhetherAnyIsBeyondAsciiIsKnown) {
  StoredHeaders headers;
  TextBuffer out;
  const HeaderView ascii[] = {{"A", "\t\"quoted\""}},
                   other[] = {{"A", "b"}, {"A", "long, caf\xE9"}};
  headers.Append(other, "", {}, {}, &out);
  EXPECT_TRUE(headers.beyond_ascii());
  headers.Append(ascii, "", {}, {}, &out);
  EXPECT_FALSE(headers.beyond_ascii());
  headers.Append(other, "a", {}, {}, &out);
  EXPECT_FALSE(headers.beyond_ascii());
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
  StoredHeaders().Append(headers, "", {}, {}, &text);
  EXPECT_EQ(text.text().substr(0, 30), R"({"x-0":"v, v","x-1":"v, v","x-)");
}

TEST(StoredHeadersTest, HeadersOfASourceAreLeftOutByNameAndByNumber) {
  const std::vector<std::string> secret = {"x-docusign-signature-#", "x-key"};
  const std::vector<HeaderView> headers = {{"X-Key", "1"},
                                           {"X-DocuSign-Signature-12", "2"},
                                           {"X-DocuSign-Signature-", "3"},
                                           {"X-Keys", "4"}};
  TextBuffer text;
  StoredHeaders().Append(headers, "", secret, {"x-docusign-signature-"}, &text);
  EXPECT_EQ(text.text(), R"({"x-docusign-signature-":"3","x-keys":"4"})");
}

}  // namespace
}  // namespace webhook::core
