// How an instance is configured, wherever that is kept: the file or the store.
#ifndef HOST_STUB_INSTANCES_INSTANCE_SETTINGS_H_
#define HOST_STUB_INSTANCES_INSTANCE_SETTINGS_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/service/instance_directory.h"
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

// What may be shown of it. Neither trouble nor platform.
ListedInstance ToListed(const InstanceSettings& settings);

// The parameter `passwords`: JSON text that the plugin understands.
struct AdditionalPassword {
  std::string password;
  absl::Time ends = absl::InfiniteFuture();
};
std::string EncodePasswords(std::span<const AdditionalPassword> passwords);

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_INSTANCE_SETTINGS_H_
