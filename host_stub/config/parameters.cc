#include "host_stub/config/parameters.h"

namespace host_stub {
namespace {

constexpr bool kSecret = true;
constexpr bool kMayBeFile = true;
constexpr bool kPrivateFile = true;

// A certificate is public and a user's name is no secret, but both may be mounted as files.
constexpr ParameterSpec kParameters[] = {
    {"longRunningPort", ParameterType::kPort, !kSecret, !kMayBeFile, !kPrivateFile},
    {"username", ParameterType::kText, !kSecret, kMayBeFile, !kPrivateFile},
    {"password", ParameterType::kText, kSecret, kMayBeFile, kPrivateFile},
    {"certificate", ParameterType::kText, !kSecret, kMayBeFile, !kPrivateFile},
    {"key", ParameterType::kText, kSecret, kMayBeFile, kPrivateFile},
    {"incidentType", ParameterType::kText, !kSecret, !kMayBeFile, !kPrivateFile},
    {"store_samples", ParameterType::kBoolean, !kSecret, !kMayBeFile, !kPrivateFile},
    {"bind_address", ParameterType::kText, !kSecret, !kMayBeFile, !kPrivateFile},
    {"client_ca", ParameterType::kText, !kSecret, kMayBeFile, !kPrivateFile},
    {"passwords", ParameterType::kList, kSecret, kMayBeFile, kPrivateFile},
    {"duplication_key", ParameterType::kText, !kSecret, !kMayBeFile, !kPrivateFile},
    {"mirror_direction", ParameterType::kText, !kSecret, !kMayBeFile, !kPrivateFile},
    {"mirror_tags", ParameterType::kText, !kSecret, !kMayBeFile, !kPrivateFile},
    {"mirror_instance", ParameterType::kText, !kSecret, !kMayBeFile, !kPrivateFile},
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
