#include <algorithm>
#include <cstdint>
#include <iterator>

#include "plugin/core/stored_headers.h"

namespace webhook::core {
namespace {

struct WithheldHeader {
  absl::string_view name;
  absl::string_view source;  // who sends it, or who defines it
};

// Sorted by length, which decides most look-ups, and then by name. A signature is withheld because,
// together with the body, it allows a secret to be guessed offline and a request to be replayed.
constexpr WithheldHeader kWithheld[] = {
    {"token", "many senders"},
    {"apikey", "many senders"},
    {"cookie", "RFC 6265 section 5.4"},
    {"api-key", "many senders"},
    {"x-token", "many senders"},
    {"x-secret", "many senders"},
    {"signature", "RFC 9421"},
    {"x-api-key", "many senders"},
    {"set-cookie", "RFC 6265 section 4.1; no request has it but by mistake"},
    {"x-signature", "many senders"},
    {"x-auth-token", "many senders"},
    {"x-csrf-token", "many senders"},
    {"authorization", "RFC 9110 section 11.6.2"},
    {"private-token", "GitLab"},
    {"x-hook-secret", "Asana"},
    {"x-vault-token", "HashiCorp Vault"},
    {"authentication", "many senders"},
    {"svix-signature", "Svix"},
    {"x-access-token", "many senders"},
    {"x-gitlab-token", "GitLab"},
    {"x-goog-api-key", "Google APIs"},
    {"x-ld-signature", "LaunchDarkly"},
    {"x-zm-signature", "Zoom"},
    {"cf-webhook-auth", "Cloudflare Notifications"},
    {"x-authorization", "many senders"},
    {"x-functions-key", "Azure Functions"},
    {"x-hub-signature", "GitHub, Jira, Bitbucket, WebSub"},
    {"x-signature-256", "many senders"},
    {"x-webhook-token", "many senders"},
    {"linear-signature", "Linear"},
    {"stripe-signature", "Stripe"},
    {"x-amzn-oidc-data", "AWS Application Load Balancer"},
    {"x-gogs-signature", "Gogs"},
    {"x-hook-signature", "Asana"},
    {"x-line-signature", "LINE"},
    {"x-webhook-secret", "many senders"},
    {"x-xero-signature", "Xero"},
    {"webhook-signature", "Standard Webhooks"},
    {"x-buildkite-token", "Buildkite"},
    {"x-gitea-signature", "Gitea"},
    {"x-nylas-signature", "Nylas"},
    {"x-slack-signature", "Slack"},
    {"circleci-signature", "CircleCI"},
    {"typeform-signature", "Typeform"},
    {"x-twilio-signature", "Twilio"},
    {"x-vercel-signature", "Vercel"},
    {"proxy-authorization", "RFC 9110 section 11.7.2"},
    {"x-dropbox-signature", "Dropbox"},
    {"x-forgejo-signature", "Forgejo"},
    {"x-hub-signature-256", "GitHub, Meta"},
    {"x-hub-signature-512", "WebSub"},
    {"x-hubspot-signature", "HubSpot"},
    {"x-amz-security-token", "AWS Signature Version 4"},
    {"x-goog-channel-token", "Google push notifications"},
    {"x-mandrill-signature", "Mandrill"},
    {"sentry-hook-signature", "Sentry"},
    {"x-buildkite-signature", "Buildkite"},
    {"x-pagerduty-signature", "PagerDuty"},
    {"x-shopify-hmac-sha256", "Shopify"},
    {"x-cc-webhook-signature", "Coinbase Commerce"},
    {"x-docusign-signature-1", "DocuSign"},
    {"x-hubspot-signature-v3", "HubSpot"},
    {"x-wc-webhook-signature", "WooCommerce"},
    {"cf-access-client-secret", "Cloudflare Access service tokens"},
    {"cf-access-jwt-assertion", "Cloudflare Access"},
    {"paypal-transmission-sig", "PayPal"},
    {"x-amzn-oidc-accesstoken", "AWS Application Load Balancer"},
    {"x-ms-token-aad-id-token", "Azure App Service"},
    {"x-forwarded-access-token", "OAuth2 Proxy"},
    {"x-goog-iap-jwt-assertion", "Google Identity-Aware Proxy"},
    {"x-original-authorization", "proxies' copies of Authorization"},
    {"ocp-apim-subscription-key", "Azure API Management"},
    {"x-forwarded-authorization", "proxies' copies of Authorization"},
    {"x-discourse-event-signature", "Discourse"},
    {"x-ms-token-aad-access-token", "Azure App Service"},
    {"x-zendesk-webhook-signature", "Zendesk"},
    {"x-grafana-alerting-signature", "Grafana Alerting"},
    {"x-square-hmacsha256-signature", "Square"},
    {"x-telegram-bot-api-secret-token", "Telegram"},
};

constexpr bool Before(const WithheldHeader& header, absl::string_view name) {
  if (header.name.size() != name.size()) return header.name.size() < name.size();
  return header.name < name;
}

// For each length, the last letters of the withheld names of that length, as bits. They rule out
// nearly all other names. Names longer than the table are searched for.
class LastLetters {
 public:
  constexpr LastLetters() {
    for (const WithheldHeader& header : kWithheld) {
      if (header.name.size() < kLengths) letters_[header.name.size()] |= BitOf(header.name.back());
    }
  }
  bool MayHave(absl::string_view name) const {
    if (name.size() >= kLengths) return true;
    return !name.empty() && (letters_[name.size()] & BitOf(name.back())) != 0;
  }

 private:
  static constexpr size_t kLengths = 32;
  static constexpr uint64_t BitOf(char letter) {
    return uint64_t{1} << (static_cast<unsigned char>(letter) % 64);
  }

  uint64_t letters_[kLengths] = {};
};
constexpr LastLetters kLastLetters;

}  // namespace

bool IsWithheldHeader(absl::string_view name) {
  if (!kLastLetters.MayHave(name)) return false;
  const auto* const found =
      std::lower_bound(std::begin(kWithheld), std::end(kWithheld), name, Before);
  return found != std::end(kWithheld) && found->name == name;
}

}  // namespace webhook::core
