#include "plugin/core/withheld_headers.h"

#include <algorithm>
#include <iterator>

namespace webhook::core {
namespace {

struct WithheldHeader {
  absl::string_view name;
  absl::string_view source;  // who sends it, or who defines it
};

// Sorted by length and then by name, for most lengths decide at once. A signature is withheld
// because, with the body beside it, it lets a secret be guessed offline, and a replay pass as the
// original.
constexpr WithheldHeader kWithheld[] = {
    {"apikey", "many senders"},
    {"cookie", "RFC 6265 section 5.4"},
    {"api-key", "many senders"},
    {"x-api-key", "many senders"},
    {"set-cookie", "RFC 6265 section 4.1; no request has it but by mistake"},
    {"x-auth-token", "many senders"},
    {"authorization", "RFC 9110 section 11.6.2"},
    {"svix-signature", "Svix"},
    {"x-access-token", "many senders"},
    {"x-gitlab-token", "GitLab"},
    {"x-zm-signature", "Zoom"},
    {"x-hub-signature", "GitHub, Jira, Bitbucket, WebSub"},
    {"x-webhook-token", "many senders"},
    {"linear-signature", "Linear"},
    {"stripe-signature", "Stripe"},
    {"x-amzn-oidc-data", "AWS Application Load Balancer"},
    {"x-gogs-signature", "Gogs"},
    {"x-webhook-secret", "many senders"},
    {"webhook-signature", "Standard Webhooks"},
    {"x-gitea-signature", "Gitea"},
    {"x-slack-signature", "Slack"},
    {"x-twilio-signature", "Twilio"},
    {"proxy-authorization", "RFC 9110 section 11.7.2"},
    {"x-forgejo-signature", "Forgejo"},
    {"x-hub-signature-256", "GitHub, Meta"},
    {"x-amz-security-token", "AWS Signature Version 4"},
    {"x-goog-channel-token", "Google push notifications"},
    {"sentry-hook-signature", "Sentry"},
    {"x-pagerduty-signature", "PagerDuty"},
    {"x-shopify-hmac-sha256", "Shopify"},
    {"cf-access-client-secret", "Cloudflare Access service tokens"},
    {"cf-access-jwt-assertion", "Cloudflare Access"},
    {"paypal-transmission-sig", "PayPal"},
    {"x-amzn-oidc-accesstoken", "AWS Application Load Balancer"},
    {"x-forwarded-access-token", "OAuth2 Proxy"},
    {"x-goog-iap-jwt-assertion", "Google Identity-Aware Proxy"},
    {"x-grafana-alerting-signature", "Grafana Alerting"},
    {"x-telegram-bot-api-secret-token", "Telegram"},
};

constexpr bool Before(const WithheldHeader& header, absl::string_view name) {
  if (header.name.size() != name.size()) return header.name.size() < name.size();
  return header.name < name;
}

}  // namespace

bool IsWithheldHeader(absl::string_view name) {
  const auto* const found =
      std::lower_bound(std::begin(kWithheld), std::end(kWithheld), name, Before);
  return found != std::end(kWithheld) && found->name == name;
}

}  // namespace webhook::core
