// Instances that were replaced or removed, until nobody uses them any more.
#ifndef HOST_STUB_INSTANCES_RETIRED_INSTANCES_H_
#define HOST_STUB_INSTANCES_RETIRED_INSTANCES_H_

#include <cstddef>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/observe/logger.h"

namespace host_stub {

// Ending an instance may wait, so a request's thread must not do it. When the last reference to a
// retired instance is dropped, it is handed over to a thread that ends it. Any thread.
class RetiredInstances {
 public:
  explicit RetiredInstances(std::shared_ptr<Logger> logger);
  ~RetiredInstances();
  RetiredInstances(const RetiredInstances&) = delete;
  RetiredInstances& operator=(const RetiredInstances&) = delete;

  // Drains it. One that does not stop in time is stopped again until it does. Null: does nothing.
  void Retire(std::shared_ptr<HostedInstance> instance, absl::Time deadline);

  // How many have not ended.
  size_t size() const;

  // Waits until all have ended, or for the deadline: a plugin may keep a port until the end.
  void AwaitEnd(absl::Time deadline);

  // Joins the thread. Instances that are still used end with their last user. Retire must not be
  // called afterwards.
  void Stop();

 private:
  struct Queue;
  static absl::Status StopAndRelease(const std::shared_ptr<Queue>& queue,
                                     std::shared_ptr<HostedInstance> instance, absl::Time deadline);
  static void Run(const std::shared_ptr<Queue>& queue);

  const std::shared_ptr<Logger> logger_;
  const std::shared_ptr<Queue> queue_;  // shared with the instances that are still used
  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_INSTANCES_RETIRED_INSTANCES_H_
