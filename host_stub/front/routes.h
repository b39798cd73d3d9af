// Which path of the front belongs to which instance.
#ifndef HOST_STUB_FRONT_ROUTES_H_
#define HOST_STUB_FRONT_ROUTES_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "host_stub/engine/hosted_instance.h"

namespace host_stub {

// Immutable while it is used, so that a lookup takes no lock.
class Routes {
 public:
  // Adds an instance under the path that it describes. `external` tells whether the server
  // configuration opens it to the outside; an instance that needs no key is open in any case.
  // ALREADY_EXISTS: the name is taken.
  absl::Status Add(std::shared_ptr<HostedInstance> instance, bool external);

  enum class Outcome { kFound, kNotFound, kNotExternal };

  struct Match {
    Outcome outcome = Outcome::kNotFound;
    // Kept by this object; who uses it for longer takes a copy. Null where kNotFound.
    const std::shared_ptr<HostedInstance>* instance = nullptr;
    absl::string_view name;       // a view into the path
    absl::string_view remainder;  // what follows the name: empty, or begins with '/'
  };

  // Names are compared byte for byte: nothing in a valid name wants percent-encoding.
  Match Find(absl::string_view path) const;

 private:
  struct Route {
    std::shared_ptr<HostedInstance> instance;
    std::string path_prefix;
    bool open;
  };

  std::vector<std::string> path_prefixes_;
  std::map<std::string, Route, std::less<>> routes_;
};

}  // namespace host_stub

#endif  // HOST_STUB_FRONT_ROUTES_H_
