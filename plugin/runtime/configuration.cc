#include "plugin/runtime/configuration.h"

#include <arpa/inet.h>
#include <sys/random.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"
#include "plugin/base/counted.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"
#include "plugin/core/mirroring.h"
#include "plugin/core/occurred.h"
#include "plugin/limits/parameters.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/secrets.h"

namespace webhook::runtime {
namespace {

template <typename... Pieces>
absl::Status Invalid(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

// How long before its end a certificate is warned of: that of the listen port, and those that a
// source's senders sign with, which are often renewed for a month only.
constexpr absl::Duration kCertificateNotice = absl::Hours(24 * 21);
constexpr absl::Duration kSourceCertificateNotice = absl::Hours(24 * 14);

absl::StatusOr<Given> Collect(const lri_pairs& parameters) {
  Given given;
  for (const Parameter& parameter : Parameters()) given[parameter.name] = "";
  for (size_t i = 0; i < parameters.count; ++i) {
    const lri_pair& pair = At(parameters, i);
    const auto found = given.find(FromView(pair.name));
    if (found == given.end()) {
      constexpr size_t kShownBytes = 80;
      return Invalid("unknown parameter \"",
                     absl::CHexEscape(FromView(pair.name).substr(0, kShownBytes)), "\"");
    }
    if (!found->second.empty()) {
      return Invalid("parameter ", FromView(pair.name), " is given twice");
    }
    found->second = FromView(pair.value);
    absl::ConsumePrefix(&found->second, base::kByteOrderMark);
  }
  return given;
}

absl::StatusOr<uint16_t> ReadPort(absl::string_view text) {
  if (text.empty()) return 0;
  int port = 0;
  if (!absl::SimpleAtoi(text, &port) || port < 1 || port > 65535) {
    return Invalid("longRunningPort must be a whole number from 1 to 65535");
  }
  return static_cast<uint16_t>(port);
}

// Zero where it is not set.
absl::StatusOr<absl::Duration> ReadTtl(absl::string_view text) {
  constexpr absl::Duration kMost = absl::Hours(24 * 365);
  absl::Duration ttl;
  if (text.empty()) return ttl;
  const bool read = base::IsDigit(text.back()) ? absl::ParseDuration(absl::StrCat(text, "s"), &ttl)
                                               : absl::ParseDuration(text, &ttl);
  if (!read || ttl < absl::Seconds(1) || ttl > kMost ||
      ttl % absl::Seconds(1) != absl::Duration()) {
    return Invalid(
        "delivery_key_ttl must be whole seconds, from 1 to 31536000, or a time as in \"24h\"");
  }
  return ttl;
}

absl::StatusOr<std::string> ReadAddress(absl::string_view text) {
  const std::string address(text.empty() ? absl::string_view(kEveryAddress) : text);
  in6_addr parsed;
  if (inet_pton(AF_INET, address.c_str(), &parsed) != 1 &&
      inet_pton(AF_INET6, address.c_str(), &parsed) != 1) {
    return Invalid("bind_address must be an IPv4 or IPv6 address");
  }
  return address;
}

absl::StatusOr<uint64_t> NewTicket() {
  uint64_t ticket = 0;
  while (ticket == 0) {
    if (getrandom(&ticket, sizeof ticket, 0) != sizeof ticket) {
      return absl::UnavailableError("the system gives no random numbers");
    }
  }
  return ticket;
}

absl::Status CheckAgainstPlatform(const Given& given, const core::Platform& platform) {
  // What a source can check counts as credentials: see below.
  if (platform.credentials_required && given.at("source").empty() &&
      (given.at("username").empty() ||
       (given.at("password").empty() && given.at("passwords").empty()))) {
    return Invalid(given.at("username").empty() ? "username" : "password", " is required for ",
                   platform.product_name, ", because anyone can reach its webhook URL");
  }
  if (!platform.listen_port_shown && !given.at("longRunningPort").empty()) {
    return Invalid("longRunningPort is not a parameter of ", platform.product_name,
                   " unless it runs on an engine");
  }
  // The documents require it wherever they show it.
  if (platform.listen_port_shown && given.at("longRunningPort").empty()) {
    return Invalid("longRunningPort is required for ", platform.product_name,
                   platform.on_engine ? " on an engine" : "");
  }
  if (!platform.certificate_supported &&
      !(given.at("certificate").empty() && given.at("key").empty())) {
    return Invalid(given.at("certificate").empty() ? "key" : "certificate", " is not supported on ",
                   platform.product_name, " unless it runs on an engine");
  }
  return absl::OkStatus();
}

// Parameters that mean nothing without another one. Silence would let a person believe in a
// protection that is not there.
absl::Status CheckTogether(const Given& given) {
  if (given.at("certificate").empty() != given.at("key").empty()) {
    return Invalid(given.at("certificate").empty() ? "certificate" : "key",
                   " is missing: HTTPS needs both certificate and key");
  }
  if (!given.at("client_ca").empty() && given.at("certificate").empty()) {
    return Invalid("client_ca needs certificate and key: client certificates are a part of HTTPS");
  }
  if (!given.at("client_crl").empty() && given.at("client_ca").empty()) {
    return Invalid("client_crl needs client_ca, whose certificates it lists");
  }
  if (!given.at("delivery_key_ttl").empty() && given.at("duplication_key").empty() &&
      given.at("source").empty()) {
    return Invalid(
        "delivery_key_ttl needs duplication_key or source: without them no delivery is recognised");
  }
  for (const char* const name : {"bind_address", "trusted_proxies", "client_ca"}) {
    if (!given.at(name).empty() && given.at("longRunningPort").empty()) {
      return Invalid(name, " needs longRunningPort");
    }
  }
  for (const char* const name : {"forwarding_header", "proxy_protocol"}) {
    if (!given.at(name).empty() && given.at(name) != "false" &&
        given.at("trusted_proxies").empty()) {
      return Invalid(name, " needs trusted_proxies: nobody else is believed");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ReadBoolean(const Given& given, absl::string_view name) {
  const absl::string_view value = given.at(name);
  if (!value.empty() && value != "true" && value != "false") {
    return Invalid(name, " must be true or false");
  }
  return value == "true";
}

absl::StatusOr<std::vector<http::Network>> ReadNetworks(const Given& given,
                                                        absl::string_view name) {
  auto networks = http::ParseNetworks(given.at(name));
  if (!networks.ok()) return Invalid(name, ": ", networks.status().message());
  // A text of commas alone would switch a protection off without a word.
  if (networks->empty() && !given.at(name).empty()) return Invalid(name, " names no network");
  return networks;
}

// 0 where it is not given.
absl::StatusOr<int64_t> ReadBound(const Given& given, absl::string_view name) {
  constexpr int64_t kMost = 1'000'000;
  int64_t bound = 0;
  const absl::string_view text = given.at(name);
  if (text.empty()) return 0;
  if (text.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(text, &bound) || bound < 1 || bound > kMost) {
    return Invalid(name, " must be a whole number from 1 to ", kMost);
  }
  return bound;
}

absl::StatusOr<http::Proxies> ReadProxies(const Given& given) {
  auto networks = ReadNetworks(given, "trusted_proxies");
  if (!networks.ok()) return networks.status();
  auto header = http::ParseForwardingHeader(given.at("forwarding_header"));
  if (!header.ok()) return Invalid("forwarding_header ", header.status().message());
  auto proxy_protocol = ReadBoolean(given, "proxy_protocol");
  if (!proxy_protocol.ok()) return proxy_protocol.status();
  return http::Proxies{
      .networks = *std::move(networks), .header = *header, .proxy_protocol = *proxy_protocol};
}

absl::StatusOr<std::shared_ptr<const http::TlsContext>> ReadTls(const Given& given) {
  if (given.at("certificate").empty()) return nullptr;
  auto tls = http::TlsContext::Create({.certificate_chain_pem = given.at("certificate"),
                                       .private_key_pem = given.at("key"),
                                       .client_ca_pem = given.at("client_ca"),
                                       .client_crl_pem = given.at("client_crl")});
  if (tls.ok()) return tls;
  // The server speaks of "private key: ..." and "client CA: ..."; here the parameters have names.
  absl::string_view message = tls.status().message();
  std::string renamed(message);
  if (absl::ConsumePrefix(&message, "private key")) renamed = absl::StrCat("key", message);
  if (absl::ConsumePrefix(&message, "client CA")) renamed = absl::StrCat("client_ca", message);
  if (absl::ConsumePrefix(&message, "client CRL")) renamed = absl::StrCat("client_crl", message);
  return absl::Status(tls.status().code(), renamed);
}

absl::StatusOr<core::Credentials> ReadCredentials(const Given& given, const Limits& limits,
                                                  absl::Time now) {
  auto listed =
      ReadPasswords(given.at("passwords"), static_cast<size_t>(limits.passwords_of_an_instance));
  if (!listed.ok()) return listed.status();
  if (listed->empty()) return core::Credentials::Create(given.at("username"), given.at("password"));
  std::vector<core::Password> passwords;
  if (!given.at("password").empty()) passwords.push_back({.text = given.at("password")});
  for (const core::Secret& one : *listed) passwords.push_back({one.text, one.expires});
  auto credentials = core::Credentials::Create(given.at("username"), passwords);
  if (credentials.ok() && credentials->last_expiry() <= now) {
    return Invalid("passwords: all of them have expired");
  }
  return credentials;
}

// The headers that its paths lead to.
std::vector<std::string> HeadersOf(core::DuplicationKey& key) {
  std::vector<std::string> headers;
  for (core::KeyPaths& alternative : key) {
    for (base::JsonPath& path : alternative.paths) {
      const absl::string_view name = path.LowerCaseHeaderName();
      if (!name.empty()) headers.emplace_back(name);
    }
  }
  return headers;
}

// As in 2024-05-01. Abseil's own formatting would leave a time zone in memory when the plugin is
// unloaded.
std::string Day(absl::Time time) {
  return std::string(core::TriggerTimes().Format(time).text().substr(0, 10));
}

absl::Status AddUrls(Configuration& configuration) {
  if (configuration.platform_url.empty()) return absl::OkStatus();
  auto url =
      core::WebhookUrl(*configuration.platform, configuration.platform_url, configuration.name);
  if (!url.ok()) return url.status();
  configuration.webhook_url = *std::move(url);
  if (configuration.listen_port == 0) return absl::OkStatus();
  url = core::DirectUrl(configuration.platform_url, configuration.listen_port,
                        configuration.tls != nullptr);
  if (!url.ok()) return url.status();
  configuration.listen_url = *std::move(url);
  return absl::OkStatus();
}

}  // namespace

std::string Configuration::FaultAt(absl::Time now) const {
  if (tls != nullptr && now >= tls->not_after()) {
    return absl::StrCat("certificate: it expired on ", Day(tls->not_after()),
                        "; senders will refuse it");
  }
  if (tls != nullptr && now >= tls->client_ca_not_after()) {
    return absl::StrCat("client_ca: it expired on ", Day(tls->client_ca_not_after()),
                        "; every sender is refused");
  }
  if (tls != nullptr && now >= tls->client_crl_not_after()) {
    return absl::StrCat("client_crl: it was to be renewed by ", Day(tls->client_crl_not_after()),
                        "; senders are refused until it is");
  }
  if (credentials.last_expiry() <= now) {
    return "passwords: all of them have expired; every request is refused";
  }
  return "";
}

std::vector<std::string> Configuration::WarningsAt(absl::Time now) const {
  std::vector<std::string> all = warnings;
  if (std::string fault = FaultAt(now); !fault.empty()) all.push_back(std::move(fault));
  if (const std::string asked = source_record->confirmation(); !asked.empty()) {
    all.push_back(
        absl::StrCat("the source wants a person to confirm the webhook with this: ", asked));
  }
  if (source != nullptr && source->certificates() != nullptr) {
    for (const auto& [url, end] :
         source->certificates()->ExpiringBy(now + kSourceCertificateNotice)) {
      all.push_back(now < end
                        ? absl::StrCat("certificates: that of ", url, " expires on ", Day(end))
                        : absl::StrCat("certificates: that of ", url, " expired on ", Day(end),
                                       "; what it has signed is refused"));
    }
  }
  if (tls == nullptr || now >= tls->not_after()) return all;
  if (now < tls->not_before()) {
    all.push_back(absl::StrCat("certificate: it is not valid before ", Day(tls->not_before()),
                               "; until then senders will refuse it"));
  } else if (now + kCertificateNotice >= tls->not_after()) {
    all.push_back(absl::StrCat("certificate: it expires on ", Day(tls->not_after())));
  }
  return all;
}

absl::StatusOr<Configuration> ReadConfiguration(const lri_instance_options& options,
                                                const Limits& limits, absl::Time now) {
  const absl::string_view name = FromView(options.name);
  if (!base::IsName(name)) {
    return Invalid("the instance's name must be 1 to 64 letters, digits, '-' or '_'");
  }
  auto platform = core::FindPlatform(FromView(options.product), options.on_engine != 0);
  if (!platform.ok()) return platform.status();
  auto given = Collect(options.parameters);
  if (!given.ok()) return given.status();
  if (absl::Status status = CheckAgainstPlatform(*given, **platform); !status.ok()) return status;
  if (absl::Status status = CheckTogether(*given); !status.ok()) return status;
  auto port = ReadPort(given->at("longRunningPort"));
  if (!port.ok()) return port.status();
  auto bind_address = ReadAddress(given->at("bind_address"));
  if (!bind_address.ok()) return bind_address.status();
  auto proxies = ReadProxies(*given);
  if (!proxies.ok()) return proxies.status();
  auto allow = ReadNetworks(*given, "allow");
  if (!allow.ok()) return allow.status();
  auto requests_per_second = ReadBound(*given, "requests_per_second");
  if (!requests_per_second.ok()) return requests_per_second.status();
  auto concurrent_requests = ReadBound(*given, "concurrent_requests");
  if (!concurrent_requests.ok()) return concurrent_requests.status();
  const absl::string_view rate_limit_status = given->at("rate_limit_status");
  if (!rate_limit_status.empty() && rate_limit_status != "503" && rate_limit_status != "429") {
    return Invalid("rate_limit_status must be 503 or 429");
  }
  auto store_samples = ReadBoolean(*given, "store_samples");
  if (!store_samples.ok()) return store_samples.status();
  auto store_request = ReadBoolean(*given, "store_request");
  if (!store_request.ok()) return store_request.status();
  auto tls = ReadTls(*given);
  if (!tls.ok()) return tls.status();
  auto credentials = ReadCredentials(*given, limits, now);
  if (!credentials.ok()) return credentials.status();
  auto source = ReadSource(*given, *credentials, now);
  if (!source.ok()) return source.status();
  if ((*platform)->credentials_required && !credentials->required() &&
      (*source == nullptr || !(*source)->can_authenticate())) {
    return Invalid("signing_secrets, or username and password, are required for ",
                   (*platform)->product_name, ", because anyone can reach its webhook URL");
  }
  auto mirror_members = core::MirrorMembers(given->at("mirror_direction"), given->at("mirror_tags"),
                                            given->at("mirror_instance"), name);
  if (!mirror_members.ok()) return mirror_members.status();
  auto kept_headers =
      core::ReadKeptHeaders(given->at("kept_headers"), credentials->secret_header());
  if (!kept_headers.ok()) return kept_headers.status();
  auto duplication_key = core::ReadDuplicationKey(
      given->at("duplication_key"), credentials->secret_header(), *mirror_members, *kept_headers);
  if (!duplication_key.ok()) return duplication_key.status();
  std::vector<std::string> delivery_headers = HeadersOf(*duplication_key);
  auto delivery_key_ttl = ReadTtl(given->at("delivery_key_ttl"));
  if (!delivery_key_ttl.ok()) return delivery_key_ttl.status();
  if (*source != nullptr) {
    if (*delivery_key_ttl == absl::ZeroDuration()) *delivery_key_ttl = absl::Hours(24);
    // Else what was signed could be sent again while its time is still good.
    if (*delivery_key_ttl < 2 * (*source)->tolerance()) {
      return Invalid("delivery_key_ttl must be at least ",
                     absl::ToInt64Seconds(2 * (*source)->tolerance()),
                     " seconds, twice what the source's clock may be off");
    }
  }
  // It stands in incidents and answers, which are JSON.
  if (!base::IsUtf8(given->at("incidentType"))) {
    return Invalid("incidentType must be valid UTF-8");
  }
  auto ticket = NewTicket();
  if (!ticket.ok()) return ticket.status();

  Configuration configuration{.name = std::string(name),
                              .platform = *platform,
                              .platform_url = std::string(FromView(options.platform_url)),
                              .incident_type = std::string(given->at("incidentType")),
                              .listen_port = *port,
                              .bind_address = *std::move(bind_address),
                              .proxies = *std::move(proxies),
                              .tls = *std::move(tls),
                              .store_samples = *store_samples,
                              .store_request = *store_request,
                              .allow = *std::move(allow),
                              .requests_per_second = *requests_per_second,
                              .concurrent_requests = *concurrent_requests,
                              .rate_limit_status = rate_limit_status == "429" ? 429 : 503,
                              .credentials = *std::move(credentials),
                              .source = *std::move(source),
                              .duplication_key = *std::move(duplication_key),
                              .delivery_key_ttl = *delivery_key_ttl,
                              .kept_headers = *std::move(kept_headers),
                              .delivery_headers = std::move(delivery_headers),
                              .mirror_members = *std::move(mirror_members),
                              .ticket = *ticket};
  configuration.source_record = std::make_shared<SourceRecord>(configuration.source.get());
  if (configuration.source != nullptr) {
    const auto warnings = configuration.source->warnings();
    configuration.warnings.insert(configuration.warnings.end(), warnings.begin(), warnings.end());
  }
  if (!configuration.credentials.required() &&
      (configuration.source == nullptr || !configuration.source->can_authenticate())) {
    configuration.warnings.push_back(absl::StrCat(
        "no credentials are set: unexpected requests can create incidents; set ",
        configuration.source == nullptr ? "username and password" : "signing_secrets"));
  }
  if (configuration.credentials.in_query() && configuration.tls == nullptr) {
    configuration.warnings.push_back(
        "username: a secret in the URL without TLS can be read on the way, and stands in the logs "
        "of "
        "proxies; use HTTPS, and a header where the sender can set one");
  }
  if (absl::Status status = AddUrls(configuration); !status.ok()) return status;
  return configuration;
}

}  // namespace webhook::runtime
