// What is configured, as far as it may be shown: the parameters of each instance without secrets.
#ifndef HOST_STUB_SERVICE_INSTANCE_DIRECTORY_H_
#define HOST_STUB_SERVICE_INSTANCE_DIRECTORY_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "host_stub/engine/instance_status.h"

namespace host_stub {

struct ListedInstance {
  std::string name;
  bool in_file = true;  // else in the store
  bool disabled = false;
  bool on_engine = false;
  std::string uid;
  std::string etag;  // changes with each change of the configuration
  // Of the store's instances.
  std::optional<absl::Time> created;
  std::optional<absl::Time> changed;
  bool external_key_set = false;  // instance.execute.external.<name> is "true"
  std::string product;            // of the platform
  std::string front_url;          // of the host's own HTTP front, as in http://127.0.0.1:8080
  // Where it should serve and does not: why, and since when.
  std::optional<InstanceHealth> trouble;
  std::vector<std::pair<std::string, std::string>> parameters;  // without secrets
  std::vector<std::string> secrets_set;                         // names, in order
  std::vector<absl::Time> password_ends;  // of the additional passwords; InfiniteFuture: never
};

// Any thread.
class InstanceDirectory {
 public:
  virtual ~InstanceDirectory() = default;

  // In the order of the names.
  virtual std::vector<ListedInstance> List() const = 0;
  virtual std::optional<ListedInstance> Find(absl::string_view name) const = 0;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_INSTANCE_DIRECTORY_H_
