// Instances that were replaced or removed, until nobody uses them.
#ifndef HOST_STUB_INSTANCES_RETIRED_INSTANCES_H_
#define HOST_STUB_INSTANCES_RETIRED_INSTANCES_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/time/time.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/engine/logger.h"

namespace host_stub {

// A request's thread must not be the one that ends an instance, for that may wait; so this keeps
// the last reference until nobody else has one. Any thread.
class RetiredInstances {
 public:
  // Drains it; what does not end in time is tried again by Tidy.
  void Retire(std::shared_ptr<HostedInstance> instance, absl::Time deadline, Logger& logger);

  // How many are left.
  size_t size() const;

  // Tidies until nothing is left, or the deadline: a plugin may keep a port until the end.
  void AwaitEnd(absl::Time deadline);

  // Stops and ends what can be. True: something is left.
  bool Tidy();

 private:
  struct Retired {
    std::shared_ptr<HostedInstance> instance;
    bool stopped;
  };

  mutable std::mutex mutex_;
  std::vector<Retired> retired_;
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_RETIRED_INSTANCES_H_
