#include "plugin/limits/parameters.h"

namespace webhook {
namespace {

constexpr bool kSecret = true;
constexpr bool kMayBeFile = true;
constexpr ParameterType kText = ParameterType::kText;

// A certificate is public and a user's name is no secret, but both may be mounted as files.
constexpr Parameter kParameters[] = {
    {"longRunningPort", ParameterType::kPort, !kSecret, !kMayBeFile, "",
     "XSOAR 6, and every product on an engine; refused elsewhere",
     "the instance's own listen port, unique on the host"},
    {"username", kText, !kSecret, kMayBeFile, "",
     "XSOAR 8 Cloud and XSIAM, unless the instance runs on an engine",
     "the user of Basic authentication, `_header:NAME` for a token in the header `NAME`, or "
     "`_query:NAME` for one in the URL, as `?NAME=...`"},
    {"password", kText, kSecret, kMayBeFile, "", "together with `username`",
     "the password, or the value of that header or of that parameter of the URL"},
    {"certificate", kText, !kSecret, kMayBeFile, "", "together with `key`",
     "PEM text, the server's own certificate first: the listen port then speaks HTTPS. Not "
     "supported on Cloud and XSIAM tenants unless on an engine"},
    {"key", kText, kSecret, kMayBeFile, "", "together with `certificate`",
     "PEM text: its private key, without a passphrase"},
    {"incidentType", kText, !kSecret, !kMayBeFile, "", "",
     "the type of incidents that do not name one"},
    {"store_samples", ParameterType::kBoolean, !kSecret, !kMayBeFile, "false", "",
     "`true` keeps the last 20 incidents for people who write a mapper"},
    {"bind_address", kText, !kSecret, !kMayBeFile, "0.0.0.0", "",
     "the IPv4 or IPv6 address of the listen port; `0.0.0.0` is every IPv4 address of the machine"},
    {"trusted_proxies", kText, !kSecret, !kMayBeFile, "", "",
     "proxies before the listen port: addresses and networks, separated by commas, as in "
     "`10.0.0.0/8, 2001:db8::7`"},
    {"forwarding_header", kText, !kSecret, !kMayBeFile, "X-Forwarded-For", "",
     "where these proxies state a request's sender: `X-Forwarded-For`, `Forwarded` (RFC 7239) or "
     "`none`; the other header is ignored"},
    {"proxy_protocol", ParameterType::kBoolean, !kSecret, !kMayBeFile, "false", "",
     "`true`: each connection must come from one of these proxies and begin with a PROXY header, "
     "version 1 or 2, before TLS; others are closed"},
    {"allow", kText, !kSecret, !kMayBeFile, "", "",
     "who may send, as addresses and networks, separated by commas; everybody else is answered "
     "403, before anything else is looked at. It holds at every door"},
    {"requests_per_second", kText, !kSecret, !kMayBeFile, "no bound", "",
     "how many requests with right credentials are taken in a second, 1 to 1,000,000; further ones "
     "are answered 503 with `Retry-After`"},
    {"concurrent_requests", kText, !kSecret, !kMayBeFile, "no bound", "",
     "likewise: how many are worked on at once"},
    {"rate_limit_status", kText, !kSecret, !kMayBeFile, "503", "",
     "`429` answers that instead of 503, there and to wrong credentials too often. Some senders, "
     "such as Alertmanager, do not send again after 429"},
    {"client_ca", kText, !kSecret, kMayBeFile, "", "",
     "PEM text. Senders to the listen port must show a certificate of one of these authorities "
     "(mTLS). Each is trusted as it stands: an issuing authority needs no root beside it, and a "
     "certificate that is no authority matches itself. The instance is then served there only: the "
     "front answers 403, the gRPC address PERMISSION_DENIED"},
    {"client_crl", kText, !kSecret, kMayBeFile, "", "",
     "PEM text: revocation lists (CRL). A certificate that is on the list of its authority is "
     "refused. Each authority in `client_ca`, and each one between it and a sender's certificate, "
     "needs a list; once a list is past the date of its next update, every sender is refused, so "
     "renew it in time"},
    {"passwords", ParameterType::kList, kSecret, kMayBeFile, "", "",
     "further passwords for `username`, for a rotation: `[{\"password\": \"...\", \"expires\": "
     "\"2024-06-01T00:00:00Z\"}]`; `expires` may be left out"},
    {"duplication_key", kText, !kSecret, !kMayBeFile, "", "",
     "where a sender's own id is found; its rules are in docs/configuration.md"},
    {"source", ParameterType::kObject, !kSecret, kMayBeFile, "generic", "",
     "the sender, as in `github`: how it signs, what it asks first, and how its events become "
     "incidents; `host_stub sources` lists them. Or a profile of your own, as an object: see "
     "docs/sources.md"},
    {"signing_secrets", ParameterType::kList, kSecret, kMayBeFile, "",
     "where the source signs, or sends a token",
     "what the source signs with, its public key, or its token: one text, or several that are "
     "valid at once: `[\"new\", {\"secret\": \"old\", \"expires\": \"2024-06-01T00:00:00Z\"}]`"},
    {"named_secrets", ParameterType::kObject, kSecret, kMayBeFile, "", "",
     "further secrets that a source asks for by their names: `{\"verify_token\": \"...\"}`, each "
     "one as in `signing_secrets`"},
    {"unauthenticated", ParameterType::kBoolean, !kSecret, !kMayBeFile, "false", "",
     "`true`: the source may send without any credentials, where nothing to check them with is "
     "set"},
    {"replay_check", ParameterType::kBoolean, !kSecret, !kMayBeFile, "true", "",
     "`false`: what the source signs without a time may be sent again under another delivery id"},
    {"rules", ParameterType::kList, !kSecret, kMayBeFile, "", "",
     "which events of the source are dropped or changed: see docs/sources.md"},
    {"certificates", ParameterType::kObject, !kSecret, kMayBeFile, "",
     "with `source` aws-sns, paypal",
     "the certificates that the source would have us fetch, as an object from URL to PEM text. "
     "Nothing is ever fetched"},
    {"jwks", ParameterType::kObject, !kSecret, kMayBeFile, "", "with `source` google-pubsub",
     "the JSON Web Key Set of the source. Nothing is ever fetched: renew it when the source "
     "changes its keys"},
    {"public_url", kText, !kSecret, !kMayBeFile, "", "with `source` twilio",
     "the URL that the source was given, where it signs that too"},
    {"header_name", kText, !kSecret, !kMayBeFile, "", "",
     "the header that carries the token, where the source lets people choose it"},
    {"signature_header", kText, !kSecret, !kMayBeFile, "", "", "likewise, the signature's"},
    {"timestamp_header", kText, !kSecret, !kMayBeFile, "", "",
     "likewise, the timestamp's; empty: the source signs none"},
    {"topic_arn", kText, !kSecret, !kMayBeFile, "", "with `source` aws-sns",
     "the topic whose messages are taken"},
    {"audience", kText, !kSecret, !kMayBeFile, "", "with `source` google-pubsub",
     "the audience of the source's tokens"},
    {"service_account", kText, !kSecret, !kMayBeFile, "", "with `source` google-pubsub",
     "the e-mail address of the account that the source's tokens are for"},
    {"webhook_id", kText, !kSecret, !kMayBeFile, "", "with `source` paypal",
     "the id that the source gave the webhook"},
    {"delivery_key_ttl", kText, !kSecret, !kMayBeFile, "", "",
     "how long a delivery that was created is recognised when it is sent again: seconds, or as in "
     "`24h` or `30m`. Without it, what `duplication_key` finds is remembered as long as there is "
     "room, and what a source has delivered for a day"},
    {"kept_headers", kText, !kSecret, !kMayBeFile, "", "",
     "names of headers, separated by commas, that look like secrets by their names and are to be "
     "stored all the same, such as `x-session-id`. Not for `authorization`, cookies and the "
     "instance's own credential header"},
    {"store_request", ParameterType::kBoolean, !kSecret, !kMayBeFile, "false", "",
     "`true` keeps the sender's address and the query with each incident; secrets in the query are "
     "masked"},
    {"mirror_direction", kText, !kSecret, !kMayBeFile, "", "",
     "`None`, `Incoming`, `Outgoing` or `Incoming And Outgoing`: written into the details of each "
     "incident, for the platform's mirroring"},
    {"mirror_tags", kText, !kSecret, !kMayBeFile, "", "",
     "likewise: a list of tags, separated by commas"},
    {"mirror_instance", kText, !kSecret, !kMayBeFile, "the instance's own name", "",
     "likewise: an instance's name"},
};

}  // namespace

std::span<const Parameter> Parameters() { return kParameters; }

const Parameter* FindParameter(absl::string_view name) {
  for (const Parameter& parameter : kParameters) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

}  // namespace webhook
