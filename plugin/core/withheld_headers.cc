#include "plugin/core/withheld_headers.h"

#include <algorithm>
#include <iterator>

namespace webhook::core {
namespace {

struct WithheldHeader {
  absl::string_view name;
  absl::string_view source;  // who sends it, or who defines it
};

// Sorted by name. A signature is withheld because, with the body beside it, it lets a secret be
// guessed offline, and a replay pass as the original.
constexpr WithheldHeader kWithheld[] = {
    {"api-key", "many senders"},
    {"apikey", "many senders"},
    {"authorization", "RFC 9110 section 11.6.2"},
    {"cf-access-client-secret", "Cloudflare Access service tokens"},
    {"cf-access-jwt-assertion", "Cloudflare Access"},
    {"cookie", "RFC 6265 section 5.4"},
    {"linear-signature", "Linear"},
    {"paypal-transmission-sig", "PayPal"},
    {"proxy-authorization", "RFC 9110 section 11.7.2"},
    {"sentry-hook-signature", "Sentry"},
    {"set-cookie", "RFC 6265 section 4.1; no request has it but by mistake"},
    {"stripe-signature", "Stripe"},
    {"svix-signature", "Svix"},
    {"webhook-signature", "Standard Webhooks"},
    {"x-access-token", "many senders"},
    {"x-amz-security-token", "AWS Signature Version 4"},
    {"x-amzn-oidc-accesstoken", "AWS Application Load Balancer"},
    {"x-amzn-oidc-data", "AWS Application Load Balancer"},
    {"x-api-key", "many senders"},
    {"x-auth-token", "many senders"},
    {"x-forgejo-signature", "Forgejo"},
    {"x-forwarded-access-token", "OAuth2 Proxy"},
    {"x-gitea-signature", "Gitea"},
    {"x-gitlab-token", "GitLab"},
    {"x-gogs-signature", "Gogs"},
    {"x-goog-channel-token", "Google push notifications"},
    {"x-goog-iap-jwt-assertion", "Google Identity-Aware Proxy"},
    {"x-grafana-alerting-signature", "Grafana Alerting"},
    {"x-hub-signature", "GitHub, Jira, Bitbucket, WebSub"},
    {"x-hub-signature-256", "GitHub, Meta"},
    {"x-pagerduty-signature", "PagerDuty"},
    {"x-shopify-hmac-sha256", "Shopify"},
    {"x-slack-signature", "Slack"},
    {"x-telegram-bot-api-secret-token", "Telegram"},
    {"x-twilio-signature", "Twilio"},
    {"x-webhook-secret", "many senders"},
    {"x-webhook-token", "many senders"},
    {"x-zm-signature", "Zoom"},
};

bool Before(const WithheldHeader& header, absl::string_view name) { return header.name < name; }

}  // namespace

bool IsWithheldHeader(absl::string_view name) {
  const auto* const found =
      std::lower_bound(std::begin(kWithheld), std::end(kWithheld), name, Before);
  return found != std::end(kWithheld) && found->name == name;
}

}  // namespace webhook::core
