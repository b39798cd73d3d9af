#include "plugin/runtime/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "plugin/runtime/host.h"

namespace webhook::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Parameters = std::initializer_list<std::pair<absl::string_view, absl::string_view>>;

absl::StatusOr<Configuration> Read(Parameters parameters, absl::string_view product = "XSOAR_6",
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
  return ReadConfiguration(options);
}

std::string Refusal(const absl::StatusOr<Configuration>& configuration) {
  return configuration.ok() ? "accepted" : std::string(configuration.status().message());
}

TEST(ConfigurationTest, UnknownParameterIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"pasword", "x"}})), HasSubstr("unknown parameter \"pasword\""));
}

TEST(ConfigurationTest, RepeatedParameterIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"username", "a"}, {"username", "b"}})), HasSubstr("username"));
}

TEST(ConfigurationTest, ImpossiblePortIsRefused) {
  for (const char* port : {"0", "65536", "-1", "80a", "8000.5"}) {
    EXPECT_THAT(Refusal(Read({{"longRunningPort", port}})), HasSubstr("longRunningPort")) << port;
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

TEST(ConfigurationTest, MissingCredentialsAreRefusedWhereThePlatformRequiresThem) {
  EXPECT_THAT(Refusal(Read({}, "XSIAM_3")), HasSubstr("username is required"));
  EXPECT_TRUE(Read({}, "XSIAM_3", "webhook", /*on_engine=*/true).ok());
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
    EXPECT_THAT(Refusal(Read({}, "XSOAR_6", name)), HasSubstr("letters, digits")) << name;
  }
  EXPECT_FALSE(Read({}, "XSOAR_6", std::string(65, 'a')).ok());
  EXPECT_TRUE(Read({}, "XSOAR_6", std::string(64, 'a')).ok());
}

TEST(ConfigurationTest, MalformedDuplicationKeyIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"duplication_key", "event..id"}})), HasSubstr("duplication_key"));
  EXPECT_THAT(Refusal(Read({{"duplication_key", "items[].id"}})), HasSubstr("duplication_key"));
}

TEST(ConfigurationTest, UnknownMirrorDirectionIsRefusedByName) {
  EXPECT_THAT(Refusal(Read({{"mirror_direction", "Both"}})), HasSubstr("mirror_direction"));
}

TEST(ConfigurationTest, NoErrorShowsASecret) {
  for (const auto& configuration :
       {Read({{"password", "hunter2"}}),
        Read({{"username", "u"}, {"password", "hunter2"}, {"key", "hunter2"}})}) {
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

TEST(ConfigurationTest, DocumentedParametersAreRead) {
  auto configuration = Read({{"longRunningPort", "8000"},
                             {"username", "user"},
                             {"password", "pass"},
                             {"incidentType", "Phishing"},
                             {"store_samples", "true"},
                             {"duplication_key", "event.id, headers.x-request-id"},
                             {"mirror_direction", "Incoming"},
                             {"mirror_tags", "a,b"},
                             {"mirror_instance", "other"}});
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_EQ(configuration->listen_port, 8000);
  EXPECT_EQ(configuration->incident_type, "Phishing");
  EXPECT_TRUE(configuration->store_samples);
  EXPECT_EQ(configuration->duplication_key.paths().size(), 2u);
  EXPECT_EQ(configuration->mirroring.members(),
            R"(,"mirror_direction":"In","mirror_tags":["a","b"],"mirror_instance":"other")");
  EXPECT_EQ(configuration->webhook_url, "https://my.xsoar.live/instance/execute/webhook");
  EXPECT_EQ(configuration->listen_url, "https://my.xsoar.live:8000/");
}

TEST(ConfigurationTest, EveryConfigurationHasATicketOfItsOwn) {
  EXPECT_NE(Read({})->ticket, Read({})->ticket);
  EXPECT_NE(Read({})->ticket, 0u);
}

}  // namespace
}  // namespace webhook::runtime
