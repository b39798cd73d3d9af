// An instance's configuration, read and checked whole before anything of it applies.
#ifndef PLUGIN_RUNTIME_CONFIGURATION_H_
#define PLUGIN_RUNTIME_CONFIGURATION_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/core/credentials.h"
#include "plugin/core/duplication_key.h"
#include "plugin/core/mirroring.h"
#include "plugin/core/platform.h"

namespace webhook::runtime {

// The documented names of all parameters, in the documents' order.
std::span<const absl::string_view> ParameterNames();

// Immutable once read; owns all it names.
struct Configuration {
  std::string name;
  const core::Platform* platform;
  std::string platform_url;   // may be empty
  std::string incident_type;  // of incidents that name none; may be empty
  uint16_t listen_port = 0;   // 0: none
  bool store_samples = false;
  core::Credentials credentials;
  core::DuplicationKey duplication_key;
  core::Mirroring mirroring;
  std::string webhook_url;  // of the platform; empty where its URL is not known
  std::string listen_url;   // of the listen port; empty where there is none
  std::vector<std::string> warnings;

  // Not 0, and another for each configuration: tells that a head was checked under this one.
  uint64_t ticket;
};

// INVALID_ARGUMENT names the parameter by its documented name, and the rule.
absl::StatusOr<Configuration> ReadConfiguration(const lri_instance_options& options);

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_CONFIGURATION_H_
