#include "host_stub/config/external_key.h"

#include "absl/strings/str_cat.h"

namespace host_stub {

std::string ExternalKey(absl::string_view instance) {
  return absl::StrCat("instance.execute.external.", instance);
}

bool IsExternal(const std::map<std::string, std::string>& server_configuration,
                absl::string_view instance) {
  const auto key = server_configuration.find(ExternalKey(instance));
  return key != server_configuration.end() && key->second == "true";
}

}  // namespace host_stub
