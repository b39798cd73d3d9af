#include "plugin/runtime/source_settings.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/runtime/secrets.h"

namespace webhook::runtime {
namespace {

template <typename... Pieces>
absl::Status Invalid(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

bool AllExpired(const Secrets& secrets, absl::Time now) {
  for (const core::Secret& secret : secrets) {
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
