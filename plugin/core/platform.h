// The platforms as data: the URL of a webhook, the parameters that are needed, the name of a
// record.
#ifndef PLUGIN_CORE_PLATFORM_H_
#define PLUGIN_CORE_PLATFORM_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace webhook::core {

// What holds for a product, on its own server or on an engine.
struct Platform {
  const char* product_name;  // as configured: XSOAR_6, XSOAR_8_CLOUD, ...
  bool on_engine;
  const char* path_prefix;      // what comes before the instance's name in a forwarded request
  bool external_key_needed;     // instance.execute.external.<name> must be true
  bool credentials_required;    // username and password must be set
  bool listen_port_shown;       // longRunningPort: shown, and then required
  bool certificate_supported;   // the parameters certificate and key
  bool result_shown;            // the automatically generated webhook URL
  bool external_host_prefixed;  // the webhook's host name is `ext-` and the tenant's
  bool xdr_becomes_crtx;        // in the webhook's host name
  const char* record;           // incident, alert or issue
};

// Every product twice: on its own and on an engine.
std::span<const Platform> Platforms();

// By the configured name, exactly as written in product_name; INVALID_ARGUMENT lists the names.
absl::StatusOr<const Platform*> FindPlatform(absl::string_view product_name, bool on_engine);

// The URL under which the platform forwards to the instance, from the URL of the server or
// tenant: an http(s) URL without path, query, fragment or user; anything else is INVALID_ARGUMENT.
absl::StatusOr<std::string> WebhookUrl(const Platform& platform, absl::string_view server_url,
                                       absl::string_view instance_name);

// The URL of an instance's own listen port: the server's host, and https where the port has a
// certificate, whatever the server itself speaks.
absl::StatusOr<std::string> DirectUrl(absl::string_view server_url, uint16_t listen_port, bool tls);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_PLATFORM_H_
