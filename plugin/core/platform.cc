#include "plugin/core/platform.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plugin/base/characters.h"

namespace webhook::core {
namespace {

// A text for a message: on one line and of bounded length.
std::string Shown(absl::string_view text) {
  constexpr size_t kShownBytes = 200;
  return absl::CHexEscape(text.substr(0, kShownBytes));
}

constexpr char kXsoar6Path[] = "/instance/execute/";
constexpr char kPath[] = "/xsoar/instance/execute/";

// From the product's documentation: the parameter table, "Set up Authentication" and "Determine
// the webhook URL". The URL of 6.x has neither `ext-` nor `/xsoar`; XSIAM's has crtx for xdr.
// product, engine, path, key, credentials, port, certificate, result, ext-, crtx, record
constexpr Platform kPlatforms[] = {
    {"XSOAR_6", false, kXsoar6Path, true, false, true, true, false, false, false, "incident"},
    {"XSOAR_6", true, kXsoar6Path, true, false, true, true, false, false, false, "incident"},
    {"XSOAR_8_CLOUD", false, kPath, false, true, false, false, true, true, false, "incident"},
    {"XSOAR_8_CLOUD", true, kPath, false, false, true, true, true, true, false, "incident"},
    {"XSOAR_8_ON_PREM", false, kPath, false, false, false, true, false, true, false, "incident"},
    {"XSOAR_8_ON_PREM", true, kPath, false, false, true, true, false, true, false, "incident"},
    {"XSIAM_2", false, kPath, false, true, false, false, true, true, true, "alert"},
    {"XSIAM_2", true, kPath, false, false, true, true, true, true, true, "alert"},
    {"XSIAM_3", false, kPath, false, true, false, false, true, true, true, "issue"},
    {"XSIAM_3", true, kPath, false, false, true, true, true, true, true, "issue"},
};

struct ServerUrl {
  absl::string_view scheme;  // with ://
  absl::string_view host;    // a name, an IPv4 address, or an IPv6 address in brackets
  absl::string_view port;    // with its colon; may be empty
};

constexpr auto kHostCharacters = base::CharacterSet::Of(
    [](int c) { return base::IsAlphanumeric(c) || base::IsOneOf(c, "-._"); });
constexpr auto kAddressCharacters =
    base::CharacterSet::Of([](int c) { return base::IsOneOf(c, "0123456789abcdefABCDEF:."); });

bool IsHost(absl::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    return kAddressCharacters.HasAll(host.substr(1, host.size() - 2));
  }
  return !host.empty() && host.front() != '.' && kHostCharacters.HasAll(host);
}

bool IsPort(absl::string_view port) {
  if (port.empty()) return true;
  port.remove_prefix(1);
  int number = 0;
  return std::all_of(port.begin(), port.end(), base::IsDigit) && absl::SimpleAtoi(port, &number) &&
         number >= 1 && number <= 65535;
}

absl::StatusOr<ServerUrl> Split(absl::string_view text) {
  ServerUrl url;
  for (const absl::string_view scheme : {"https://", "http://"}) {
    if (absl::StartsWithIgnoreCase(text, scheme)) url.scheme = scheme;
  }
  absl::string_view rest = text.substr(url.scheme.size());
  if (absl::EndsWith(rest, "/")) rest.remove_suffix(1);
  const size_t host_end = rest.rfind(']');
  const size_t colon = rest.find(':', host_end == absl::string_view::npos ? 0 : host_end);
  url.host = rest.substr(0, colon);
  if (colon != absl::string_view::npos) url.port = rest.substr(colon);
  if (url.scheme.empty() || !IsHost(url.host) || !IsPort(url.port)) {
    // The message does not show it, because it may contain a password.
    return absl::InvalidArgumentError(
        "platform_url: it must be like https://my.xsoar.live or http://host:8443, without a user, "
        "path or query");
  }
  return url;
}

// companyname.xdr.eu.paloaltonetworks.com -> companyname.crtx.eu.paloaltonetworks.com. Only a
// whole label is replaced, and never the tenant's own: `xdr` may be a part of a company's name.
std::string WithCrtx(absl::string_view host) {
  const size_t at = host.find(".xdr.");
  if (at == absl::string_view::npos) return std::string(host);
  return absl::StrCat(host.substr(0, at), ".crtx.", host.substr(at + 5));
}

}  // namespace

std::span<const Platform> Platforms() { return kPlatforms; }

absl::StatusOr<const Platform*> FindPlatform(absl::string_view product_name, bool on_engine) {
  for (const Platform& platform : kPlatforms) {
    if (platform.product_name == product_name && platform.on_engine == on_engine) return &platform;
  }
  std::string names;
  for (const Platform& platform : kPlatforms) {
    if (platform.on_engine) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", platform.product_name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("product: \"", Shown(product_name), "\" must be one of ", names));
}

absl::StatusOr<std::string> WebhookUrl(const Platform& platform, absl::string_view server_url,
                                       absl::string_view instance_name) {
  if (!base::IsName(instance_name)) {
    return absl::InvalidArgumentError(absl::StrCat("name: \"", Shown(instance_name),
                                                   "\" must be 1 to 64 letters, digits, _ or -"));
  }
  const absl::StatusOr<ServerUrl> url = Split(server_url);
  if (!url.ok()) return url.status();
  std::string host = platform.xdr_becomes_crtx ? WithCrtx(url->host) : std::string(url->host);
  if (platform.external_host_prefixed && !absl::StartsWith(host, "ext-")) host = "ext-" + host;
  return absl::StrCat(url->scheme, host, url->port, platform.path_prefix, instance_name);
}

absl::StatusOr<std::string> DirectUrl(absl::string_view server_url, uint16_t listen_port,
                                      bool tls) {
  if (listen_port == 0) return absl::InvalidArgumentError("longRunningPort: must not be 0");
  const absl::StatusOr<ServerUrl> url = Split(server_url);
  if (!url.ok()) return url.status();
  return absl::StrCat(tls ? "https://" : "http://", url->host, ":", listen_port, "/");
}

}  // namespace webhook::core
