#include "host_stub/config/parameters.h"

namespace host_stub {
namespace {

constexpr bool kSecret = true;
constexpr bool kMayBeFile = true;

// A certificate is public and a user's name is no secret, but both may be mounted as files.
constexpr ParameterSpec kParameters[] = {
    {"longRunningPort", ParameterType::kPort, !kSecret, !kMayBeFile},
    {"username", ParameterType::kText, !kSecret, kMayBeFile},
    {"password", ParameterType::kText, kSecret, kMayBeFile},
    {"certificate", ParameterType::kText, !kSecret, kMayBeFile},
    {"key", ParameterType::kText, kSecret, kMayBeFile},
    {"incidentType", ParameterType::kText, !kSecret, !kMayBeFile},
    {"store_samples", ParameterType::kBoolean, !kSecret, !kMayBeFile},
    {"bind_address", ParameterType::kText, !kSecret, !kMayBeFile},
    {"client_ca", ParameterType::kText, !kSecret, kMayBeFile},
    {"passwords", ParameterType::kList, kSecret, kMayBeFile},
    {"duplication_key", ParameterType::kText, !kSecret, !kMayBeFile},
    {"mirror_direction", ParameterType::kText, !kSecret, !kMayBeFile},
    {"mirror_tags", ParameterType::kText, !kSecret, !kMayBeFile},
    {"mirror_instance", ParameterType::kText, !kSecret, !kMayBeFile},
};

}  // namespace

std::span<const ParameterSpec> Parameters() { return kParameters; }

const ParameterSpec* FindParameter(absl::string_view name) {
  for (const ParameterSpec& parameter : kParameters) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

}  // namespace host_stub
