#include "host_stub/service/instance_directory.h"

#include <algorithm>
#include <map>

#include "host_stub/config/external_key.h"
#include "host_stub/config/parameters.h"

namespace host_stub {
namespace {

ListedInstance MakeListed(const Configuration& configuration,
                          const InstanceConfiguration& instance) {
  ListedInstance listed;
  listed.name = instance.name;
  listed.on_engine = configuration.platform.engine;
  listed.external_key_set = IsExternal(configuration.server_configuration, instance.name);
  for (const auto& [name, value] : instance.parameters) {
    const ParameterSpec* spec = FindParameter(name);
    // A parameter that is not known here is not shown either.
    const bool secret = spec == nullptr || spec->secret;
    if (!secret) listed.parameters.emplace_back(name, value);
    if (secret && !value.empty()) listed.secrets_set.push_back(name);
  }
  std::sort(listed.secrets_set.begin(), listed.secrets_set.end());
  return listed;
}

class FileInstances : public InstanceDirectory {
 public:
  explicit FileInstances(const Configuration& configuration) {
    for (const InstanceConfiguration& instance : configuration.instances) {
      instances_.emplace(instance.name, MakeListed(configuration, instance));
    }
  }

  std::vector<ListedInstance> List() const override {
    std::vector<ListedInstance> list;
    for (const auto& [name, instance] : instances_) list.push_back(instance);
    return list;
  }

  std::optional<ListedInstance> Find(absl::string_view name) const override {
    const auto found = instances_.find(std::string(name));
    if (found == instances_.end()) return std::nullopt;
    return found->second;
  }

 private:
  std::map<std::string, ListedInstance> instances_;
};

}  // namespace

std::unique_ptr<InstanceDirectory> NewFileInstances(const Configuration& configuration) {
  return std::make_unique<FileInstances>(configuration);
}

}  // namespace host_stub
