#include "host_stub/instances/retired_instances.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace host_stub {

void RetiredInstances::Retire(std::shared_ptr<HostedInstance> instance, absl::Time deadline,
                              Logger& logger) {
  if (instance == nullptr) return;
  const absl::Status status = instance->Stop(deadline);
  if (!status.ok()) {
    logger.Log(Severity::kWarning, instance->name(),
               absl::StrCat("still has requests after its time to drain: ", status.message()));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  retired_.push_back({std::move(instance), status.ok()});
}

size_t RetiredInstances::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return retired_.size();
}

void RetiredInstances::AwaitEnd(absl::Time deadline) {
  while (Tidy() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
}

bool RetiredInstances::Tidy() {
  std::vector<Retired> all;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    all.swap(retired_);
  }
  std::vector<Retired> left;
  for (Retired& one : all) {
    if (!one.stopped) {
      const absl::Status status = one.instance->Stop(absl::Now());
      // One that can never be stopped ends as it is; the engine keeps what it must.
      one.stopped = status.ok() || absl::IsInternal(status);
    }
    // Nobody can come by another reference: it is in no table any more.
    if (!one.stopped || one.instance.use_count() > 1) left.push_back(std::move(one));
  }
  all.clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  retired_.insert(retired_.end(), std::make_move_iterator(left.begin()),
                  std::make_move_iterator(left.end()));
  return !retired_.empty();
}

}  // namespace host_stub
