// An instance's configuration, read and checked whole before anything of it applies.
#ifndef PLUGIN_RUNTIME_CONFIGURATION_H_
#define PLUGIN_RUNTIME_CONFIGURATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/line_limiter.h"
#include "plugin/core/credentials.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/platform.h"
#include "plugin/http/proxies.h"
#include "plugin/http/tls.h"
#include "plugin/limits/limits.h"
#include "plugin/runtime/source_settings.h"
#include "plugin/sources/evaluate.h"

namespace webhook::runtime {

// The default of the parameter bind_address: the documents expect the listen port to be reached
// from outside.
inline constexpr char kEveryAddress[] = "0.0.0.0";

// Immutable once read. Owns all of its texts.
struct Configuration {
  std::string name;
  const core::Platform* platform;
  std::string platform_url;                     // may be empty
  std::string incident_type;                    // of incidents that name none; may be empty
  uint16_t listen_port = 0;                     // 0: none
  std::string bind_address;                     // of the listen port
  http::Proxies proxies;                        // the same
  std::shared_ptr<const http::TlsContext> tls;  // of the listen port; null: plain HTTP
  bool store_samples = false;
  bool store_request = false;        // incidents are stored with their request's address and query
  std::vector<http::Network> allow;  // whose requests are taken; empty: everybody's
  int64_t requests_per_second = 0;   // 0: no bound
  int64_t concurrent_requests = 0;   // the same
  int32_t rate_limit_status = 503;   // or 429: beyond these, and for wrong credentials too often
  core::Credentials credentials;
  std::shared_ptr<const sources::Source> source;  // null: generic, the documented webhook
  core::DuplicationKey duplication_key;
  // How long delivery keys are remembered, in whole seconds; zero: not set, as long as there is
  // room.
  absl::Duration delivery_key_ttl;
  core::KeptHeaders kept_headers;
  std::vector<std::string> delivery_headers;  // that duplication_key names, in lower case
  std::string mirror_members;                 // core::MirrorMembers, for every incident's details
  std::string webhook_url;                    // of the platform; empty where its URL is not known
  std::string listen_url;                     // of the listen port; empty where there is none
  std::vector<std::string> warnings;          // that do not depend on the time

  // Why senders are refused although the instance works: its certificate, client_ca, client_crl or
  // all of its passwords have expired. Empty if they are not.
  std::string FaultAt(absl::Time now) const;

  // What an operator should know now: `warnings`, the fault, a certificate that expires soon.
  std::vector<std::string> WarningsAt(absl::Time now) const;

  std::shared_ptr<SourceRecord> source_record;
  // Of lines about refused credentials, more requests than are taken, and refused addresses.
  std::shared_ptr<base::LineLimiter> unauthorized = std::make_shared<base::LineLimiter>();
  std::shared_ptr<base::LineLimiter> too_many = std::make_shared<base::LineLimiter>();
  std::shared_ptr<base::LineLimiter> not_allowed = std::make_shared<base::LineLimiter>();

  // Never 0, and different for each configuration: proves that a head was accepted under this one.
  uint64_t ticket;
};

// INVALID_ARGUMENT names the parameter by its documented name, and the rule. `now` is compared with
// the ends of certificates and passwords.
absl::StatusOr<Configuration> ReadConfiguration(const lri_instance_options& options,
                                                const Limits& limits, absl::Time now);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_CONFIGURATION_H_
