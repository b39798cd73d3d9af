#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/host_services.h"

namespace host_stub {
namespace {

class CompletionThread : public CompletionThreads {
 public:
  CompletionThread() : thread_([this] { Run(); }) {}

  ~CompletionThread() override {
    {
      absl::MutexLock lock(&mutex_);
      ending_ = true;
    }
    thread_.join();
  }

  int count() const override { return 1; }
  int current() const override { return std::this_thread::get_id() == thread_.get_id() ? 0 : -1; }

  void Post(int /*thread*/, absl::AnyInvocable<void()> function) override {
    absl::MutexLock lock(&mutex_);
    posted_.push_back(std::move(function));
  }

 private:
  void Run() {
    for (;;) {
      std::vector<absl::AnyInvocable<void()>> functions;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &CompletionThread::HasWork));
        if (posted_.empty()) return;
        functions.swap(posted_);
      }
      for (auto& function : functions) function();
    }
  }

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ending_ || !posted_.empty(); }

  absl::Mutex mutex_;
  std::vector<absl::AnyInvocable<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

std::unique_ptr<CompletionThreads> NewCompletionThread() {
  return std::make_unique<CompletionThread>();
}

}  // namespace host_stub
