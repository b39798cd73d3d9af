#include "host_stub/service/webhook_address.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/config/external_key.h"

namespace host_stub {
namespace {

constexpr char kExample[] =
    R"({"name":"incident created via generic webhook","rawJson":{"some_field":"some_value"}})";

std::string ParameterOf(const ListedInstance& listed, absl::string_view wanted) {
  for (const auto& [name, value] : listed.parameters) {
    if (name == wanted) return value;
  }
  return "";
}

// As in the documents' examples; the secret is a placeholder.
std::string Curl(const std::string& url, const ListedInstance& listed,
                 std::string (*quote)(absl::string_view)) {
  const std::string username = ParameterOf(listed, "username");
  std::string credentials;
  absl::string_view header = username;
  if (absl::ConsumePrefix(&header, "_header:")) {
    credentials = absl::StrCat(" -H ", quote(absl::StrCat(header, ": <password>")));
  } else if (!username.empty()) {
    credentials = absl::StrCat(" -u ", quote(absl::StrCat(username, ":<password>")));
  }
  return absl::StrCat("curl -X POST ", url, credentials, " -H ",
                      quote("Content-Type: application/json"), " -d ", quote(kExample));
}

}  // namespace

std::string HostOfUrl(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != absl::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('/'));
  if (absl::StartsWith(url, "[")) return std::string(url.substr(0, url.find(']') + 1));
  return std::string(url.substr(0, url.find(':')));
}

std::string QuoteForPosix(absl::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string QuoteForWindows(absl::string_view text) {
  std::string quoted = "\"";
  size_t backslashes = 0;
  for (const char c : text) {
    // Only before a quote does a backslash mean something to the program that is called.
    if (c == '"') quoted.append(backslashes + 1, '\\');
    backslashes = c == '\\' ? backslashes + 1 : 0;
    quoted += c;
  }
  return quoted.append(backslashes, '\\') + "\"";
}

void FillAddress(const InstanceDescription& description, const ListedInstance& listed,
                 long_running_integration::v1::WebhookAddress& address) {
  address.set_url(description.webhook_url);
  address.set_listen_url(description.listen_url);
  address.set_path(absl::StrCat(description.path_prefix, listed.name));
  if (description.external_key_needed) address.set_external_key(ExternalKey(listed.name));
  address.set_external(!description.external_key_needed || listed.external_key_set);
  // "For Cortex XSOAR 8 On-prem, you need to add the ext- FQDN DNS record". The other products'
  // tenants have theirs.
  const std::string host = HostOfUrl(description.webhook_url);
  if (listed.product == "XSOAR_8_ON_PREM" && absl::StartsWith(host, "ext-")) {
    address.set_dns_record(host);
  }
  std::string url = description.webhook_url;
  if (url.empty()) url = description.listen_url;
  if (url.empty() && !listed.front_url.empty()) {
    url = absl::StrCat(listed.front_url, address.path());
  }
  if (url.empty()) return;
  address.set_curl_posix(Curl(url, listed, &QuoteForPosix));
  address.set_curl_windows(Curl(url, listed, &QuoteForWindows));
}

}  // namespace host_stub
