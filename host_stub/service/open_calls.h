// The calls that the gRPC servers have: how many there are, when each must end, and how all of them
// end when the host stops.
#ifndef HOST_STUB_SERVICE_OPEN_CALLS_H_
#define HOST_STUB_SERVICE_OPEN_CALLS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace host_stub {

// What happens to a call from outside. Each function runs under no lock and must not block.
class OpenCall {
 public:
  virtual ~OpenCall() = default;

  // The deadline has passed. On the thread of OpenCalls.
  virtual void OnDeadline() {}

  // The host takes no new work: a call that lasts as long as its caller likes should finish.
  virtual void OnDrain() {}

  // The time for draining is over: the call must end now, as UNAVAILABLE.
  virtual void OnCutOff() {}
};

// Any thread, unless a function says otherwise.
class OpenCalls {
 public:
  using Token = std::pair<absl::Time, uint64_t>;

  OpenCalls();

  // Calls Stop. Not on the thread that runs OnDeadline, unless Stop was called before: a call may
  // hold the last reference to the owner of this object.
  ~OpenCalls();

  // gRPC has handed a call over, and has let go of it. Each Enter is followed by one Leave.
  void Enter() { open_.fetch_add(1); }
  void Leave();

  // Waits for a moment without a call. False if there was none by the deadline.
  bool AwaitNone(absl::Time deadline);

  // Whether any call was ever added.
  bool any() {
    absl::MutexLock lock(&mutex_);
    return next_number_ > 0;
  }

  // Owns `call` until its deadline has passed or it is removed; InfiniteFuture means no deadline.
  // After DrainAll or CutOffAll, the call is told so before Add returns. After Stop, does nothing.
  Token Add(absl::Time deadline, std::shared_ptr<OpenCall> call);

  // One of the call's functions may be running at this moment.
  void Remove(const Token& token);

  // Tells each call that was added, and each that will be.
  void DrainAll() { TellAll(&OpenCalls::draining_, &OpenCall::OnDrain); }
  void CutOffAll() { TellAll(&OpenCalls::cut_off_, &OpenCall::OnCutOff); }

  // Releases all calls and joins the thread. A second call does nothing. Not from within a call's
  // function.
  void Stop();

 private:
  void Run();
  void TellAll(bool OpenCalls::*flag, void (OpenCall::*tell)());

  std::atomic<int64_t> open_{0};
  std::atomic<bool> awaited_{false};  // until then Leave takes no lock

  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool none_ ABSL_GUARDED_BY(mutex_) = false;  // there was a moment without a call
  std::map<Token, std::shared_ptr<OpenCall>> calls_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  // When the thread looks again. The call it waits for may have been removed since.
  absl::Time wake_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool cut_off_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_OPEN_CALLS_H_
