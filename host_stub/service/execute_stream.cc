#include "host_stub/service/execute_stream.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "host_stub/service/execute_call.h"
#include "host_stub/service/guarded_reactor.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::ExecuteResponse;
using ::long_running_integration::v1::ExecuteStreamRequest;
using ::long_running_integration::v1::ExecuteStreamResponse;

// Above this a timeout means: none.
constexpr int64_t kLongestTimeoutSeconds = 366 * 86'400;

absl::StatusOr<absl::Time> MessageDeadline(const ExecuteStreamRequest& message,
                                           absl::Time deadline) {
  if (!message.has_request()) return absl::InvalidArgumentError("request: is missing");
  if (!message.has_timeout()) return deadline;
  const auto& timeout = message.timeout();
  if (timeout.seconds() > kLongestTimeoutSeconds) return deadline;
  const absl::Duration wait = absl::Seconds(timeout.seconds()) + absl::Nanoseconds(timeout.nanos());
  if (wait <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("timeout: must be above zero");
  }
  return std::min(deadline, absl::Now() + wait);
}

class ExecuteStream : public ExecuteStreamReactor,
                      public Drainable,
                      public std::enable_shared_from_this<ExecuteStream> {
 public:
  ExecuteStream(std::shared_ptr<CallEnvironment> environment, Caller caller, absl::Time deadline)
      : environment_(std::move(environment)), caller_(std::move(caller)), deadline_(deadline) {
    environment_->calls.Enter();
  }

  void Begin() {
    self_ = shared_from_this();
    environment_->lasting.Add(self_);
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      const uint64_t number = OpenCall();
      StartCall(number);
    }
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ok) half_closed_ = true;
    Continue();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    outgoing_.pop_front();
    --unanswered_;
    if (!ok) outgoing_.clear();  // OnCancel follows
    Continue();
  }

  void OnCancel() override {
    std::map<uint64_t, std::shared_ptr<ExecuteCall>> open;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      open.swap(open_);
      Continue();
    }
    for (const auto& [number, call] : open) {
      if (call != nullptr) call->Cancel();
    }
  }

  void Drain() override {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    Continue();
  }

  void OnDone() override {
    const std::shared_ptr<ExecuteStream> self = std::move(self_);
    environment_->lasting.Remove(this);
    environment_->calls.Leave();
  }

 private:
  uint64_t OpenCall() {
    absl::MutexLock lock(&mutex_);
    ++unanswered_;
    open_[next_number_] = nullptr;
    return next_number_++;
  }

  void StartCall(uint64_t number) {
    const uint64_t correlation_id = incoming_.correlation_id();
    auto done = [self = shared_from_this(), number, correlation_id](const absl::Status& status,
                                                                    ExecuteResponse response) {
      self->Answered(number, correlation_id, status, std::move(response));
    };
    const absl::StatusOr<absl::Time> deadline = MessageDeadline(incoming_, deadline_);
    if (!deadline.ok()) return done(deadline.status(), {});
    auto call = ExecuteCall::Start(environment_, std::move(*incoming_.mutable_request()), caller_,
                                   *deadline, std::move(done));
    if (call == nullptr) return;  // it had an answer all the same
    bool cancelled = false;
    {
      absl::MutexLock lock(&mutex_);
      cancelled = cancelled_;
      const auto found = open_.find(number);
      if (found != open_.end()) found->second = call;
    }
    if (cancelled) call->Cancel();
  }

  void Answered(uint64_t number, uint64_t correlation_id, const absl::Status& status,
                ExecuteResponse response) {
    ExecuteStreamResponse message;
    message.set_correlation_id(correlation_id);
    if (status.ok()) {
      *message.mutable_response() = std::move(response);
    } else {
      message.mutable_failure()->set_code(static_cast<int>(status.code()));
      message.mutable_failure()->set_message(std::string(status.message()));
    }
    absl::MutexLock lock(&mutex_);
    open_.erase(number);
    outgoing_.push_back(std::move(message));
    Continue();
  }

  // Does what can be done now: writes, reads on, or ends. Starting an operation under the lock is
  // safe, since gRPC calls back from the base of its own threads' stacks, never from within.
  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    if (cancelled_) return End(grpc::Status::CANCELLED);
    if (!writing_ && !outgoing_.empty()) {
      writing_ = true;
      StartWrite(&outgoing_.front());
    }
    // An answer counts until it is written, so that a slow reader of answers is not fed either.
    const bool room = unanswered_ < environment_->limits.stream_calls_in_flight;
    if (!reading_ && !half_closed_ && !draining_ && room) {
      reading_ = true;
      StartRead(&incoming_);
    }
    if (unanswered_ > 0) return;
    if (half_closed_) return End(grpc::Status::OK);
    if (draining_) End(ToGrpc(absl::UnavailableError("the host is stopping")));
  }

  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    finished_ = true;
    Finish(status);
  }

  const std::shared_ptr<CallEnvironment> environment_;
  const Caller caller_;
  const absl::Time deadline_;
  ExecuteStreamRequest incoming_;  // gRPC's while reading_
  std::shared_ptr<ExecuteStream> self_;

  absl::Mutex mutex_;
  // Calls without an outcome; null until Start has returned.
  std::map<uint64_t, std::shared_ptr<ExecuteCall>> open_ ABSL_GUARDED_BY(mutex_);
  std::deque<ExecuteStreamResponse> outgoing_ ABSL_GUARDED_BY(mutex_);  // the first is gRPC's
  uint64_t next_number_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;  // read, and the answer not written
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

ExecuteStreamReactor* NewExecuteStream(std::shared_ptr<CallEnvironment> environment,
                                       const grpc::CallbackServerContext& context) {
  auto stream = std::make_shared<ExecuteStream>(std::move(environment), CallerOf(context),
                                                DeadlineOf(context));
  stream->Begin();
  return stream.get();
}

}  // namespace host_stub
