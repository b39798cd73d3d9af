// What the services share of gRPC. It includes gRPC, so only their .cc files include it.
#ifndef HOST_STUB_SERVICE_ONCE_REACTOR_H_
#define HOST_STUB_SERVICE_ONCE_REACTOR_H_

#include <grpc/grpc_security_constants.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "host_stub/observe/logger.h"
#include "host_stub/service/grpc_server_context.h"

namespace host_stub {

// The message travels in a trailer, which clients limit, and may contain what a stranger sent. So
// it is cut and escaped like a line of the log.
inline grpc::Status ToGrpc(const absl::Status& status) {
  constexpr size_t kMostMessageBytes = 2048;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      EscapeForLog(status.message(), kMostMessageBytes));
}

// `by_certificate`: the server accepts only clients with a certificate. On other servers nobody has
// shown one, and gRPC need not be asked.
inline Caller CallerOf(const grpc::CallbackServerContext& context, bool by_certificate) {
  return MakeCaller(context.peer(),
                    by_certificate && context.auth_context()->IsPeerAuthenticated());
}

// The same, for the audit: "unix" for the control socket, whose folder lets in the host's user and
// root alone (gRPC does not tell which), else the subject of the client's certificate.
inline std::string NameOfCaller(const grpc::CallbackServerContext& context) {
  Caller caller = CallerOf(context, /*by_certificate=*/true);
  if (caller.is_owner()) return std::move(caller.address);
  const auto subject = context.auth_context()->FindPropertyValues(GRPC_X509_SUBJECT_PROPERTY_NAME);
  return subject.empty() ? caller.address
                         : EscapeForLog({subject[0].data(), subject[0].size()}, 512);
}

// What the metadata of the RPC says in `traceparent`, or nothing.
inline absl::string_view TraceParentOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find("traceparent");
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

inline absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return absl::FromChrono(deadline);
}

// Ends a call at once.
inline grpc::ServerUnaryReactor* EndCall(grpc::CallbackServerContext& context,
                                         const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context.DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// The reactor of a call that gRPC has handed over: it owns itself until gRPC has let go of it, and
// is one of the open calls until then. `Derived` is the class itself.
template <typename Derived, typename Reactor>
class SelfOwnedReactor : public Reactor,
                         public OpenCall,
                         public std::enable_shared_from_this<Derived> {
 public:
  explicit SelfOwnedReactor(std::shared_ptr<GrpcServerContext> server)
      : server_(std::move(server)) {
    server_->calls.Enter();
  }

  void OnDone() override {
    const std::shared_ptr<Derived> self = std::move(self_);
    server_->calls.Remove(token_);
    server_->calls.Leave();
  }

 protected:
  // Once, when the object is whole: OnDrain and OnCutOff may be called at once, and OnDeadline
  // then.
  void Open(absl::Time deadline = absl::InfiniteFuture()) {
    self_ = this->shared_from_this();
    token_ = server_->calls.Add(deadline, self_);
  }

  // Ends the call, once. gRPC calls nothing back from within Finish, so that the lock may be held.
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!std::exchange(finished_, true)) this->Finish(ToGrpc(status));
  }

  const std::shared_ptr<GrpcServerContext> server_;
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;

 private:
  std::shared_ptr<Derived> self_;
  OpenCalls::Token token_;
};

// Such a reactor of a stream, which ends when the host drains and at the age of its connections:
// the certificate of its client may be good no longer.
template <typename Derived, typename Reactor>
class StreamReactor : public SelfOwnedReactor<Derived, Reactor> {
 public:
  StreamReactor(std::shared_ptr<GrpcServerContext> server, bool ages)
      : SelfOwnedReactor<Derived, Reactor>(std::move(server)), ages_(ages) {}

  void OnDrain() override { EndSoon("the host is stopping"); }
  void OnDeadline() override { EndSoon("the stream has lasted grpc_age_ms; open another one"); }

 protected:
  void Open() {
    const absl::Duration age = absl::Milliseconds(this->server_->limits.grpc_age_ms);
    SelfOwnedReactor<Derived, Reactor>::Open(ages_ ? absl::Now() + age : absl::InfiniteFuture());
  }

  // Not empty: the stream takes nothing more, and is to end with UNAVAILABLE and this message.
  absl::string_view ending_ ABSL_GUARDED_BY(this->mutex_);

 private:
  void EndSoon(absl::string_view message) {
    absl::MutexLock lock(&this->mutex_);
    if (ending_.empty()) ending_ = message;
    static_cast<Derived*>(this)->Continue();
  }

  const bool ages_;
};

// A unary call that is ended once: completed by another thread, given up by its caller, or cut off
// when the host stops, whichever comes first.
class OnceReactor : public SelfOwnedReactor<OnceReactor, grpc::ServerUnaryReactor> {
 public:
  // `cut_off` is the message of UNAVAILABLE if the host stops before the call is completed; it must
  // outlive the call.
  static std::shared_ptr<OnceReactor> Make(std::shared_ptr<GrpcServerContext> server,
                                           absl::string_view cut_off = "the host is stopping") {
    auto reactor = std::make_shared<OnceReactor>(std::move(server), cut_off);
    reactor->Open();
    return reactor;
  }

  // For Make alone.
  OnceReactor(std::shared_ptr<GrpcServerContext> server, absl::string_view cut_off)
      : SelfOwnedReactor(std::move(server)), cut_off_(cut_off) {}

  // Ends the call with the status that `fill` returns. If the call has ended already, `fill`, which
  // may write to the response, does not run. Any thread.
  template <typename Fill>
  void CompleteWith(const Fill& fill) {
    absl::MutexLock lock(&mutex_);
    if (!finished_) End(GuardMemory(fill));
  }
  void Complete(const absl::Status& status) {
    CompleteWith([&status] { return status; });
  }

  // Whether the call has ended: then nobody needs the work for its answer. Any thread.
  bool finished() {
    absl::MutexLock lock(&mutex_);
    return finished_;
  }

  // Runs `work`, which owns everything that it uses, on the thread pool, or ends the call if it
  // cannot. `work` must not refer to the service: a call that was cancelled has ended, and the
  // service may end before `work` runs.
  template <typename Work>
  void Post(Work&& work) {
    if (server_->draining) return Complete(absl::UnavailableError("the host is stopping"));
    if (server_->threads.Post(std::forward<Work>(work))) return;
    Complete(absl::UnavailableError("too much is in flight; try again later"));
  }

  void OnCancel() override { Complete(absl::CancelledError("the caller gave up")); }
  void OnCutOff() override { Complete(absl::UnavailableError(cut_off_)); }

 private:
  const absl::string_view cut_off_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_ONCE_REACTOR_H_
