#include "plugin/core/query.h"

#include <gtest/gtest.h>

namespace webhook::core {
namespace {

std::string Masked(absl::string_view query, std::initializer_list<absl::string_view> secrets = {},
                   size_t most_bytes = 4096) {
  return MaskedQuery(query, std::span(secrets.begin(), secrets.size()), most_bytes);
}

TEST(MaskedQueryTest, ValuesOfNamesThatLookSecretAreMasked) {
  EXPECT_EQ(Masked("token=a&api_key=b&X-Signature=c&accessToken=d&sig=e"),
            "token=***&api_key=***&X-Signature=***&accessToken=***&sig=***");
  EXPECT_EQ(Masked("%74oken=a&api+key=b&api%20key=c&TOKEN%32=d"),
            "%74oken=***&***&***&TOKEN%32=***");
}

TEST(MaskedQueryTest, WhatIsNoSecretIsKeptAsItWasSent) {
  EXPECT_EQ(Masked(""), "");
  EXPECT_EQ(Masked("a=1&b=%C3%BC+x&c&d=&event-key=7&monkey=8&u=https://h/?page=2"),
            "a=1&b=%C3%BC+x&c&d=&event-key=7&monkey=8&u=https://h/?page=2");
  EXPECT_EQ(Masked("&&a=1&"), "a=1");
}

TEST(MaskedQueryTest, RepeatedNamesAreMaskedWhole) {
  EXPECT_EQ(Masked("a=1&b=2&a=3&%61=4&A=5"), "***&b=2&***&***&***");
}

TEST(MaskedQueryTest, NamesThatCannotBeDecodedAreMaskedWhole) {
  for (const char* name :
       {"%", "%4", "%zz", "a%", "%2574oken", "%FF", "to%00ken", "to%E2%80%8Bken", "", "a%0A"}) {
    EXPECT_EQ(Masked(std::string("x=1&") + name + "=secret"), "x=1&***") << name;
  }
}

TEST(MaskedQueryTest, KnownSecretsAreMaskedWhereverTheyStand) {
  EXPECT_EQ(Masked("who=s3cret&b=1", {"s3cret"}), "who=***&b=1");
  EXPECT_EQ(Masked("who=s3cret&b=[s3cret]&c=s3%63ret&%733cret&s3cret=1", {"s3cret"}),
            "who=***&b=***&c=***&***&***");
  EXPECT_EQ(Masked("who=s3c%72et&b=s3cret", {"s3c%72et"}), "who=***&b=***");
}

TEST(MaskedQueryTest, ParametersWithinAValueAreJudgedToo) {
  EXPECT_EQ(Masked("next=https://h/cb?token=a&x=1"), "next=***&x=1");
  EXPECT_EQ(Masked("next=https%3A%2F%2Fh%2Fcb%3Fa%3D1%26Access_Token%3Da"), "next=***");
  EXPECT_EQ(Masked("a=1;password=b"), "a=***");
}

TEST(MaskedQueryTest, WhatIsTooLongEndsAfterAParameterWithASign) {
  EXPECT_EQ(Masked("a=1&b=2&c=3", {}, 11), "a=1&b=2&c=3");
  EXPECT_EQ(Masked("a=1&b=2&c=3", {}, 10), "a=1&...");
  EXPECT_EQ(Masked("a=1&b=2&c=34", {}, 11), "a=1&b=2&...");
  EXPECT_EQ(Masked("a=1&b=2&c=34", {}, 3), "...");
  EXPECT_EQ(Masked("a=12345678901234", {}, 11), "...");
  EXPECT_EQ(Masked("token=12345678901234", {}, 11), "token=***");
  // The second half is past the cut, and says all the same that the first is repeated.
  EXPECT_EQ(Masked("a=1&b=123456789012345678901234&a=2", {}, 20), "***&...");
}

TEST(MaskedQueryTest, IsVisibleAsciiWhateverWasSent) {
  EXPECT_EQ(Masked("a=\xC3\xBC \n\x7F\xFF"), "a=%C3%BC%20%0A%7F%FF");
}

}  // namespace
}  // namespace webhook::core
