// What is configured, as far as it may be shown: the parameters of each instance without secrets.
#ifndef HOST_STUB_SERVICE_INSTANCE_DIRECTORY_H_
#define HOST_STUB_SERVICE_INSTANCE_DIRECTORY_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "host_stub/config/configuration.h"

namespace host_stub {

struct ListedInstance {
  std::string name;
  bool in_file = true;  // else in the store
  bool disabled = false;
  bool on_engine = false;
  bool external_key_set = false;  // instance.execute.external.<name> is "true"
  std::vector<std::pair<std::string, std::string>> parameters;  // without secrets
  std::vector<std::string> secrets_set;                         // names, in order
};

// Any thread.
class InstanceDirectory {
 public:
  virtual ~InstanceDirectory() = default;

  // In the order of the names.
  virtual std::vector<ListedInstance> List() const = 0;
  virtual std::optional<ListedInstance> Find(absl::string_view name) const = 0;
};

// The instances of a configuration file. Takes no secret over.
std::unique_ptr<InstanceDirectory> NewFileInstances(const Configuration& configuration);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_INSTANCE_DIRECTORY_H_
