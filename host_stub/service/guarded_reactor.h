// For the .cc files of the services alone: it includes gRPC.
#ifndef HOST_STUB_SERVICE_GUARDED_REACTOR_H_
#define HOST_STUB_SERVICE_GUARDED_REACTOR_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/engine/logger.h"
#include "host_stub/service/call_environment.h"

namespace host_stub {

// The message travels in a trailer, and clients take only short ones; it may name what a stranger
// sent, so it is cut and escaped as a line of the log is.
// Without memory it goes without.
inline grpc::Status ToGrpc(const absl::Status& status) noexcept {
  constexpr size_t kMostMessageBytes = 2048;
  std::string message;
  try {
    message = EscapeForLog(status.message(), kMostMessageBytes);
  } catch (const std::bad_alloc&) {
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

// `by_certificate`: the listener asks for certificates. Where it does not, nobody has shown one,
// and gRPC need not be asked.
inline Caller CallerOf(const grpc::CallbackServerContext& context, bool by_certificate) {
  return MakeCaller(context.peer(),
                    by_certificate && context.auth_context()->IsPeerAuthenticated());
}

inline absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return absl::FromChrono(deadline);
}

// A unary call that is completed from elsewhere, or ended by its caller: whichever comes first.
class GuardedReactor : public grpc::ServerUnaryReactor, public OpenCall {
 public:
  // Owns itself until gRPC has let go of it. `cut_off` is the message of UNAVAILABLE where the host
  // stops before the call is completed.
  static std::shared_ptr<GuardedReactor> Make(std::shared_ptr<CallEnvironment> environment,
                                              absl::string_view cut_off = "the host is stopping") {
    auto reactor = std::make_shared<GuardedReactor>(std::move(environment), cut_off);
    reactor->self_ = reactor;
    reactor->token_ = reactor->environment_->calls.Add(absl::InfiniteFuture(), reactor);
    return reactor;
  }

  // For Make alone.
  GuardedReactor(std::shared_ptr<CallEnvironment> environment, absl::string_view cut_off)
      : environment_(std::move(environment)), cut_off_(cut_off) {
    environment_->calls.Enter();
  }

  // Ends the call with what `fill` returns, unless it has ended: then `fill`, which may write to
  // the response, does not run. Any thread. Where it finds no memory the call fails.
  template <typename Fill>
  void CompleteWith(const Fill& fill) {
    absl::Status status(absl::StatusCode::kResourceExhausted, "");
    {
      absl::MutexLock lock(&mutex_);
      if (finished_) return;
      finished_ = true;
      try {
        status = fill();
      } catch (const std::bad_alloc&) {
      }
    }
    Finish(ToGrpc(status));
  }
  void Complete(const std::function<absl::Status()>& fill) { CompleteWith(fill); }
  void Complete(const absl::Status& status) {
    CompleteWith([&status] { return status; });
  }

  // Whether the call has ended: what would only serve to answer it need not be done. Any thread.
  bool finished() {
    absl::MutexLock lock(&mutex_);
    return finished_;
  }

  void OnCancel() override { Complete(absl::CancelledError("the caller gave up")); }
  void OnCutOff() override { Complete(absl::UnavailableError(cut_off_)); }
  void OnDone() override {
    const std::shared_ptr<GuardedReactor> self = std::move(self_);
    environment_->calls.Remove(token_);
    environment_->calls.Leave();
  }

 private:
  const std::shared_ptr<CallEnvironment> environment_;
  const absl::string_view cut_off_;
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<GuardedReactor> self_;
  OpenCalls::Token token_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_GUARDED_REACTOR_H_
