#include "plugin/runtime/source_settings.h"

#include <openssl/crypto.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/utf8.h"
#include "plugin/limits/parameters.h"

namespace webhook::runtime {
namespace {

constexpr int kSecretsDepth = 4;

template <typename... Pieces>
absl::Status Invalid(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

absl::Status AddSecret(absl::string_view place, absl::string_view text, absl::Time expires,
                       std::vector<sources::Secret>& secrets) {
  absl::ConsumePrefix(&text, base::kByteOrderMark);
  if (text.empty()) return Invalid(place, ": a secret is empty");
  if (const std::string name = base::InvisibleCharacterIn(text); !name.empty()) {
    return Invalid(place, ": it holds a character that cannot be seen: ", name);
  }
  secrets.push_back({std::string(text), expires});
  return absl::OkStatus();
}

// Reads the value that comes next: "text", or {"secret": "text", "expires": "..."}.
absl::Status ReadSecret(absl::string_view place, base::JsonReader& reader,
                        std::vector<sources::Secret>& secrets) {
  std::string text;
  const absl::Cleanup wipe = [&] { OPENSSL_cleanse(text.data(), text.size()); };
  absl::Time expires = absl::InfiniteFuture();
  base::JsonValue value;
  const auto read_member = [&](const base::JsonValue& key) {
    const absl::string_view name = key.inside();
    if (!reader.ReadValue(value)) return false;
    if (value.kind != base::JsonKind::kString) return name == "expires" && value.text == "null";
    if (name == "secret") {
      text = base::TextOfString(value);
      return true;
    }
    return name == "expires" &&
           absl::ParseTime(absl::RFC3339_full, base::TextOfString(value), &expires, nullptr) &&
           expires != absl::InfiniteFuture() && expires != absl::InfinitePast();
  };
  bool good;
  if (reader.Peek() == '"') {
    good = reader.ReadValue(value);
    if (good) text = base::TextOfString(value);
  } else {
    good = reader.EachMember(read_member);
  }
  if (good) return AddSecret(place, text, expires, secrets);
  return Invalid(place, R"( must be a text, or a list such as ["new", {"secret": "old", )",
                 R"("expires": "2024-06-01T00:00:00Z"}])");
}

// One value of a set of secrets: a secret, or a list of them.
absl::Status ReadSecrets(absl::string_view place, base::JsonReader& reader,
                         std::vector<sources::Secret>& secrets) {
  if (reader.Peek() != '[') return ReadSecret(place, reader, secrets);
  absl::Status status;
  const bool good = reader.EachItem([&] {
    status = ReadSecret(place, reader, secrets);
    return status.ok();
  });
  if (!status.ok()) return status;
  return good ? absl::OkStatus() : Invalid(place, ": ", reader.fault().what);
}

absl::StatusOr<std::vector<sources::Secret>> ReadSigningSecrets(absl::string_view given) {
  constexpr absl::string_view kPlace = "signing_secrets";
  std::vector<sources::Secret> secrets;
  absl::Status status;
  if (absl::StartsWith(given, "[")) {
    base::JsonReader reader(kSecretsDepth);
    if (!reader.OpenCopy(given)) return Invalid(kPlace, ": ", reader.fault().what);
    status = ReadSecrets(kPlace, reader, secrets);
    if (status.ok() && !reader.Finish()) status = Invalid(kPlace, ": ", reader.fault().what);
  } else if (!given.empty()) {
    status = AddSecret(kPlace, given, absl::InfiniteFuture(), secrets);
  }
  if (!status.ok()) return status;
  return secrets;
}

absl::StatusOr<std::map<std::string, std::vector<sources::Secret>>> ReadNamedSecrets(
    absl::string_view given) {
  constexpr absl::string_view kName = "named_secrets";
  std::map<std::string, std::vector<sources::Secret>> named;
  if (given.empty()) return named;
  base::JsonReader reader(kSecretsDepth);
  if (!reader.OpenCopy(given)) return Invalid(kName, ": ", reader.fault().what);
  absl::Status status;
  const bool good = reader.EachMember([&](const base::JsonValue& key) {
    const std::string name = base::TextOfString(key);
    status = ReadSecrets(absl::StrCat(kName, ".", name), reader, named[name]);
    return status.ok();
  });
  if (!status.ok()) return status;
  if (!good || !reader.Finish()) {
    return Invalid(kName, R"( must be an object such as {"verify_token": "..."}: )",
                   reader.fault().what);
  }
  return named;
}

bool AllExpired(const std::vector<sources::Secret>& secrets, absl::Time now) {
  for (const sources::Secret& secret : secrets) {
    if (now < secret.expires) return false;
  }
  return !secrets.empty();
}

absl::StatusOr<std::shared_ptr<const sources::Profile>> ReadGivenProfile(absl::string_view given) {
  auto profile =
      absl::StartsWith(given, "{") ? sources::ReadProfile(given) : sources::FindProfile(given);
  if (profile.ok()) return profile;
  return Invalid("source: ", profile.status().message());
}

// The parameters that mean something only where there is a source.
constexpr absl::string_view kOfSources[] = {
    "signing_secrets",  "named_secrets", "unauthenticated", "replay_check",    "rules",
    "certificates",     "jwks",          "public_url",      "header_name",     "signature_header",
    "timestamp_header", "topic_arn",     "audience",        "service_account", "webhook_id"};
// The last of these are what a profile lists under `config`.
constexpr auto kOfConfig = std::span(kOfSources).subspan<7>();

}  // namespace

absl::StatusOr<std::shared_ptr<const sources::Source>> ReadSource(
    const Given& given, const core::Credentials& credentials, absl::Time now) {
  const absl::string_view source = absl::StripAsciiWhitespace(given.at("source"));
  if (source.empty() || source == "generic") {
    for (const absl::string_view name : kOfSources) {
      if (given.at(name).empty()) continue;
      return Invalid(name, " needs a source other than generic: `host_stub sources` lists them");
    }
    return nullptr;
  }
  sources::Settings settings;
  auto profile = ReadGivenProfile(source);
  if (!profile.ok()) return profile.status();
  settings.profile = *std::move(profile);
  auto signing_secrets = ReadSigningSecrets(given.at("signing_secrets"));
  if (!signing_secrets.ok()) return signing_secrets.status();
  settings.signing_secrets = *std::move(signing_secrets);
  auto named_secrets = ReadNamedSecrets(given.at("named_secrets"));
  if (!named_secrets.ok()) return named_secrets.status();
  settings.named_secrets = *std::move(named_secrets);
  if (AllExpired(settings.signing_secrets, now)) {
    return Invalid("signing_secrets: all of them have expired");
  }
  for (const absl::string_view name : kOfConfig) {
    if (!given.at(name).empty()) settings.config[std::string(name)] = std::string(given.at(name));
  }
  if (!given.at("rules").empty()) {
    auto rules = sources::ReadRules(given.at("rules"), *settings.profile);
    if (!rules.ok()) return rules.status();
    settings.rules = *std::move(rules);
  }
  if (!given.at("certificates").empty()) {
    auto certificates = sources::Certificates::Create(given.at("certificates"));
    if (!certificates.ok()) return Invalid("certificates: ", certificates.status().message());
    settings.certificates = std::make_shared<const sources::Certificates>(*std::move(certificates));
  }
  if (!given.at("jwks").empty()) {
    auto jwks = sources::Jwks::Create(given.at("jwks"));
    if (!jwks.ok()) return Invalid("jwks: ", jwks.status().message());
    settings.jwks = std::make_shared<const sources::Jwks>(*std::move(jwks));
  }
  for (const absl::string_view name : {"unauthenticated", "replay_check"}) {
    if (given.at(name).empty() || given.at(name) == "true" || given.at(name) == "false") continue;
    return Invalid(name, " must be true or false");
  }
  if (credentials.required()) settings.credentials = credentials;
  settings.replay_check = given.at("replay_check") != "false";
  settings.unauthenticated = given.at("unauthenticated") == "true";
  const bool unauthenticated = settings.unauthenticated;
  auto made = sources::Source::Create(std::move(settings));
  if (!made.ok()) return made.status();
  if (!(*made)->can_authenticate() && !credentials.required() && !unauthenticated) {
    return Invalid("signing_secrets: source ", (*made)->profile().name,
                   " needs them, or nobody could be told from anybody else; `host_stub sources ",
                   (*made)->profile().name, "` tells what to set");
  }
  if ((*made)->can_authenticate() && unauthenticated) {
    return Invalid("unauthenticated: there are secrets to check; leave one of both out");
  }
  return made;
}

}  // namespace webhook::runtime
