// The configuration file: JSON text in, a checked structure or the reason of its refusal out.
//
//   {"platform": {"product": "XSOAR_6", "url": "https://my.xsoar.live", "engine": false},
//    "serverConfiguration": {"instance.execute.external.webhook": "true"},
//    "limits": {"body_bytes": 8388608},
//    "instances": [{"name": "webhook", "configuration": {
//       "longRunningPort": "8000", "username": "user", "password_file": "webhook.password",
//       "incidentType": "Phishing", "store_samples": true}}]}
//
// Only the shape is checked here: names, types, what may not occur twice. What a value means is the
// plugin's to judge, when the instance is created.
#ifndef HOST_STUB_CONFIG_CONFIGURATION_H_
#define HOST_STUB_CONFIG_CONFIGURATION_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/limits/limits.h"

namespace host_stub {

struct PlatformConfiguration {
  std::string product;  // XSOAR_6 XSOAR_8_CLOUD XSOAR_8_ON_PREM XSIAM_2 XSIAM_3
  std::string url;      // empty: not known
  bool engine = false;  // the instances run on an engine and not on the platform itself
};

struct InstanceConfiguration {
  std::string name;  // [A-Za-z0-9_-], 1 to 64 characters
  // In the file's order, under the documented names; a NAME_file is read and stands here as NAME.
  // Numbers in decimal, booleans as "true" and "false".
  std::vector<std::pair<std::string, std::string>> parameters;
};

struct Configuration {
  PlatformConfiguration platform;
  std::map<std::string, std::string> server_configuration;
  webhook::Limits limits;
  // The limits that the file sets, by name, as a plugin takes them.
  std::vector<std::pair<std::string, std::string>> limits_set;
  std::vector<InstanceConfiguration> instances;  // names and listen ports are unique
  bool holds_secret = false;                     // one stands in the file itself
  // What works but should be mended, one line each.
  std::vector<std::string> warnings;
};

// Parses a configuration's text. `file` is how messages call it; paths in the text are relative to
// `folder`. INVALID_ARGUMENT with one line: file, place (as instances[0].configuration.passwrd),
// reason. No message holds a value of a secret.
absl::StatusOr<Configuration> ParseConfiguration(absl::string_view text, const std::string& file,
                                                 const std::string& folder);

// Reads and parses the file; 4 MiB at most. Errors as above, and NOT_FOUND, PERMISSION_DENIED,
// UNAVAILABLE where it cannot be read.
absl::StatusOr<Configuration> LoadConfiguration(const std::string& path);

// Whether this is a possible name of an instance.
bool IsInstanceName(absl::string_view name);

// Overwrites the secrets, for when the instances have been created.
void WipeSecrets(Configuration& configuration);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_CONFIGURATION_H_
