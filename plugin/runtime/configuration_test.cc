#include "plugin/runtime/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/testing/test_certificates.h"

namespace webhook::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Parameters = std::initializer_list<std::pair<absl::string_view, absl::string_view>>;

const absl::Time kNow = absl::FromUnixSeconds(1'714'557'600);  // 2024-05-01 10:00

TestCertificate Certificate(absl::Duration valid_for = absl::Hours(24 * 365)) {
  return MakeTestCertificate("webhook", kNow - absl::Hours(24 * 30), kNow + valid_for);
}

// A platform that asks for nothing, unless another one is named.
absl::StatusOr<Configuration> Read(Parameters parameters,
                                   absl::string_view product = "XSOAR_8_ON_PREM",
                                   absl::string_view name = "webhook", bool on_engine = false) {
  std::vector<lri_pair> pairs;
  for (const auto& [key, value] : parameters) pairs.push_back({ToView(key), ToView(value)});
  lri_instance_options options{};
  options.struct_size = sizeof options;
  options.on_engine = on_engine;
  options.name = ToView(name);
  options.product = ToView(product);
  options.platform_url = ToView("https://my.xsoar.live");
  options.parameters = {pairs.data(), pairs.size(), sizeof(lri_pair)};
  return ReadConfiguration(options, Limits(), kNow);
}

std::string Refusal(const absl::StatusOr<Configuration>& configuration) {
  return configuration.ok() ? "accepted" : std::string(configuration.status().message());
}

TEST(ConfigurationTest, UnknownParameterIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"pasword", "x"}})), HasSubstr("unknown parameter \"pasword\""));
}

TEST(ConfigurationTest, RefusalIsOneLineWhateverItQuotes) {
  EXPECT_EQ(Refusal(Read({{"a\nb\xff", "x"}})), "unknown parameter \"a\\nb\\xff\"");
  EXPECT_THAT(Refusal(Read({}, "X\n")), StartsWith("product: \"X\\n\" must be one of "));
  EXPECT_THAT(Refusal(Read({{std::string(2'000, 'a'), "x"}})), SizeIs(Lt(200u)));
}

TEST(ConfigurationTest, IncidentTypeThatIsNoUtf8IsRefused) {
  EXPECT_EQ(Refusal(Read({{"incidentType", "\xff"}})), "incidentType must be valid UTF-8");
  EXPECT_EQ(Refusal(Read({{"incidentType", "\xc3\xa9"}})), "accepted");
}

TEST(ConfigurationTest, RepeatedParameterIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"username", "a"}, {"username", "b"}})), HasSubstr("username"));
}

TEST(ConfigurationTest, ImpossiblePortIsRefused) {
  for (const char* port : {"0", "65536", "-1", "80a", "8000.5"}) {
    EXPECT_THAT(Refusal(Read({{"longRunningPort", port}}, "XSOAR_6")), HasSubstr("longRunningPort"))
        << port;
  }
}

TEST(ConfigurationTest, PasswordWithoutUsernameIsRefused) {
  EXPECT_THAT(Refusal(Read({{"password", "secret"}})), HasSubstr("username"));
}

TEST(ConfigurationTest, EmptySecretIsRefused) {
  EXPECT_THAT(Refusal(Read({{"username", "user"}})), HasSubstr("password"));
  EXPECT_THAT(Refusal(Read({{"username", "_header:X-Token"}})), HasSubstr("password"));
}

TEST(ConfigurationTest, CertificateWithoutKeyAndKeyWithoutCertificateAreRefused) {
  EXPECT_THAT(Refusal(Read({{"certificate", "PEM"}})), HasSubstr("key is missing"));
  EXPECT_THAT(Refusal(Read({{"key", "PEM"}})), HasSubstr("certificate is missing"));
}

TEST(ConfigurationTest, CertificateAndKeyThatCannotServeAreRefusedByParameter) {
  const TestCertificate one = Certificate(), other = Certificate();
  EXPECT_THAT(Refusal(Read({{"certificate", "PEM"}, {"key", one.key}})),
              StartsWith("certificate: no PEM certificate"));
  EXPECT_THAT(Refusal(Read({{"certificate", one.certificate}, {"key", "PEM"}})),
              StartsWith("key: no PEM private key"));
  EXPECT_THAT(Refusal(Read({{"certificate", one.certificate}, {"key", one.encrypted_key}})),
              StartsWith("key: it is encrypted"));
  EXPECT_THAT(Refusal(Read({{"certificate", one.certificate}, {"key", other.key}})),
              StartsWith("key: it does not belong to the certificate"));
  EXPECT_THAT(Refusal(Read({{"longRunningPort", "8000"},
                            {"certificate", one.certificate},
                            {"key", one.key},
                            {"client_ca", "PEM"}},
                           "XSOAR_6")),
              StartsWith("client_ca: no PEM certificate"));
}

TEST(ConfigurationTest, ParametersThatMeanNothingAloneAreRefused) {
  const TestCertificate one = Certificate();
  EXPECT_THAT(
      Refusal(Read({{"longRunningPort", "8000"}, {"client_ca", one.certificate}}, "XSOAR_6")),
      HasSubstr("client_ca needs certificate and key"));
  EXPECT_THAT(Refusal(Read({{"longRunningPort", "8000"},
                            {"certificate", one.certificate},
                            {"key", one.key},
                            {"client_crl", "PEM"}},
                           "XSOAR_6")),
              StartsWith("client_crl needs client_ca"));
  EXPECT_THAT(Refusal(Read({{"bind_address", "127.0.0.1"}})),
              HasSubstr("bind_address needs longRunningPort"));
  EXPECT_THAT(Refusal(Read({{"trusted_proxies", "10.0.0.0/8"}})),
              HasSubstr("trusted_proxies needs longRunningPort"));
  EXPECT_THAT(Refusal(Read({{"longRunningPort", "8000"}, {"trusted_proxies", "::1, 10.0.0.0/33"}},
                           "XSOAR_6")),
              HasSubstr("trusted_proxies: \"10.0.0.0/33\""));
  for (const char* name : {"forwarding_header", "proxy_protocol"}) {
    EXPECT_THAT(
        Refusal(Read({{"longRunningPort", "8000"}, {name, name[0] == 'f' ? "Forwarded" : "true"}},
                     "XSOAR_6")),
        StartsWith(std::string(name) + " needs trusted_proxies"));
  }
}

TEST(ConfigurationTest, WordsAndNetworksThatCannotBeReadAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"requests_per_second", "0"},
      {"requests_per_second", "1.5"},
      {"concurrent_requests", "1000001"},
      {"concurrent_requests", "+1"},
      {"rate_limit_status", "500"},
      {"forwarding_header", "X-Real-IP"},
      {"proxy_protocol", "yes"},
      {"allow", "10.0.0.1/8"},
      {"allow", ", ,"},
      {"allow", "localhost"},
  };
  for (const auto& [name, value] : cases) {
    EXPECT_THAT(Refusal(Read(
                    {{"longRunningPort", "8000"}, {"trusted_proxies", "10.0.0.0/8"}, {name, value}},
                    "XSOAR_6")),
                StartsWith(name))
        << value;
  }
  EXPECT_EQ(Read({{"allow", "10.0.0.0/8, 2001:db8::7"}})->allow.size(), 2u);
}

TEST(ConfigurationTest, MalformedPasswordsAreRefusedByEntryAndNeverQuoted) {
  const std::pair<const char*, const char*> cases[] = {
      {"hunter2", "passwords must be a JSON array"},
      {R"({"password": "hunter2"})", "passwords must be a JSON array"},
      {R"(["hunter2"])", "passwords must be a JSON array"},
      {R"([])", "passwords: the list is empty"},
      {R"([{"password": "hunter2"}, {"pasword": "hunter2"}])", "passwords: entry 1: only password"},
      {R"([{"expires": "2030-01-01T00:00:00Z"}])", "passwords: entry 0: password is missing"},
      {R"([{"password": ""}])", "passwords: entry 0: password is empty"},
      {R"([{"password": 5}])", "passwords: entry 0: password must be text"},
      {R"([{"password": "hunter2", "password": "b"}])", "passwords: entry 0: password is given"},
      {R"([{"password": "hunter2", "expires": "tomorrow"}])", "passwords: entry 0: expires must"},
      {R"([{"password": "hunter2", "expires": 5}])", "passwords: entry 0: expires must"},
      {R"([{"password": "hunter2", "expires": "infinite-future"}])", "entry 0: expires must"},
      {R"([{"password": "hunter2", "expires": "2024-05-01T10:00:00Z"}])", "have expired"},
  };
  for (const auto& [passwords, reason] : cases) {
    const std::string refusal = Refusal(Read({{"username", "u"}, {"passwords", passwords}}));
    EXPECT_THAT(refusal, HasSubstr(reason)) << passwords;
    EXPECT_THAT(refusal, Not(HasSubstr("hunter2"))) << passwords;
  }
  EXPECT_THAT(Refusal(Read({{"passwords", R"([{"password": "hunter2"}])"}})),
              HasSubstr("username"));
}

TEST(ConfigurationTest, MorePasswordsThanTheLimitAreRefused) {
  std::string passwords = "[";
  for (int i = 0; i < 33; ++i) passwords += R"({"password": "p"},)";
  passwords.back() = ']';
  EXPECT_THAT(Refusal(Read({{"username", "u"}, {"passwords", passwords}})),
              HasSubstr("passwords: at most 32"));
}

TEST(ConfigurationTest, MissingCredentialsAreRefusedWhereThePlatformRequiresThem) {
  EXPECT_THAT(Refusal(Read({}, "XSIAM_3")), HasSubstr("username is required"));
  EXPECT_TRUE(Read({{"longRunningPort", "8000"}}, "XSIAM_3", "webhook", /*on_engine=*/true).ok());
}

TEST(ConfigurationTest, MissingListenPortIsRefusedWhereThePlatformShowsIt) {
  EXPECT_EQ(Refusal(Read({}, "XSOAR_6")), "longRunningPort is required for XSOAR_6");
  for (const core::Platform& platform : core::Platforms()) {
    const auto refusal = Refusal(Read({{"username", "u"}, {"password", "p"}}, platform.product_name,
                                      "webhook", platform.on_engine));
    EXPECT_EQ(refusal, !platform.listen_port_shown ? "accepted"
                       : platform.on_engine ? absl::StrCat("longRunningPort is required for ",
                                                           platform.product_name, " on an engine")
                                            : absl::StrCat("longRunningPort is required for ",
                                                           platform.product_name));
  }
}

TEST(ConfigurationTest, ParameterThatThePlatformDoesNotShowIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"username", "u"}, {"password", "p"}, {"longRunningPort", "8000"}},
                           "XSOAR_8_CLOUD")),
              HasSubstr("longRunningPort"));
  EXPECT_THAT(Refusal(Read({{"username", "u"}, {"password", "p"}, {"key", "PEM"}}, "XSIAM_2")),
              HasSubstr("key"));
}

TEST(ConfigurationTest, NameWithSpecialCharactersIsRefusedWithTheRule) {
  for (const char* name : {"", "a b", "a/b", "a.b", "\xc3\xa9"}) {
    EXPECT_THAT(Refusal(Read({}, "XSOAR_8_ON_PREM", name)), HasSubstr("letters, digits")) << name;
  }
  EXPECT_FALSE(Read({}, "XSOAR_8_ON_PREM", std::string(65, 'a')).ok());
  EXPECT_TRUE(Read({}, "XSOAR_8_ON_PREM", std::string(64, 'a')).ok());
}

TEST(ConfigurationTest, MalformedDuplicationKeyIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"duplication_key", "event..id"}})), HasSubstr("duplication_key"));
  EXPECT_THAT(Refusal(Read({{"duplication_key", "items[].id"}})), HasSubstr("duplication_key"));
}

TEST(ConfigurationTest, LifetimeOfKeysThatIsNoneIsRefusedByName) {
  for (const char* ttl : {"0", "-1", "1.5", "1ms", "h", "24 hours", "inf", "1d", "31536001",
                          "8761h", "99999999999999999999"}) {
    EXPECT_THAT(Refusal(Read({{"duplication_key", "id"}, {"delivery_key_ttl", ttl}})),
                StartsWith("delivery_key_ttl must be"));
  }
  EXPECT_THAT(Refusal(Read({{"delivery_key_ttl", "24h"}})),
              StartsWith("delivery_key_ttl needs duplication_key or source"));
}

TEST(ConfigurationTest, LifetimeOfKeysIsReadInSecondsOrWithItsUnit) {
  for (const char* ttl : {"5400", "90m", "1h30m", "1.5h", "5400s"}) {
    const auto configuration = Read({{"duplication_key", "id"}, {"delivery_key_ttl", ttl}});
    ASSERT_TRUE(configuration.ok()) << configuration.status();
    EXPECT_EQ(configuration->delivery_key_ttl, absl::Seconds(5400)) << ttl;
  }
  EXPECT_EQ(Read({{"duplication_key", "id"}})->delivery_key_ttl, absl::ZeroDuration());
}

TEST(ConfigurationTest, SourceWithNothingToCheckItsSenderWithIsRefused) {
  EXPECT_THAT(Refusal(Read({{"source", "github"}})), StartsWith("signing_secrets: source github"));
  EXPECT_THAT(Refusal(Read({{"source", "githb"}, {"signing_secrets", "0123456789abcdef"}})),
              HasSubstr("did you mean github"));
  EXPECT_EQ(Refusal(Read({{"source", "github"}, {"unauthenticated", "true"}})), "accepted");
  EXPECT_EQ(Refusal(Read({{"source", "github"}, {"signing_secrets", "0123456789abcdef"}})),
            "accepted");
}

TEST(ConfigurationTest, SourceThatSignsWhatIsNotConfiguredIsRefusedByTheParametersName) {
  const std::pair<absl::string_view, absl::string_view> secret = {"signing_secrets",
                                                                  "0123456789abcdef"};
  EXPECT_THAT(Refusal(Read({{"source", "twilio"}, secret})), StartsWith("public_url: "));
  EXPECT_EQ(
      Refusal(Read({{"source", "twilio"}, secret, {"public_url", "https://host.example/hook"}})),
      "accepted");
}

TEST(ConfigurationTest, SourceIsWarnedOfOnceAboutEachOfItsWeaknesses) {
  const std::pair<absl::string_view, absl::string_view> secret = {"signing_secrets",
                                                                  "0123456789abcdef"};
  const auto warnings =
      [&](absl::string_view source, std::pair<absl::string_view, absl::string_view> one,
          std::pair<absl::string_view, absl::string_view> other = {"incidentType", "x"}) {
        auto read = Read({{"source", source}, secret, one, other});
        EXPECT_TRUE(read.ok()) << read.status();
        return read->warnings;
      };
  EXPECT_THAT(warnings("github", {"replay_check", "false"}),
              ElementsAre(StartsWith("replay_check is off")));
  EXPECT_THAT(warnings("twilio", {"public_url", "https://host.example/hook"}),
              ElementsAre("the source twilio signs with SHA-1"));
  EXPECT_THAT(warnings("alertmanager", {"username", "u"}, {"password", "p"}),
              ElementsAre(HasSubstr("leave one out")));
}

TEST(ConfigurationTest, WhatMeansSomethingToASourceAloneIsRefusedWithoutOne) {
  for (const char* name : {"signing_secrets", "named_secrets", "rules", "jwks", "public_url"}) {
    EXPECT_THAT(Refusal(Read({{name, "[]"}})), StartsWith(absl::StrCat(name, " needs a source")));
  }
}

TEST(ConfigurationTest, KeysOfASourceLiveADayAndAtLeastTwiceItsWindow) {
  const std::pair<absl::string_view, absl::string_view> source = {"source", "slack"};
  const std::pair<absl::string_view, absl::string_view> secret = {"signing_secrets",
                                                                  "0123456789abcdef"};
  EXPECT_THAT(Refusal(Read({source, secret, {"delivery_key_ttl", "599"}})),
              StartsWith("delivery_key_ttl must be at least 600 seconds"));
  EXPECT_EQ(Refusal(Read({source, secret, {"delivery_key_ttl", "600"}})), "accepted");
  EXPECT_EQ(Read({source, secret})->delivery_key_ttl, absl::Hours(24));
}

TEST(ConfigurationTest, DuplicationKeyThatNamesASecretHeaderIsRefused) {
  EXPECT_THAT(Refusal(Read({{"duplication_key", "event.id, headers.X-Hub-Signature"}})),
              StartsWith("duplication_key: the header x-hub-signature"));
  EXPECT_THAT(Refusal(Read({{"username", "_header:X-Token"},
                            {"password", "p"},
                            {"duplication_key", "headers.x-token"}})),
              StartsWith("duplication_key: the header x-token"));
}

TEST(ConfigurationTest, UnknownMirrorDirectionIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"mirror_direction", "Both"}})), HasSubstr("mirror_direction"));
}

TEST(ConfigurationTest, NoErrorShowsASecret) {
  for (const auto& configuration :
       {Read({{"password", "hunter2"}}),
        Read({{"username", "u"}, {"password", "hunter2"}, {"key", "hunter2"}}),
        Read({{"username", "u"}, {"key", "hunter2"}, {"certificate", "hunter2"}})}) {
    EXPECT_THAT(Refusal(configuration), ::testing::Not(HasSubstr("hunter2")));
  }
}

TEST(ConfigurationTest, MissingCredentialsAreWarnedOfWhereTheyAreOptional) {
  auto open = Read({});
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_THAT(open->warnings, ElementsAre(HasSubstr("unexpected requests can create incidents")));
  auto closed = Read({{"username", "user"}, {"password", "pass"}});
  ASSERT_TRUE(closed.ok()) << closed.status();
  EXPECT_THAT(closed->warnings, IsEmpty());
}

TEST(ConfigurationTest, CertificateIsWarnedOfBeforeAndAfterItsEnd) {
  const auto warnings = [](absl::Duration valid_for) {
    const TestCertificate one = Certificate(valid_for);
    auto read = Read(
        {{"username", "u"}, {"password", "p"}, {"certificate", one.certificate}, {"key", one.key}});
    EXPECT_TRUE(read.ok()) << read.status();
    return read->WarningsAt(kNow);
  };
  EXPECT_THAT(warnings(absl::Hours(-24)), ElementsAre(HasSubstr("it expired on 2024-04-30")));
  EXPECT_THAT(warnings(absl::Hours(24)), ElementsAre(HasSubstr("it expires on 2024-05-02")));
  EXPECT_THAT(warnings(absl::Hours(24 * 90)), IsEmpty());
}

TEST(ConfigurationTest, CertificateOfTheFutureIsWarnedOfUntilItIsValid) {
  const TestCertificate one =
      MakeTestCertificate("webhook", kNow + absl::Hours(24), kNow + absl::Hours(24 * 90));
  const auto read = Read(
      {{"username", "u"}, {"password", "p"}, {"certificate", one.certificate}, {"key", one.key}});
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(read->WarningsAt(kNow), ElementsAre(HasSubstr("is not valid before 2024-05-02")));
  EXPECT_THAT(read->WarningsAt(kNow + absl::Hours(24)), IsEmpty());
}

TEST(ConfigurationTest, CertificateOfASourceIsWarnedOfAsItsEndComesAndPasses) {
  const TestCertificate one =
      MakeTestCertificate("sns.amazonaws.com", kNow - absl::Hours(24), kNow + absl::Hours(24 * 20),
                          /*issuer=*/nullptr, /*is_rsa=*/true);
  const std::string certificates =
      absl::StrCat(R"({"https://sns.us-east-1.amazonaws.com/a.pem": ")",
                   absl::StrReplaceAll(one.certificate, {{"\n", "\\n"}}), "\"}");
  const auto read = Read({{"source", "aws-sns"},
                          {"topic_arn", "arn:aws:sns:us-east-1:123456789012:topic"},
                          {"certificates", certificates}});
  ASSERT_TRUE(read.ok()) << read.status();
  const auto days_later = [&](int days) {
    std::string all;
    for (const std::string& one : read->WarningsAt(kNow + absl::Hours(24 * days))) {
      if (absl::StartsWith(one, "certificates")) absl::StrAppend(&all, one, ".");
    }
    return all;
  };
  EXPECT_EQ(days_later(5), "");
  EXPECT_EQ(days_later(6),
            "certificates: that of https://sns.us-east-1.amazonaws.com/a.pem expires on "
            "2024-05-21.");
  EXPECT_EQ(days_later(20),
            "certificates: that of https://sns.us-east-1.amazonaws.com/a.pem expired on "
            "2024-05-21; what it has signed is refused.");
}

TEST(ConfigurationTest, ListedPasswordsAreTakenBesideTheDocumentedOneUntilTheyExpire) {
  auto configuration = Read(
      {{"username", "u"},
       {"password", "one"},
       {"passwords",
        R"([{"password": "two", "expires": "2024-06-01T00:00:00+02:00"}, {"password": "three"}])"}},
      "XSIAM_3");
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  const core::Credentials& credentials = configuration->credentials;
  const auto accepted = [&](absl::string_view basic, absl::Time now) {
    const core::HeaderView header{"Authorization", basic};
    return credentials.Check(std::span(&header, 1), "", now) == core::CredentialCheck::kAccepted;
  };
  const absl::Time end = absl::FromUnixSeconds(1'717'192'800);  // 2024-05-31 22:00
  EXPECT_TRUE(accepted("Basic dTpvbmU=", end));
  EXPECT_TRUE(accepted("Basic dTp0d28=", end - absl::Nanoseconds(1)));
  EXPECT_FALSE(accepted("Basic dTp0d28=", end));
  EXPECT_TRUE(accepted("Basic dTp0aHJlZQ==", end));
}

TEST(ConfigurationTest, PasswordsThatAllExpireAreWarnedOfFromThenOn) {
  auto configuration =
      Read({{"username", "u"},
            {"passwords", R"([{"password": "p", "expires": "2024-05-01T10:00:01Z"}])"}});
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_THAT(configuration->WarningsAt(kNow), IsEmpty());
  EXPECT_THAT(configuration->WarningsAt(kNow + absl::Seconds(1)),
              ElementsAre(HasSubstr("passwords: all of them have expired")));
}

TEST(ConfigurationTest, ListenPortIsOpenToEveryAddressUnlessOneIsNamed) {
  EXPECT_EQ(Read({{"longRunningPort", "8000"}}, "XSOAR_6")->bind_address, "0.0.0.0");
  EXPECT_EQ(
      Read({{"longRunningPort", "8000"}, {"bind_address", "127.0.0.1"}}, "XSOAR_6")->bind_address,
      "127.0.0.1");
}

TEST(ConfigurationTest, DocumentedParametersAreRead) {
  auto configuration = Read({{"longRunningPort", "8000"},
                             {"username", "user"},
                             {"password", "pass"},
                             {"incidentType", "Phishing"},
                             {"store_samples", "true"},
                             {"duplication_key", "event.id, headers.x-request-id"},
                             {"mirror_direction", "Incoming"},
                             {"mirror_tags", "a,b"},
                             {"mirror_instance", "other"}},
                            "XSOAR_6");
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_EQ(configuration->listen_port, 8000);
  EXPECT_EQ(configuration->incident_type, "Phishing");
  EXPECT_TRUE(configuration->store_samples);
  EXPECT_EQ(configuration->duplication_key.size(), 2u);
  EXPECT_EQ(configuration->mirror_members,
            R"(,"mirror_direction":"In","mirror_tags":["a","b"],"mirror_instance":"other")");
  EXPECT_EQ(configuration->webhook_url, "https://my.xsoar.live/instance/execute/webhook");
  EXPECT_EQ(configuration->listen_url, "http://my.xsoar.live:8000/");
}

TEST(ConfigurationTest, EveryConfigurationHasATicketOfItsOwn) {
  EXPECT_NE(Read({})->ticket, Read({})->ticket);
  EXPECT_NE(Read({})->ticket, 0u);
}

}  // namespace
}  // namespace webhook::runtime
