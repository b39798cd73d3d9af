#include "host_stub/engine/plugin_core.h"

#include "absl/strings/str_cat.h"
#include "host_stub/engine/request.h"

namespace host_stub {

void PluginCore::StayForever(absl::string_view why) {
  library->StayLoaded();
  stays_.store(true, std::memory_order_release);
  logger().Log(
      Severity::kError, "",
      absl::StrCat("plugin ", library->path(), " stays in the process until it ends: ", why));
}

std::vector<lri_pair> ToAbiPairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::vector<lri_pair> abi;
  abi.reserve(pairs.size());
  for (const auto& [name, value] : pairs) abi.push_back({ToView(name), ToView(value)});
  return abi;
}

AbiInstanceOptions::AbiInstanceOptions(const InstanceSpec& spec, lri_host_instance* host_instance)
    : parameters_(ToAbiPairs(spec.parameters)), options_() {
  options_.struct_size = sizeof(options_);
  options_.on_engine = spec.on_engine ? 1 : 0;
  options_.host_instance = host_instance;
  options_.name = ToView(spec.name);
  options_.product = ToView(spec.product);
  options_.platform_url = ToView(spec.platform_url);
  options_.parameters = PairList(parameters_).abi();
  options_.port_changes_hands = spec.port_changes_hands ? 1 : 0;
}

}  // namespace host_stub
