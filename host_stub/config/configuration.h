// Reads and checks the configuration file, a JSON text:
//
//   {"platform": {"product": "XSOAR_6", "url": "https://my.xsoar.live", "engine": false},
//    "serverConfiguration": {"instance.execute.external.webhook": "true"},
//    "limits": {"body_bytes": 8388608}, "trusted_proxies": ["10.0.0.0/8"],
//    "forwarding_header": "Forwarded", "proxy_protocol": true,
//    "retention": {"days": 30, "bytes": 1073741824},
//    "store": {"url_file": "database.url", "secrets_key_files": ["secrets.key"]},
//    "instances": [{"name": "webhook", "configuration": {
//       "longRunningPort": "8000", "username": "user", "password_file": "webhook.password",
//       "incidentType": "Phishing", "store_samples": true}}]}
//
// Names and types are checked here, and what may not occur twice. The plugin checks the meaning of
// the values when an instance is created.
#ifndef HOST_STUB_CONFIG_CONFIGURATION_H_
#define HOST_STUB_CONFIG_CONFIGURATION_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/store/incident_store.h"
#include "plugin/http/proxies.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct PlatformConfiguration {
  std::string product;  // XSOAR_6 XSOAR_8_CLOUD XSOAR_8_ON_PREM XSIAM_2 XSIAM_3
  std::string url;      // empty: not known
  bool engine = false;  // the instances run on an engine and not on the platform itself
};

struct InstanceConfiguration {
  std::string name;  // [A-Za-z0-9_-], 1 to 64 characters
  // In the file's order, under the documented names. Of a NAME_file the contents are here, under
  // NAME. Numbers are decimal, booleans "true" and "false".
  std::vector<std::pair<std::string, std::string>> parameters;
};

// The database that several hosts share. It is read at the start alone.
struct StoreConfiguration {
  // As libpq takes it: postgresql://HOST1,HOST2/DATABASE?...; empty: the store is the host's own.
  std::string url;
  // Serve although the server acknowledges what it can still lose (synchronous_commit off).
  bool allow_asynchronous_commit = false;
  // 64 hexadecimal digits each. With the first the configurations of instances are sealed.
  std::vector<std::string> secrets_keys;
};

struct Configuration {
  PlatformConfiguration platform;
  std::map<std::string, std::string> server_configuration;
  webhook::Limits limits;
  // The limits that the file sets, by name, for the plugin.
  std::vector<std::pair<std::string, std::string>> limits_set;
  webhook::http::Proxies proxies;  // before the front
  Retention retention;             // of incidents
  StoreConfiguration store;
  std::vector<InstanceConfiguration> instances;  // names and listen ports are unique
  bool holds_secret = false;                     // the file itself contains one
  // What works but should be corrected, one line each.
  std::vector<std::string> warnings;
};

// Parses the text of a configuration. `file` is its name in messages; paths in the text are
// relative to `folder`. INVALID_ARGUMENT with one line: file, place (as
// instances[0].configuration.passwrd) and reason. No message contains a secret.
absl::StatusOr<Configuration> ParseConfiguration(absl::string_view text, const std::string& file,
                                                 const std::string& folder);

// Reads and parses the file; 4 MiB at most. Errors as above, and NOT_FOUND, PERMISSION_DENIED (also
// if others can change it), UNAVAILABLE where it cannot be read.
absl::StatusOr<Configuration> LoadConfiguration(const std::string& path);

// The key of serverConfiguration that must be "true" on XSOAR 6 before an instance can be reached
// from outside: instance.execute.external.NAME
std::string ExternalKey(absl::string_view instance);

// Whether that key is "true".
bool IsExternal(const std::map<std::string, std::string>& server_configuration,
                absl::string_view instance);

// Overwrites the secrets. To be called once the instances have been created.
void WipeSecrets(Configuration& configuration);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_CONFIGURATION_H_
