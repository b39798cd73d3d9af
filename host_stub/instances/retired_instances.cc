#include "host_stub/instances/retired_instances.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "plugin/base/thread.h"

namespace host_stub {
namespace {

// The time for one more attempt to stop an instance that did not stop in time. The plugin waits for
// its calls meanwhile.
constexpr absl::Duration kAttempt = absl::Milliseconds(500);

}  // namespace

struct RetiredInstances::Queue {
  absl::Mutex mutex;
  // Still with calls in flight.
  std::vector<std::shared_ptr<HostedInstance>> unstopped ABSL_GUARDED_BY(mutex);
  // Their last reference was dropped.
  std::vector<std::unique_ptr<HostedInstance>> unused ABSL_GUARDED_BY(mutex);
  int left ABSL_GUARDED_BY(mutex) = 0;  // retired, and not ended
  bool stopping ABSL_GUARDED_BY(mutex) = false;

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return stopping || !unstopped.empty() || !unused.empty();
  }
  bool IsEmpty() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return left == 0; }
};

RetiredInstances::RetiredInstances(std::shared_ptr<Logger> logger)
    : logger_(std::move(logger)),
      queue_(std::make_shared<Queue>()),
      thread_(base::StartThread("retire", [queue = queue_] { Run(queue); })) {}

RetiredInstances::~RetiredInstances() { Stop(); }

void RetiredInstances::Stop() {
  {
    absl::MutexLock lock(&queue_->mutex);
    queue_->stopping = true;
  }
  if (thread_.joinable()) thread_.join();
}

void RetiredInstances::Retire(std::shared_ptr<HostedInstance> instance, absl::Time deadline) {
  if (instance == nullptr) return;
  {
    absl::MutexLock lock(&queue_->mutex);
    ++queue_->left;
  }
  const std::string name = instance->name();
  const absl::Status status = StopAndRelease(queue_, std::move(instance), deadline);
  if (status.ok()) return;
  logger_->Log(Severity::kWarning, name,
               absl::StrCat("still has requests after its time to drain: ", status.message()));
}

// Drops the reference to one that stops in time. No snapshot has it any more, but a request may
// still be looking at it. One that can never be stopped ends as it is; the engine leaks what it
// must.
absl::Status RetiredInstances::StopAndRelease(const std::shared_ptr<Queue>& queue,
                                              std::shared_ptr<HostedInstance> instance,
                                              absl::Time deadline) {
  const absl::Status status = instance->Stop(deadline);
  if (!status.ok() && !absl::IsInternal(status)) {
    absl::MutexLock lock(&queue->mutex);
    queue->unstopped.push_back(std::move(instance));
    return status;
  }
  instance->EndElsewhere([queue](std::unique_ptr<HostedInstance> unused) {
    absl::MutexLock lock(&queue->mutex);
    if (!queue->stopping) queue->unused.push_back(std::move(unused));
  });
  return status;
}

size_t RetiredInstances::size() const {
  absl::MutexLock lock(&queue_->mutex);
  return static_cast<size_t>(queue_->left);
}

void RetiredInstances::AwaitEnd(absl::Time deadline) {
  absl::MutexLock lock(&queue_->mutex);
  queue_->mutex.AwaitWithDeadline(absl::Condition(queue_.get(), &Queue::IsEmpty), deadline);
}

void RetiredInstances::Run(const std::shared_ptr<Queue>& queue) {
  while (true) {
    std::vector<std::shared_ptr<HostedInstance>> unstopped;
    std::vector<std::unique_ptr<HostedInstance>> unused;
    bool stopping = false;
    {
      absl::MutexLock lock(&queue->mutex);
      queue->mutex.Await(absl::Condition(queue.get(), &Queue::HasWork));
      unstopped.swap(queue->unstopped);
      unused.swap(queue->unused);
      stopping = queue->stopping;
    }
    const int ended = static_cast<int>(unused.size());
    unused.clear();
    {
      absl::MutexLock lock(&queue->mutex);
      queue->left -= ended;
    }
    if (stopping) return;
    for (std::shared_ptr<HostedInstance>& instance : unstopped) {
      StopAndRelease(queue, std::move(instance), absl::Now() + kAttempt).IgnoreError();
    }
  }
}

}  // namespace host_stub
