#include "host_stub/front/routes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace host_stub {

absl::Status Routes::Add(std::shared_ptr<HostedInstance> instance, bool external) {
  auto description = instance->Describe();
  if (!description.ok()) return description.status();
  const std::string& prefix = description->path_prefix;
  const std::string name = instance->name();
  const bool open = external || !description->external_key_needed;
  if (!routes_.try_emplace(name, Route{std::move(instance), prefix, open}).second) {
    return absl::AlreadyExistsError(absl::StrCat("two instances are named ", name));
  }
  if (std::find(path_prefixes_.begin(), path_prefixes_.end(), prefix) == path_prefixes_.end()) {
    path_prefixes_.push_back(prefix);
  }
  return absl::OkStatus();
}

Routes::Match Routes::Find(absl::string_view path) const {
  for (const std::string& prefix : path_prefixes_) {
    if (!absl::StartsWith(path, prefix)) continue;
    const absl::string_view rest = path.substr(prefix.size());
    const absl::string_view name = rest.substr(0, rest.find('/'));
    const auto found = routes_.find(name);
    if (found == routes_.end() || found->second.path_prefix != prefix) continue;
    const Route& route = found->second;
    return {route.open ? Outcome::kFound : Outcome::kNotExternal, &route.instance, name,
            rest.substr(name.size())};
  }
  return {};
}

}  // namespace host_stub
