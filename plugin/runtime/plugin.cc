#include "plugin/runtime/plugin.h"

#include "plugin/runtime/call.h"

namespace webhook::runtime {

absl::StatusOr<std::unique_ptr<Plugin>> Plugin::Create(const lri_host* host,
                                                       const lri_plugin_options* options) {
  if (absl::Status status = Host::Check(host); !status.ok()) return status;
  Limits limits;
  if (options != nullptr && LRI_HAS(options, limits)) {
    for (size_t i = 0; i < options->limits.count; ++i) {
      const lri_pair& pair = At(options->limits, i);
      absl::Status status = SetLimit(FromView(pair.name), FromView(pair.value), limits);
      if (!status.ok()) return status;
    }
  }
  return std::make_unique<Plugin>(Host(*host), limits);
}

Plugin::Plugin(const Host& host, const Limits& limits)
    : host_(host),
      limits_(limits),
      calls_(static_cast<uint32_t>(limits.calls_in_flight)),
      parsers_(static_cast<uint32_t>(limits.calls_in_flight)) {}

Plugin::~Plugin() = default;

}  // namespace webhook::runtime
