#include "plugin/base/secret_names.h"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(SecretNamesTest, NamesOfSecretsAreKnownByTheirParts) {
  for (const char* name : {"x-webhook-signature",
                           "x-apikey",
                           "dd-api-key",
                           "x-client-secret",
                           "client_secret",
                           "clientsecret",
                           "api_key",
                           "apikey",
                           "accesstoken",
                           "access.token",
                           "x-auth",
                           "x-auth-key",
                           "dd-application-key",
                           "x-signing-key",
                           "x-sig",
                           "sig",
                           "x-hmac",
                           "x-hmac-sha256",
                           "x-jwt",
                           "x-password",
                           "db_passwd",
                           "pwd",
                           "x-session-id",
                           "sessionid",
                           "x-session",
                           "x-csrf",
                           "x-otp",
                           "x-credentials",
                           "x-signature-ed25519",
                           "x-token-2",
                           "token2",
                           "x-token-",
                           "x--token",
                           "x-api-key-id-token",
                           "x-amz-credential",
                           "saml-assertion",
                           "x-bearer",
                           "x-functions-host-key",
                           "subscriptionkey",
                           "x-passcode"}) {
    EXPECT_TRUE(LooksSecret(name)) << name;
  }
}

TEST(SecretNamesTest, OtherNamesAreNot) {
  for (const char* name : {"",
                           "-",
                           "a",
                           "1",
                           "host",
                           "content-type",
                           "content-length",
                           "user-agent",
                           "accept",
                           "x-github-delivery",
                           "x-github-event",
                           "x-request-id",
                           "idempotency-key",
                           "x-event-key",
                           "x-routing-key",
                           "sec-websocket-key",
                           "x-author",
                           "x-authenticated-user",
                           "x-auth-request-email",
                           "x-signature-timestamp",
                           "x-signature-version",
                           "x-token-type",
                           "x-monkey",
                           "x-keyword",
                           "x-tokenizer",
                           "x-ratelimit-tokens",
                           "x-passenger",
                           "x-design",
                           "traceparent",
                           "x-amzn-trace-id",
                           "webhook-id",
                           "x-customer-id",
                           "key",
                           "id"}) {
    EXPECT_FALSE(LooksSecret(name)) << name;
  }
}

}  // namespace
}  // namespace base
