// The instances that serve, by name. Looked up by every request, from many threads.
#ifndef HOST_STUB_ENGINE_INSTANCE_REGISTRY_H_
#define HOST_STUB_ENGINE_INSTANCE_REGISTRY_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/hosted_instance.h"

namespace host_stub {

// Any thread. A look-up is a reader's lock, a few comparisons and a count: 0.2 us, where a request
// takes 8.
class InstanceRegistry {
 public:
  // Null where there is none. An instance that was removed meanwhile refuses by itself.
  std::shared_ptr<HostedInstance> Find(absl::string_view name) const;

  // By name, in order.
  std::vector<std::shared_ptr<HostedInstance>> List() const;

  // ALREADY_EXISTS: the name is taken.
  absl::Status Add(std::shared_ptr<HostedInstance> instance);

  // Puts an instance into the place of the one of the same name, which is returned; null where
  // there was none.
  std::shared_ptr<HostedInstance> Replace(std::shared_ptr<HostedInstance> instance);

  // The instance that is found no more, for its Stop; null where there was none.
  std::shared_ptr<HostedInstance> Remove(absl::string_view name);

  // Stops all, in the order of their names, and removes them. The first failure is returned; the
  // others are stopped all the same.
  absl::Status StopAll(absl::Time deadline);

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<HostedInstance>, std::less<>> instances_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_INSTANCE_REGISTRY_H_
