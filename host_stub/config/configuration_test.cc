#include "host_stub/config/configuration.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plugin/base/characters.h"

namespace host_stub {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

// The message of the refusal; "" where the text is accepted.
std::string Refusal(const std::string& text, const std::string& folder = "/nowhere") {
  const auto configuration = ParseConfiguration(text, "host.json", folder);
  if (configuration.ok()) return "";
  EXPECT_EQ(configuration.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(configuration.status().message()), Not(HasSubstr("\n")));
  return std::string(configuration.status().message());
}

// A document with the given parameters, each written as "name": value.
std::string WithParameters(const std::string& parameters) {
  return absl::StrCat(
      R"({"platform": {"product": "XSOAR_6"}, "instances": [{"name": "webhook", "configuration": {)",
      parameters, "}}]}");
}

std::string WithInstances(const std::string& instances) {
  return absl::StrCat(R"({"platform": {"product": "XSOAR_6"}, "instances": )", instances, "}");
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/configuration_test.XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryFolder() { EXPECT_EQ(::system(absl::StrCat("rm -r ", path_).c_str()), 0); }

  std::string Write(const std::string& name, const std::string& contents, mode_t mode) const {
    const std::string file = absl::StrCat(path_, "/", name);
    std::ofstream(file) << contents;
    EXPECT_EQ(::chmod(file.c_str(), mode), 0);
    return file;
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ConfigurationRefusals, TextThatIsNoJsonIsRefusedWithLineAndColumn) {
  EXPECT_EQ(Refusal("{\n\"platform\": {\"product\": \"XSOAR_6\"},\n}"),
            "host.json: not valid JSON: line 3, column 1: this is not expected here");
  EXPECT_THAT(Refusal(""), HasSubstr("host.json: not valid JSON: line 1"));
  EXPECT_THAT(Refusal("{\"a\": \"\xff\"}"), HasSubstr("host.json: not valid JSON: "));
  EXPECT_THAT(Refusal(std::string(100'000, '[')), HasSubstr("not valid JSON"));
}

TEST(ConfigurationRefusals, UnknownKeysAreRefusedWithTheirPlaceAndAGuess) {
  EXPECT_EQ(Refusal(WithParameters(R"("passwrd": "x")")),
            "host.json: instances[0].configuration.passwrd: unknown; did you mean \"password\"?");
  EXPECT_EQ(Refusal(WithParameters(R"("pasword_file": "x")")),
            "host.json: instances[0].configuration.pasword_file: unknown; did you mean "
            "\"password_file\"?");
  EXPECT_EQ(Refusal(R"({"platform": {"product": "XSOAR_6"}, "instance": []})"),
            "host.json: instance: unknown; did you mean \"instances\"?");
  EXPECT_THAT(Refusal(R"({"platform": {"colour": "red"}})"),
              HasSubstr("platform.colour: unknown; known are: product, url, engine"));
  EXPECT_THAT(Refusal(R"({"platform": {"product": "XSOAR_6"}, "limits": {"body_byte": 1}})"),
              HasSubstr("limits.body_byte: unknown; did you mean \"body_bytes\"?"));
  EXPECT_THAT(Refusal(WithInstances(R"([{"name": "a", "configuration": {}, "port": 1}])")),
              HasSubstr("instances[0].port: unknown; known are: name, configuration"));
}

TEST(ConfigurationRefusals, RetentionThatKeepsNothingOrIsNoneIsRefused) {
  const auto refusal = [](const char* retention) {
    return Refusal(
        absl::StrCat(R"({"platform": {"product": "XSOAR_6"}, "retention": )", retention, "}"));
  };
  EXPECT_EQ(refusal("{}"), "host.json: retention: needs days or bytes");
  EXPECT_EQ(refusal(R"({"days": 0})"), "host.json: retention.days: must be 1 to 36500");
  EXPECT_THAT(refusal(R"({"days": 36501})"), HasSubstr("must be 1 to 36500"));
  EXPECT_THAT(refusal(R"({"days": 1.5})"), HasSubstr("retention.days"));
  EXPECT_THAT(refusal(R"({"days": "30"})"), HasSubstr("retention.days"));
  EXPECT_THAT(refusal(R"({"bytes": 1048575})"), HasSubstr("retention.bytes: must be 1048576 to"));
  EXPECT_THAT(refusal(R"({"bytes": 99999999999999999999})"), HasSubstr("retention.bytes"));
  EXPECT_THAT(refusal(R"({"day": 1})"), HasSubstr("did you mean \"days\"?"));
}

TEST(ConfigurationTest, RetentionIsOffUnlessSet) {
  const auto plain = ParseConfiguration(R"({"platform": {"product": "XSOAR_6"}})", "f", "/");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_FALSE(plain->retention.is_set());
  const auto both = ParseConfiguration(
      R"({"platform": {"product": "XSOAR_6"}, "retention": {"days": 30, "bytes": 1073741824}})",
      "f", "/");
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(both->retention.days, 30);
  EXPECT_EQ(both->retention.bytes, 1'073'741'824);
}

TEST(ConfigurationRefusals, AHostileKeyIsShownOnOneShortLine) {
  const std::string refusal =
      Refusal(absl::StrCat(R"({"a\n\u001b[2J)", std::string(10'000, 'x'), R"(": 1})"));
  EXPECT_LT(refusal.size(), 300u);
  EXPECT_THAT(refusal, Not(HasSubstr("\x1b")));
}

TEST(ConfigurationRefusals, ALongKeyIsNotCutWithinACharacter) {
  const std::string before(79, 'x');
  EXPECT_THAT(Refusal(absl::StrCat("{\"", before, "\xc3\xa9\": 1}")),
              HasSubstr(absl::StrCat("[\"", before, "\"]: unknown")));
}

TEST(ConfigurationRefusals, AHostilePathIsShownOnOneLine) {
  EXPECT_THAT(Refusal(WithParameters(R"("username_file": "/no/such\nfile")")),
              HasSubstr("/no/such\\nfile: No such file"));
  EXPECT_THAT(Refusal(WithParameters(
                  absl::StrCat(R"("username_file": "/)", std::string(5'000, 'x'), "\""))),
              HasSubstr("must be the path of a file"));
}

TEST(ConfigurationRefusals, RepeatedKeysAreRefused) {
  EXPECT_EQ(Refusal(WithParameters(R"("username": "a", "username": "b")")),
            "host.json: instances[0].configuration.username: occurs twice");
  EXPECT_THAT(Refusal(R"({"platform": {"product": "XSOAR_6"}, "platform": {}})"),
              HasSubstr("platform: occurs twice"));
  EXPECT_THAT(Refusal(R"({"serverConfiguration": {"a.b": "1", "a.b": "2"}})"),
              HasSubstr("serverConfiguration[\"a.b\"]: occurs twice"));
}

TEST(ConfigurationRefusals, WrongTypesAreRefusedWithBothTypes) {
  EXPECT_EQ(Refusal("[]"), "host.json: must be an object, but is an array");
  EXPECT_EQ(Refusal(WithParameters(R"("username": 5)")),
            "host.json: instances[0].configuration.username: must be a string, but is a number");
  EXPECT_THAT(Refusal(WithParameters(R"("password": null)")),
              HasSubstr("must be a string, but is null"));
  EXPECT_THAT(Refusal(WithParameters(R"("longRunningPort": true)")),
              HasSubstr("must be a port, as in 8000 or \"8000\", but is true or false"));
  EXPECT_THAT(Refusal(WithParameters(R"("longRunningPort": 8000.5)")),
              HasSubstr("must be a whole number"));
  EXPECT_THAT(Refusal(WithParameters(R"("store_samples": "yes")")),
              HasSubstr("store_samples: must be true or false"));
  EXPECT_THAT(Refusal(WithParameters(R"("store_samples": 1)")),
              HasSubstr("store_samples: must be true or false, but is a number"));
  EXPECT_THAT(Refusal(R"({"platform": {"product": "XSOAR_6", "engine": "true"}})"),
              HasSubstr("platform.engine: must be true or false, but is a string"));
  EXPECT_THAT(Refusal(R"({"serverConfiguration": {"a.b": true}})"),
              HasSubstr("serverConfiguration[\"a.b\"]: must be a string, but is true or false"));
  EXPECT_THAT(Refusal(R"({"limits": {"body_bytes": "1"}})"),
              HasSubstr("limits.body_bytes: must be a whole number, but is a string"));
  EXPECT_THAT(Refusal(WithInstances("{}")), HasSubstr("instances: must be an array"));
  EXPECT_THAT(Refusal(WithInstances("[1]")), HasSubstr("instances[0]: must be an object"));
}

TEST(ConfigurationRefusals, LimitsOutOfRangeAreRefusedWithTheRange) {
  EXPECT_THAT(Refusal(R"({"trusted_proxies": ["::1", "10.0.0.1/8"]})"),
              HasSubstr("trusted_proxies[1]: \"10.0.0.1/8\" is an address within a network"));
  EXPECT_THAT(Refusal(R"({"forwarding_header": "X-Real-IP"})"),
              HasSubstr("forwarding_header: must be X-Forwarded-For, Forwarded or none"));
  EXPECT_THAT(Refusal(R"({"platform": {"product": "XSOAR_6"}, "proxy_protocol": true})"),
              HasSubstr("proxy_protocol: needs trusted_proxies"));
  EXPECT_THAT(Refusal(R"({"limits": {"body_bytes": 0}})"),
              HasSubstr("limits: body_bytes must be a whole number from 1 to"));
}

TEST(ConfigurationRefusals, WhatIsRequiredIsMissed) {
  EXPECT_EQ(Refusal("{}"), "host.json: platform: is missing");
  EXPECT_THAT(Refusal(R"({"platform": {}})"), HasSubstr("platform.product: is missing; one of"));
  EXPECT_THAT(Refusal(R"({"platform": {"product": "XSIAM_3", "url": "nope"}})"),
              HasSubstr("platform.url: must be like https://my.xsoar.live"));
  EXPECT_EQ(Refusal(WithInstances(R"([{"configuration": {}}])")),
            "host.json: instances[0].name: is missing");
  EXPECT_EQ(Refusal(WithInstances(R"([{"name": "a"}])")),
            "host.json: instances[0].configuration: is missing");
}

TEST(ConfigurationRefusals, UnknownProductsAreRefusedWithAGuess) {
  EXPECT_EQ(Refusal(R"({"platform": {"product": "XSOAR_7"}})"),
            "host.json: platform.product: unknown; did you mean \"XSOAR_6\"?");
}

TEST(ConfigurationRefusals, NamesThatDoNotFitIntoAUrlAreRefused) {
  for (const char* name : {"", "a b", "a/b", "a.b", "\\u00e9", "a\\u0000", "webhook\\n"}) {
    EXPECT_THAT(
        Refusal(WithInstances(absl::StrCat(R"([{"name": ")", name, R"(", "configuration": {}}])"))),
        HasSubstr("instances[0].name: must be 1 to 64 of the characters"))
        << name;
  }
  EXPECT_FALSE(base::IsName(std::string(65, 'a')));
  EXPECT_TRUE(base::IsName(std::string(64, 'a')));
}

TEST(ConfigurationRefusals, ANameIsGivenOnce) {
  EXPECT_EQ(Refusal(WithInstances(R"([{"name": "a", "configuration": {}},
                                      {"name": "a", "configuration": {}}])")),
            "host.json: instances[1].name: \"a\" is the name of instances[0].name already");
}

TEST(ConfigurationRefusals, APortIsGivenOnceHoweverItIsWritten) {
  EXPECT_EQ(Refusal(WithInstances(
                R"([{"name": "a", "configuration": {"longRunningPort": "8000"}},
                    {"name": "b", "configuration": {"longRunningPort": 8000}}])")),
            "host.json: instances[1].configuration.longRunningPort: port 8000 is taken by "
            "instances[0].configuration.longRunningPort; each instance needs its own");
}

TEST(ConfigurationRefusals, PortsThatDoNotExistAreRefused) {
  for (const char* port : {"65536", "-1", "\"http\"", "\"80 00\"", "9999999999"}) {
    EXPECT_THAT(Refusal(WithParameters(absl::StrCat("\"longRunningPort\": ", port))),
                HasSubstr("longRunningPort: must be a"))
        << port;
  }
}

TEST(ConfigurationRefusals, ASecretIsGivenInOneWayOnly) {
  TemporaryFolder folder;
  folder.Write("secret", "pass", 0600);
  EXPECT_EQ(Refusal(WithParameters(R"("password": "a", "password_file": "secret")"), folder.path()),
            "host.json: instances[0].configuration.password_file: both password and "
            "password_file are given; keep one");
  EXPECT_THAT(
      Refusal(WithParameters(R"("password_file": "secret", "password": "a")"), folder.path()),
      HasSubstr("both password and password_file are given"));
}

TEST(ConfigurationRefusals, SecretsThatOthersCanReadAreRefusedWithTheRemedy) {
  TemporaryFolder folder;
  const std::string file = folder.Write("secret", "pass", 0644);
  for (const char* name : {"password_file", "key_file"}) {
    const std::string parameters = absl::StrCat("\"", name, "\": \"secret\"");
    EXPECT_THAT(Refusal(WithParameters(parameters), folder.path()),
                HasSubstr(absl::StrCat("chmod 600 ", file)));
  }
  folder.Write("secret", "pass", 0660);
  EXPECT_THAT(Refusal(WithParameters(R"("key_file": "secret")"), folder.path()),
              HasSubstr("is open to other users (mode 0660)"));
  EXPECT_THAT(Refusal(WithParameters(R"("passwords_file": "secret")"), folder.path()),
              HasSubstr("is open to other users (mode 0660)"));
}

TEST(ConfigurationRefusals, FilesThatEverybodyCanChangeAreRefusedWithTheRemedy) {
  TemporaryFolder folder;
  const std::string file = folder.Write("text", "text", 0666);
  for (const char* name : {"client_ca_file", "certificate_file", "username_file"}) {
    const std::string parameters = absl::StrCat("\"", name, "\": \"text\"");
    EXPECT_THAT(Refusal(WithParameters(parameters), folder.path()),
                HasSubstr(absl::StrCat(file, " can be changed by others: its file ", file,
                                       " can be written by everybody (mode 0666); run: chmod go-w ",
                                       file)));
  }
}

TEST(ConfigurationRefusals, FilesInAFolderThatOthersCanWriteToAreRefusedAlsoBehindALink) {
  TemporaryFolder folder;
  folder.Write("text", "text", 0600);
  const std::string open = absl::StrCat(folder.path(), "/open");
  ASSERT_EQ(::mkdir(open.c_str(), 0700), 0);
  ASSERT_EQ(::symlink("../text", absl::StrCat(open, "/link").c_str()), 0);
  ASSERT_EQ(::rename(folder.Write("inside", "text", 0600).c_str(), (open + "/inside").c_str()), 0);
  ASSERT_EQ(::symlink("open/inside", absl::StrCat(folder.path(), "/link").c_str()), 0);
  const char* const files[] = {"open/link", "open/inside", "link"};
  for (const mode_t mode : {0770, 0777, 0720}) {
    ASSERT_EQ(::chmod(open.c_str(), mode), 0);
    for (const char* name : {"client_ca_file", "certificate_file", "username_file", "password_file",
                             "key_file", "passwords_file"}) {
      for (const char* file : files) {
        const std::string parameters = absl::StrCat("\"", name, "\": \"", file, "\"");
        EXPECT_THAT(Refusal(WithParameters(parameters), folder.path()),
                    HasSubstr(absl::StrCat("run: chmod go-w ", open)))
            << name << " " << file;
      }
    }
  }
  ASSERT_EQ(::chmod(open.c_str(), 0700), 0);
  for (const char* file : files) {
    const std::string parameters = absl::StrCat(R"("username_file": ")", file, "\"");
    EXPECT_TRUE(ParseConfiguration(WithParameters(parameters), "host.json", folder.path()).ok());
  }
}

TEST(ConfigurationRefusals, FilesThatCannotBeReadAreRefusedByName) {
  TemporaryFolder folder;
  EXPECT_EQ(Refusal(WithParameters(R"("password_file": "gone")"), folder.path()),
            absl::StrCat("host.json: instances[0].configuration.password_file: cannot read ",
                         folder.path(), "/gone: No such file or directory"));
  EXPECT_THAT(Refusal(WithParameters(R"("password_file": ".")"), folder.path()),
              HasSubstr("is not a regular file"));
  EXPECT_THAT(Refusal(WithParameters(R"("password_file": "")"), folder.path()),
              HasSubstr("must be the path of a file"));
  folder.Write("long", std::string((1 << 20) + 1, 'x'), 0600);
  EXPECT_THAT(Refusal(WithParameters(R"("password_file": "long")"), folder.path()),
              HasSubstr("is longer than the 1048576 bytes"));
}

TEST(ConfigurationRefusals, FilesThatAreNoUtf8AreRefused) {
  TemporaryFolder folder;
  folder.Write("latin", "caf\xe9", 0600);
  EXPECT_THAT(Refusal(WithParameters(R"("username_file": "latin")"), folder.path()),
              HasSubstr("/latin is not UTF-8 text"));
}

TEST(ConfigurationRefusals, ANamedPipeDoesNotStopTheStart) {
  TemporaryFolder folder;
  ASSERT_EQ(::mkfifo(absl::StrCat(folder.path(), "/pipe").c_str(), 0600), 0);
  EXPECT_THAT(Refusal(WithParameters(R"("password_file": "pipe")"), folder.path()),
              HasSubstr("is not a regular file"));
}

TEST(ConfigurationRefusals, NoMessageShowsASecret) {
  EXPECT_THAT(Refusal(WithParameters(R"("password": "hunter2", "colour": 1)")),
              Not(HasSubstr("hunter2")));
  EXPECT_THAT(Refusal(WithParameters("\"password\": \"hunter2\"\n\"colour\": 1")),
              Not(HasSubstr("hunter2")));
}

TEST(ExternalKeyTest, InstanceIsExternalOnlyWhereItsKeyIsTrue) {
  EXPECT_EQ(ExternalKey("webhook"), "instance.execute.external.webhook");
  EXPECT_TRUE(IsExternal({{"instance.execute.external.webhook", "true"}}, "webhook"));
  EXPECT_FALSE(IsExternal({{"instance.execute.external.webhook", "false"}}, "webhook"));
  EXPECT_FALSE(IsExternal({{"instance.execute.external.webhook", "true"}}, "other"));
}

TEST(Configuration, ReadsTheDocumentedExample) {
  const auto configuration = ParseConfiguration(
      R"({"platform": {"product": "XSOAR_6", "url": "https://my.xsoar.live", "engine": true},
          "serverConfiguration": {"instance.execute.external.webhook": "true"},
          "limits": {"body_bytes": 1024, "stream_calls_in_flight": 7},
          "trusted_proxies": ["10.0.0.0/8", "::1"], "forwarding_header": "Forwarded",
          "proxy_protocol": true,
          "instances": [{"name": "webhook", "configuration": {
             "longRunningPort": "8000", "username": "user", "password": "pass",
             "incidentType": "Phishing", "store_samples": true}}]})",
      "host.json", ".");
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_EQ(configuration->platform.product, "XSOAR_6");
  EXPECT_EQ(configuration->platform.url, "https://my.xsoar.live");
  EXPECT_TRUE(configuration->platform.engine);
  EXPECT_THAT(configuration->server_configuration,
              ElementsAre(Pair("instance.execute.external.webhook", "true")));
  EXPECT_EQ(configuration->limits.body_bytes, 1024);
  EXPECT_EQ(configuration->proxies.networks.size(), 2u);
  EXPECT_EQ(configuration->proxies.header, webhook::http::ForwardingHeader::kForwarded);
  EXPECT_TRUE(configuration->proxies.proxy_protocol);
  EXPECT_EQ(configuration->limits.stream_calls_in_flight, 7);
  EXPECT_THAT(configuration->limits_set,
              ElementsAre(Pair("body_bytes", "1024"), Pair("stream_calls_in_flight", "7")));
  ASSERT_EQ(configuration->instances.size(), 1u);
  EXPECT_EQ(configuration->instances[0].name, "webhook");
  EXPECT_THAT(configuration->instances[0].parameters,
              ElementsAre(Pair("longRunningPort", "8000"), Pair("username", "user"),
                          Pair("password", "pass"), Pair("incidentType", "Phishing"),
                          Pair("store_samples", "true")));
}

std::string WithStore(const std::string& members) {
  return absl::StrCat(R"({"platform": {"product": "XSOAR_6"}, "store": {)", members, "}}");
}

TEST(Configuration, KeysThatSealSecretsAreReadFromFilesThatNobodyElseReads) {
  TemporaryFolder folder;
  const std::string key(64, 'a');
  folder.Write("new.key", key + "\n", 0600);
  folder.Write("old.key", std::string(64, '1'), 0600);
  folder.Write("short.key", "s3cret", 0600);
  folder.Write("other.key", std::string(63, 'a') + "g", 0600);
  folder.Write("open.key", key, 0644);
  const auto with = [&](const std::string& files) {
    return WithStore(
        absl::StrCat(R"("url": "postgresql:///db", "secrets_key_files": [)", files, "]"));
  };
  for (const char* file : {R"("short.key")", R"("new.key", "other.key")"}) {
    EXPECT_THAT(Refusal(with(file), folder.path()),
                AllOf(HasSubstr("64 hexadecimal digits; make one with: openssl rand -hex 32"),
                      Not(HasSubstr("s3cret"))));
  }
  EXPECT_THAT(Refusal(with(R"("open.key")"), folder.path()),
              AllOf(HasSubstr("store.secrets_key_files[0]"), HasSubstr("chmod")));
  EXPECT_THAT(Refusal(with("1")), HasSubstr("store.secrets_key_files[0]"));
  auto configuration =
      ParseConfiguration(with(R"("new.key", "old.key")"), "host.json", folder.path());
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_THAT(configuration->store.secrets_keys, ElementsAre(key, std::string(64, '1')));
  WipeSecrets(*configuration);
  EXPECT_EQ(configuration->store.secrets_keys[0], std::string(64, '\0'));
}

TEST(Configuration, AcceptsPortsAndBooleansInBothSpellings) {
  const auto configuration = ParseConfiguration(
      WithInstances(
          R"([{"name": "a", "configuration": {"longRunningPort": 8000, "store_samples": "false"}},
              {"name": "b", "configuration": {"longRunningPort": "8001"}},
              {"name": "c", "configuration": {"longRunningPort": ""}},
              {"name": "d", "configuration": {"longRunningPort": ""}}])"),
      "host.json", ".");
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_THAT(configuration->instances[0].parameters,
              ElementsAre(Pair("longRunningPort", "8000"), Pair("store_samples", "false")));
}

TEST(Configuration, SecretsComeFromFilesBesideItLessOneLineEnd) {
  TemporaryFolder folder;
  folder.Write("password", "line\n\n", 0600);
  folder.Write("key", "KEY\r\n", 0400);
  folder.Write("certificate", "CERTIFICATE", 0644);
  const std::string user = folder.Write("user", "_header:X-Token\n", 0644);
  const auto path =
      folder.Write("host.json",
                   WithParameters(absl::StrCat(R"("password_file": "password", "key_file": "key",
          "certificate_file": "./certificate", "username_file": ")",
                                               user, "\"")),
                   0644);
  const auto configuration = LoadConfiguration(path);
  ASSERT_TRUE(configuration.ok()) << configuration.status();
  EXPECT_THAT(configuration->instances[0].parameters,
              ElementsAre(Pair("password", "line\n"), Pair("key", "KEY"),
                          Pair("certificate", "CERTIFICATE"), Pair("username", "_header:X-Token")));
  EXPECT_THAT(configuration->warnings, IsEmpty());
}

TEST(Configuration, WarnsWhereOthersCanReadAPasswordInIt) {
  TemporaryFolder folder;
  const std::string text = WithParameters(R"("username": "u", "password": "p")");
  EXPECT_THAT(LoadConfiguration(folder.Write("open.json", text, 0644))->warnings,
              ElementsAre(AllOf(HasSubstr("holds a secret"),
                                HasSubstr("open to other users (mode 0644)"))));
  EXPECT_THAT(LoadConfiguration(folder.Write("closed.json", text, 0600))->warnings, IsEmpty());
}

TEST(ConfigurationRefusals, AConfigurationThatOthersCanChangeOrReplaceIsRefused) {
  TemporaryFolder folder;
  for (const mode_t mode : {0666, 0660, 0602}) {
    const auto refused = LoadConfiguration(folder.Write("open.json", WithParameters(""), mode));
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr("run: chmod go-w "));
  }
  const std::string file = folder.Write("host.json", WithParameters(""), 0600);
  ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
  EXPECT_FALSE(LoadConfiguration(file).ok());
  ASSERT_EQ(::chmod(folder.path().c_str(), 0700), 0);
  EXPECT_TRUE(LoadConfiguration(file).ok());
}

TEST(Configuration, AByteOrderMarkAtItsBeginningIsDropped) {
  TemporaryFolder folder;
  const std::string text = absl::StrCat("\xEF\xBB\xBF", WithParameters(""));
  EXPECT_TRUE(LoadConfiguration(folder.Write("host.json", text, 0600)).ok());
}

TEST(Configuration, AMissingFileIsNotFound) {
  const auto configuration = LoadConfiguration("/nowhere/host.json");
  EXPECT_EQ(configuration.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(configuration.status().message(),
            "cannot read /nowhere/host.json: No such file or directory");
}

TEST(Configuration, SecretsAreOverwrittenOnDemand) {
  auto configuration =
      ParseConfiguration(WithParameters(R"("username": "u", "password": "p")"), "host.json", ".");
  ASSERT_TRUE(configuration.ok());
  WipeSecrets(*configuration);
  EXPECT_THAT(configuration->instances[0].parameters,
              ElementsAre(Pair("username", "u"), Pair("password", std::string(1, '\0'))));
}

}  // namespace
}  // namespace host_stub
