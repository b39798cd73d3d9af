// How an instance is configured, wherever that is kept: the file or the store.
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
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/engine/instance_status.h"
#include "host_stub/store/state_store.h"

namespace host_stub {

struct InstanceSettings {
  std::string name;
  std::string uid;
  bool in_file = false;
  std::map<std::string, std::string> parameters;  // documented names; none is empty
  bool disabled = false;
  bool on_engine = false;
  int64_t generation = 1;  // grows with each change
  std::string request_id;  // of the call that made it
  absl::Time created;      // of the store's, as is changed
  absl::Time changed;

  std::string etag() const;
  // The listen port, 0: none. What is no port is the plugin's to refuse.
  int port() const;
};

// Its uid is always the same, so that the store knows its delivery keys again.
InstanceSettings SettingsOf(const InstanceConfiguration& instance, bool on_engine);

// INTERNAL where the store's text is not ours.
absl::StatusOr<InstanceSettings> SettingsOf(const StoredInstance& instance);
StoredInstance ToStored(const InstanceSettings& settings);

InstanceSpec ToSpec(const InstanceSettings& settings, const PlatformConfiguration& platform);

// Drops what is empty. INVALID_ARGUMENT, naming the field: a name that is none, a parameter that
// is not among `known` (which may be empty: then those of the file), a value beyond its bound.
absl::Status CheckSettings(std::span<const std::string> known, InstanceSettings& settings);

// What may be shown of an instance: its parameters without secrets.
struct ListedInstance {
  std::string name;
  bool in_file = true;  // else in the store
  bool disabled = false;
  bool on_engine = false;
  std::string uid;
  std::string etag;  // changes with each change of the configuration
  // Of the store's instances.
  std::optional<absl::Time> created;
  std::optional<absl::Time> changed;
  bool external_key_set = false;  // instance.execute.external.<name> is "true"
  std::string product;            // of the platform
  std::string front_url;          // of the host's own HTTP front, as in http://127.0.0.1:8080
  std::shared_ptr<HostedInstance> instance;  // null: there is none that could be asked for more
  // Where it should serve and does not: why, and since when.
  std::optional<InstanceHealth> trouble;
  std::vector<std::pair<std::string, std::string>> parameters;  // without secrets
  std::vector<std::string> secrets_set;                         // names, in order
  std::vector<absl::Time> password_ends;  // of the additional passwords; InfiniteFuture: never
};

// What its settings say of it.
ListedInstance ToListed(const InstanceSettings& settings);

// The parameter `passwords`: JSON text that the plugin understands.
struct AdditionalPassword {
  std::string password;
  absl::Time ends = absl::InfiniteFuture();
};
std::string EncodePasswords(std::span<const AdditionalPassword> passwords);

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_SETTINGS_H_
