// How an instance is configured, whether the file or the store keeps it.
#ifndef HOST_STUB_INSTANCES_INSTANCE_SETTINGS_H_
#define HOST_STUB_INSTANCES_INSTANCE_SETTINGS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/store/store.h"

namespace host_stub {

// Only the store's instances have a request_id and times.
struct InstanceSettings : InstanceFacts {
  bool in_file = false;
  std::map<std::string, std::string> parameters;  // documented names; none is empty

  std::string etag() const;
  // The listen port; 0 where there is none. The plugin refuses a text that is not a port.
  int port() const;
};

// Its uid is derived from its name, so that the store recognises its delivery keys after a restart.
InstanceSettings SettingsOf(const InstanceConfiguration& instance, bool on_engine);

// INTERNAL where the text in the store cannot be read; or its fault.
absl::StatusOr<InstanceSettings> SettingsOf(const StoredInstance& instance);
StoredInstance ToStored(const InstanceSettings& settings);

InstanceSpec ToSpec(const InstanceSettings& settings, const PlatformConfiguration& platform);

// Removes empty parameters. INVALID_ARGUMENT names the field: an invalid name, a parameter that is
// not among `known` (if that is empty: not among those of the file), a value that is too long.
absl::Status CheckSettings(std::span<const std::string> known, InstanceSettings& settings);

// What may be shown of an instance: its parameters without secrets.
struct ListedInstance : InstanceFacts {
  bool in_file = true;            // else in the store
  std::string etag;               // changes with each change of the configuration
  bool external_key_set = false;  // instance.execute.external.<name> is "true"
  std::string product;            // of the platform
  std::string front_url;          // of the host's own HTTP front, as in http://127.0.0.1:8080
  std::shared_ptr<HostedInstance> instance;  // as in InstanceEntry
  // Why it does not serve although it should, and since when.
  std::optional<InstanceHealth> start_error;
  std::vector<std::pair<std::string, std::string>> parameters;  // without secrets
  std::vector<std::string> secrets_set;                         // names, in order
  std::vector<absl::Time> password_ends;  // of the additional passwords; InfiniteFuture: never
};

// Without what the settings do not say: the instance, the start error, the platform.
ListedInstance ToListed(const InstanceSettings& settings);

// The parameter `passwords`: JSON text that the plugin understands.
struct AdditionalPassword {
  std::string password;
  absl::Time ends = absl::InfiniteFuture();
};
std::string EncodePasswords(std::span<const AdditionalPassword> passwords);

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_SETTINGS_H_
