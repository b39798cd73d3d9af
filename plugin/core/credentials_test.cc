#include "plugin/core/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace webhook::core {
namespace {

using ::testing::StartsWith;

const absl::Time kNow = absl::FromUnixSeconds(1'714'557'600);
constexpr auto kAccepted = CredentialCheck::kAccepted;
constexpr auto kWrong = CredentialCheck::kWrong;
constexpr auto kMissing = CredentialCheck::kMissing;
constexpr auto kRepeated = CredentialCheck::kRepeated;

std::string Error(absl::string_view username, absl::string_view password) {
  return std::string(Credentials::Create(username, password).status().message());
}

CredentialCheck CheckLine(const Credentials& credentials, absl::string_view value,
                          absl::string_view name = "Authorization", absl::Time now = kNow) {
  const HeaderView headers[] = {{"Host", "h"}, {name, value}};
  return credentials.Check(headers, "", now);
}

std::string Basic(absl::string_view pair) { return "Basic " + absl::Base64Escape(pair); }

TEST(CredentialsTest, CharactersThatNobodySeesAreRefusedByNameAndAMarkInFrontIsDropped) {
  EXPECT_EQ(Error("user", "pa\xC2\xA0ss"),
            "password: it holds a character that cannot be seen: no-break space (U+00a0)");
  EXPECT_EQ(Error("_header:X-Token", "\xE2\x80\x8Bs"),
            "password: it holds a character that cannot be seen: zero width character (U+200b)");
  EXPECT_THAT(Error("us\xE2\x80\x8B"
                    "er",
                    "pass"),
              StartsWith("username: it holds a character"));
  EXPECT_THAT(Error("user", "p\xEF\xBB\xBF"), StartsWith("password: it holds a character"));
  EXPECT_EQ(Error("\xEF\xBB\xBF", "pass").substr(0, 15), "username: it is");
  EXPECT_THAT(Error("user", "\xEF\xBB\xBF"), StartsWith("password: it is empty"));
  const auto marked = Credentials::Create("\xEF\xBB\xBFuser", "\xEF\xBB\xBFp\xC3\xA4ss");
  EXPECT_EQ(CheckLine(*marked, Basic("user:p\xC3\xA4ss")), kAccepted);
}

TEST(CredentialsTest, ConfigurationThatCannotWorkIsRefusedByParameter) {
  EXPECT_THAT(Error("", "pass"), StartsWith("username: it is empty though a password is set"));
  EXPECT_THAT(Error("user", ""), StartsWith("password: it is empty"));
  EXPECT_THAT(Error("_header:X-Token", ""), StartsWith("password: it is empty"));
  EXPECT_THAT(Error("us:er", "pass"), StartsWith("username: Basic authentication cannot"));
  EXPECT_THAT(Error("user\n", "pass"), StartsWith("username: Basic authentication cannot"));
  EXPECT_THAT(Error("user", std::string("pa\0ss", 5)), StartsWith("password: Basic"));
  for (const char* name : {"_header", "_headerX", "_header_X-Token"}) {
    EXPECT_THAT(Error(name, "s"), StartsWith("username: a header is named by `_header:`")) << name;
  }
  for (const char* name : {"_header:", "_header: X", "_header:X Y", "_header:X:", "_header:Ä"}) {
    EXPECT_THAT(Error(name, "s"), StartsWith("username: what follows `_header:`")) << name;
  }
  for (const char* value : {" s", "s\t", "s\r\nX: y", "\x7f", "schlüssel"}) {
    EXPECT_THAT(Error("_header:X-Token", value), StartsWith("password: a header's value")) << value;
  }
}

TEST(CredentialsTest, HeaderValueOfBlanksIsRefused) {
  EXPECT_THAT(Error("_header:X-Token", " \t"), StartsWith("password: the header's value is empty"));
}

TEST(BasicTest, WrongOrMalformedIsRefused) {
  const Credentials credentials = *Credentials::Create("user", "pass");
  for (const std::string& value : {Basic("user:pasS"),
                                   Basic("user:pas"),
                                   Basic("user:passx"),
                                   Basic("xuser:pass"),
                                   Basic("user:"),
                                   Basic(":"),
                                   Basic("user"),
                                   Basic("pass:user"),
                                   Basic(""),
                                   Basic(absl::string_view("user:pass\0", 10)),
                                   Basic(absl::string_view("user:pass\0junk", 14)),
                                   Basic("user:pass\n"),
                                   std::string("Basic"),
                                   std::string("Basic "),
                                   std::string("Basic !!!!"),
                                   std::string("Basic user:pass"),
                                   std::string("Bearer dXNlcjpwYXNz"),
                                   std::string("dXNlcjpwYXNz"),
                                   std::string("Basic\tdXNlcjpwYXNz"),
                                   std::string("Basic dXNlcjpwYXNz x"),
                                   std::string("Basic dXNl*cjpwYXNz"),
                                   std::string("Basic dXNl cjpwYXNz"),
                                   std::string("Basic dXNlcjpwYXNz="),
                                   std::string("BasicdXNlcjpwYXNz"),
                                   Basic("a:b") + ", " + Basic("user:pass"),
                                   std::string()}) {
    EXPECT_EQ(CheckLine(credentials, value), kWrong) << value;
  }
  EXPECT_EQ(CheckLine(credentials, Basic("user:pass"), "Proxy-Authorization"), kMissing);
  EXPECT_EQ(CheckLine(credentials, Basic("user:pass"), "X-Authorization"), kMissing);
  EXPECT_EQ(credentials.Check({}, "", kNow), kMissing);
}

// Lenient decoders accept bits that no encoder sets, and missing padding.
TEST(BasicTest, OnlyCanonicalBase64IsAccepted) {
  const Credentials credentials = *Credentials::Create("a", "b");
  EXPECT_EQ(CheckLine(credentials, "Basic YTpi"), kAccepted);
  const Credentials padded = *Credentials::Create("ab", "c");
  EXPECT_EQ(CheckLine(padded, "Basic YWI6Yw=="), kAccepted);
  EXPECT_EQ(CheckLine(padded, "Basic YWI6Yw"), kWrong);
  EXPECT_EQ(CheckLine(padded, "Basic YWI6Yx=="), kWrong);
}

TEST(BasicTest, TwoLinesAreRefusedInAnyOrder) {
  const Credentials credentials = *Credentials::Create("user", "pass");
  const std::string good = Basic("user:pass");
  const HeaderView good_first[] = {{"Authorization", good}, {"authorization", "Basic YTpi"}};
  const HeaderView good_last[] = {{"Authorization", "Basic YTpi"}, {"AUTHORIZATION", good}};
  const HeaderView both_good[] = {{"Authorization", good}, {"Authorization", good}};
  EXPECT_EQ(credentials.Check(good_first, "", kNow), kRepeated);
  EXPECT_EQ(credentials.Check(good_last, "", kNow), kRepeated);
  EXPECT_EQ(credentials.Check(both_good, "", kNow), kRepeated);
}

TEST(BasicTest, SchemeIsInAnyCaseAndThePasswordMayHaveColons) {
  const Credentials credentials = *Credentials::Create("user", "pa:ss:");
  const std::string token = absl::Base64Escape("user:pa:ss:");
  for (const char* scheme : {"Basic ", "basic ", "BASIC ", "Basic  ", " Basic "}) {
    EXPECT_EQ(CheckLine(credentials, absl::StrCat(scheme, token)), kAccepted) << scheme;
  }
  EXPECT_EQ(CheckLine(credentials, "Basic " + token, "aUTHORIZATION"), kAccepted);
}

TEST(HeaderModeTest, DocumentedExampleWorksWithoutBeingReadAsBasic) {
  const Credentials credentials =
      *Credentials::Create("_header:Authorization", "Basic MYIvOkEyMw==");
  EXPECT_EQ(CheckLine(credentials, "Basic MYIvOkEyMw=="), kAccepted);
  EXPECT_EQ(CheckLine(credentials, "basic MYIvOkEyMw=="), kWrong);
  EXPECT_EQ(credentials.secret_header(), "authorization");
}

TEST(HeaderModeTest, ValueIsExactAfterBlanksAroundIt) {
  const Credentials credentials = *Credentials::Create("_header:X-Token", "Secret 1");
  for (const char* value :
       {"secret 1", "Secret", "Secret 12", "xSecret 1", "Secret  1", "", "Secret 1, Secret 1"}) {
    EXPECT_EQ(CheckLine(credentials, value, "X-Token"), kWrong) << value;
  }
  EXPECT_EQ(CheckLine(credentials, absl::string_view("Secret 1\0", 9), "X-Token"), kWrong);
  EXPECT_EQ(CheckLine(credentials, "Secret 1", "X_Token"), kMissing);
  EXPECT_EQ(CheckLine(credentials, "Secret 1"), kMissing);
  EXPECT_EQ(CheckLine(credentials, " \tSecret 1\t ", "x-tOKEN"), kAccepted);
  const HeaderView twice[] = {{"X-Token", "Secret 1"}, {"x-token", "Secret 1"}};
  EXPECT_EQ(credentials.Check(twice, "", kNow), kRepeated);
}

TEST(NoCredentialsTest, EverythingIsAcceptedEvenMalformedBasic) {
  const Credentials credentials = *Credentials::Create("", "");
  EXPECT_FALSE(credentials.required());
  EXPECT_EQ(credentials.Check({}, "", kNow), kAccepted);
  EXPECT_EQ(CheckLine(credentials, "Basic !!!!"), kAccepted);
  EXPECT_EQ(credentials.secret_header(), "");
  EXPECT_EQ(credentials.challenge(), "");
}

TEST(RotationTest, EachOfSeveralPasswordsIsAcceptedAndAnEmptyOneRefused) {
  const Password passwords[] = {{"old"}, {"new"}};
  const Credentials credentials = *Credentials::Create("user", passwords);
  EXPECT_EQ(CheckLine(credentials, Basic("user:old")), kAccepted);
  EXPECT_EQ(CheckLine(credentials, Basic("user:new")), kAccepted);
  EXPECT_EQ(CheckLine(credentials, Basic("user:older")), kWrong);
  const Password with_empty[] = {{"old"}, {""}};
  EXPECT_FALSE(Credentials::Create("user", with_empty).ok());
  EXPECT_FALSE(Credentials::Create("_header:X", with_empty).ok());
}

TEST(RotationTest, ExpiredPasswordIsRefusedFromItsLastMomentOn) {
  const Password passwords[] = {{"old", kNow + absl::Seconds(1)}, {"new"}};
  const Credentials credentials = *Credentials::Create("user", passwords);
  EXPECT_TRUE(credentials.any_expires());
  EXPECT_EQ(credentials.last_expiry(), absl::InfiniteFuture());
  const absl::Time later = kNow + absl::Seconds(1);
  EXPECT_EQ(CheckLine(credentials, Basic("user:old")), kAccepted);
  EXPECT_EQ(CheckLine(credentials, Basic("user:old"), "Authorization", later), kWrong);
  EXPECT_EQ(CheckLine(credentials, Basic("user:new"), "Authorization", later), kAccepted);
}

TEST(RotationTest, LastExpiryIsWhenNothingIsAcceptedAnyMore) {
  const Password passwords[] = {{"a", kNow + absl::Seconds(2)}, {"b", kNow + absl::Seconds(1)}};
  const Credentials credentials = *Credentials::Create("_header:X-Token", passwords);
  EXPECT_EQ(credentials.last_expiry(), kNow + absl::Seconds(2));
  EXPECT_EQ(CheckLine(credentials, "a", "X-Token", credentials.last_expiry()), kWrong);
  EXPECT_FALSE(Credentials::Create("user", "pass")->any_expires());
}

TEST(ChallengeTest, EveryRequiredModeHasOne) {
  EXPECT_EQ(Credentials::Create("user", "pass")->challenge(),
            "Basic realm=\"webhook\", charset=\"UTF-8\"");
  EXPECT_EQ(Credentials::Create("_header:X", "s")->challenge(), "Webhook realm=\"webhook\"");
}

TEST(QueryTest, WhatCannotBeSentSafelyIsRefused) {
  for (const char* username :
       {"_query", "_query:", "_queryx:a", "_query:a b", "_query:a=b", "_query:a&b", "_query:%41"}) {
    EXPECT_FALSE(Credentials::Create(username, "secret").ok()) << username;
  }
  for (const char* password : {"with blank", "\xC3\xA4", "tab\there", "\x01"}) {
    EXPECT_FALSE(Credentials::Create("_query:key", password).ok()) << password;
  }
}

TEST(QueryTest, OnlyTheWholeValueOfOneParameterIsAccepted) {
  const Credentials credentials = *Credentials::Create("_query:key", "s3cret+/=");
  const std::pair<const char*, CredentialCheck> cases[] = {
      {"", kMissing},
      {"key2=s3cret+/=", kMissing},
      {"KEY=s3cret+/=", kMissing},
      {"a=key=s3cret+/=", kMissing},
      {"key", kWrong},
      {"key=", kWrong},
      {"key=s3cret+/", kWrong},
      {"key=s3cret+/==", kWrong},
      {"key=S3CRET+/=", kWrong},
      {"key=s3cret%20/=", kWrong},
      {"key=s3cret+/=%", kWrong},
      {"key=s3cret+/=%4", kWrong},
      {"key=s3cret+/=%00", kWrong},
      {"key=s3cret+/=;a=1", kWrong},
      {"key=s3cret+/=&key=s3cret+/=", kRepeated},
      {"key=s3cret+/=&k%65y=other", kRepeated},
      {"key=s3cret+/=", kAccepted},
      {"a=1&&key=s3cret+/=&b", kAccepted},
      {"key=s3cret%2B%2f%3D", kAccepted},
      {"%6bey=%733cret+/=", kAccepted},
  };
  for (const auto& [query, expected] : cases) {
    EXPECT_EQ(credentials.Check({}, query, kNow), expected) << query;
  }
  const HeaderView header = {"key", "s3cret+/="};
  EXPECT_EQ(credentials.Check(std::span(&header, 1), "", kNow), kMissing);
  EXPECT_EQ(credentials.secret_header(), "");
  EXPECT_EQ(credentials.SecretIn("a=b&key=x%41&c"), "x%41");
  EXPECT_FALSE(credentials.challenge().empty());
}

}  // namespace
}  // namespace webhook::core
