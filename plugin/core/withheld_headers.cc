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
    {"cf-webhook-auth", "Cloudflare Notifications"},
    {"circleci-signature", "CircleCI"},
    {"cookie", "RFC 6265 section 5.4"},
    {"linear-signature", "Linear"},
    {"ocp-apim-subscription-key", "Azure API Management"},
    {"paypal-transmission-sig", "PayPal"},
    {"private-token", "GitLab"},
    {"proxy-authorization", "RFC 9110 section 11.7.2"},
    {"sentry-hook-signature", "Sentry"},
    {"set-cookie", "RFC 6265 section 4.1; no request has it but by mistake"},
    {"signature", "RFC 9421"},
    {"stripe-signature", "Stripe"},
    {"svix-signature", "Svix"},
    {"typeform-signature", "Typeform"},
    {"webhook-signature", "Standard Webhooks"},
    {"x-access-token", "many senders"},
    {"x-amz-security-token", "AWS Signature Version 4"},
    {"x-amzn-oidc-accesstoken", "AWS Application Load Balancer"},
    {"x-amzn-oidc-data", "AWS Application Load Balancer"},
    {"x-api-key", "many senders"},
    {"x-auth-token", "many senders"},
    {"x-buildkite-signature", "Buildkite"},
    {"x-buildkite-token", "Buildkite"},
    {"x-cc-webhook-signature", "Coinbase Commerce"},
    {"x-discourse-event-signature", "Discourse"},
    {"x-docusign-signature-1", "DocuSign"},
    {"x-dropbox-signature", "Dropbox"},
    {"x-forgejo-signature", "Forgejo"},
    {"x-forwarded-access-token", "OAuth2 Proxy"},
    {"x-functions-key", "Azure Functions"},
    {"x-gitea-signature", "Gitea"},
    {"x-gitlab-token", "GitLab"},
    {"x-gogs-signature", "Gogs"},
    {"x-goog-api-key", "Google APIs"},
    {"x-goog-channel-token", "Google push notifications"},
    {"x-goog-iap-jwt-assertion", "Google Identity-Aware Proxy"},
    {"x-grafana-alerting-signature", "Grafana Alerting"},
    {"x-hook-secret", "Asana"},
    {"x-hook-signature", "Asana"},
    {"x-hub-signature", "GitHub, Jira, Bitbucket, WebSub"},
    {"x-hub-signature-256", "GitHub, Meta"},
    {"x-hub-signature-512", "WebSub"},
    {"x-hubspot-signature", "HubSpot"},
    {"x-hubspot-signature-v3", "HubSpot"},
    {"x-ld-signature", "LaunchDarkly"},
    {"x-line-signature", "LINE"},
    {"x-mandrill-signature", "Mandrill"},
    {"x-nylas-signature", "Nylas"},
    {"x-pagerduty-signature", "PagerDuty"},
    {"x-shopify-hmac-sha256", "Shopify"},
    {"x-signature", "many senders"},
    {"x-signature-256", "many senders"},
    {"x-slack-signature", "Slack"},
    {"x-square-hmacsha256-signature", "Square"},
    {"x-telegram-bot-api-secret-token", "Telegram"},
    {"x-twilio-signature", "Twilio"},
    {"x-vault-token", "HashiCorp Vault"},
    {"x-vercel-signature", "Vercel"},
    {"x-wc-webhook-signature", "WooCommerce"},
    {"x-webhook-secret", "many senders"},
    {"x-webhook-token", "many senders"},
    {"x-xero-signature", "Xero"},
    {"x-zendesk-webhook-signature", "Zendesk"},
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
