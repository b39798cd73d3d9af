#include "host_stub/service/execute_stream.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "host_stub/service/execute_call.h"
#include "host_stub/service/guarded_reactor.h"
#include "host_stub/service/recycler.h"

namespace host_stub {
namespace {

using ::google::protobuf::Arena;
using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::ExecuteResponse;
using ::long_running_integration::v1::ExecuteStreamRequest;
using ::long_running_integration::v1::ExecuteStreamResponse;

// What all streams together keep of calls that have ended for those that come.
constexpr size_t kMostKept = 256;
// Holds the messages of most calls, but for their longer texts.
constexpr size_t kBlockBytes = 3'072;

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

class ExecuteStream;

}  // namespace

// One request of a stream, from when it is read until its answer is written.
class StreamCall : public ExecuteCall {
 public:
  explicit StreamCall(std::shared_ptr<CallEnvironment> environment)
      : ExecuteCall(std::move(environment)) {}

  // Where the request is read to.
  ExecuteStreamRequest& message() { return *message_; }
  const ExecuteStreamResponse& answer() const { return *answer_; }

  // The message is read.
  void Open(std::shared_ptr<ExecuteStream> stream) {
    stream_ = std::move(stream);
    answer_->set_correlation_id(message_->correlation_id());
  }

  // Ends the call by itself where it is not begun.
  void OnOutcome(const absl::Status& status) noexcept override;

  // Of Recycler.
  bool Recycle() noexcept {
    stream_ = nullptr;
    next_answered = nullptr;
    begun = false;
    Renew();
    arena_.Reset();
    // In the block, which has room for them.
    message_ = Arena::CreateMessage<ExecuteStreamRequest>(&arena_);
    answer_ = Arena::CreateMessage<ExecuteStreamResponse>(&arena_);
    return true;
  }

  // The sender is gone: nobody will be told. After Begin.
  void GiveUp() {
    if (Cancel()) stream_ = nullptr;
  }

  // The stream's, under its lock.
  size_t position = 0;  // among its calls
  bool begun = false;   // and so may be given up
  std::shared_ptr<StreamCall> next_answered;

 protected:
  ExecuteRequest& mutable_request() override { return *message_->mutable_request(); }
  ExecuteResponse& mutable_response() override { return *answer_->mutable_response(); }

 private:
  std::shared_ptr<ExecuteStream> stream_;  // until it has the outcome
  // Messages within messages end when their owner is cleared, so that room is kept by an arena.
  alignas(std::max_align_t) char block_[kBlockBytes];
  Arena arena_{block_, kBlockBytes};
  ExecuteStreamRequest* message_ = Arena::CreateMessage<ExecuteStreamRequest>(&arena_);
  ExecuteStreamResponse* answer_ = Arena::CreateMessage<ExecuteStreamResponse>(&arena_);
};

namespace {

class ExecuteStream : public ExecuteStreamReactor,
                      public OpenCall,
                      public std::enable_shared_from_this<ExecuteStream> {
 public:
  ExecuteStream(std::shared_ptr<CallEnvironment> environment,
                std::shared_ptr<Recycler<StreamCall>> recycler, Caller caller, absl::Time deadline)
      : environment_(std::move(environment)),
        recycler_(std::move(recycler)),
        caller_(std::move(caller)),
        deadline_(deadline) {}

  // One by one: each may still own the next.
  ~ExecuteStream() override {
    absl::MutexLock lock(&mutex_);
    while (first_answered_ != nullptr) TakeAnswered();
  }

  // Without memory it throws, and nothing has begun.
  void Begin() {
    incoming_ = NewCall();
    self_ = shared_from_this();
    token_ = environment_->calls.Add(absl::InfiniteFuture(), self_);
    environment_->calls.Enter();
    StartRead(&incoming_->message());
  }

  void OnReadDone(bool ok) override {
    if (ok) StartCall();
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ok) half_closed_ = true;
    Continue();
  }

  void OnWriteDone(bool ok) override {
    std::shared_ptr<StreamCall> written;  // ends outside of the lock
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    written = TakeAnswered();
    Forget(*written);
    while (!ok && first_answered_ != nullptr) TakeAnswered();  // OnCancel follows
    Continue();
  }

  void OnCancel() override {
    std::vector<std::shared_ptr<StreamCall>> calls;
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
      calls.swap(calls_);
      std::erase_if(calls, [](const auto& call) { return !call->begun; });
      Continue();
    }
    for (const auto& call : calls) call->GiveUp();
  }

  void OnDrain() override {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    Continue();
  }

  void OnDone() override {
    const std::shared_ptr<ExecuteStream> self = std::move(self_);
    environment_->calls.Remove(token_);
    environment_->calls.Leave();
  }

  void Answered(std::shared_ptr<StreamCall> call) {
    absl::MutexLock lock(&mutex_);
    // Nobody reads it, and the stream and its calls should not own each other.
    if (finished_ || cancelled_) return;
    StreamCall* const last = std::exchange(last_answered_, call.get());
    (first_answered_ == nullptr ? first_answered_ : last->next_answered) = std::move(call);
    Continue();
  }

 private:
  std::shared_ptr<StreamCall> NewCall() {
    return recycler_->Get([this] { return std::make_unique<StreamCall>(environment_); });
  }

  // False: there is no memory for another call.
  bool Read() noexcept {
    try {
      incoming_ = NewCall();
    } catch (const std::bad_alloc&) {
      return false;
    }
    StartRead(&incoming_->message());
    return true;
  }

  void StartCall() {
    const std::shared_ptr<StreamCall> call = std::move(incoming_);
    const absl::StatusOr<absl::Time> deadline = MessageDeadline(call->message(), deadline_);
    call->Open(shared_from_this());
    {
      absl::MutexLock lock(&mutex_);
      call->position = calls_.size();
      calls_.push_back(call);
    }
    if (!deadline.ok()) return call->OnOutcome(deadline.status());
    call->Begin(caller_, *deadline);
    bool cancelled = false;
    {
      absl::MutexLock lock(&mutex_);
      cancelled = cancelled_;
      call->begun = true;
      if (cancelled) calls_.clear();  // OnCancel has seen those before
    }
    if (cancelled) call->GiveUp();
  }

  std::shared_ptr<StreamCall> TakeAnswered() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::shared_ptr<StreamCall> first = std::move(first_answered_);
    first_answered_ = std::move(first->next_answered);
    return first;
  }

  // Its answer is written.
  void Forget(const StreamCall& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (cancelled_) return;  // OnCancel took them all
    const size_t position = call.position;
    calls_.back()->position = position;
    std::swap(calls_[position], calls_.back());
    calls_.pop_back();
  }

  // Does what can be done now: writes, reads on, or ends. Starting an operation under the lock is
  // safe, since gRPC calls back from the base of its own threads' stacks, never from within.
  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    if (cancelled_) return End(grpc::Status::CANCELLED);
    if (!writing_ && first_answered_ != nullptr) {
      writing_ = true;
      StartWrite(&first_answered_->answer());
    }
    // An answer counts until it is written, so that a slow reader of answers is not fed either.
    const size_t most = static_cast<size_t>(environment_->limits.stream_calls_in_flight);
    if (!reading_ && !half_closed_ && !draining_ && calls_.size() < most) {
      reading_ = true;  // the reaction may come at once
      if (!Read()) return End(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "no memory"));
    }
    if (!calls_.empty()) return;
    if (half_closed_) return End(grpc::Status::OK);
    if (draining_) End(ToGrpc(absl::UnavailableError("the host is stopping")));
  }

  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    finished_ = true;
    Finish(status);
  }

  const std::shared_ptr<CallEnvironment> environment_;
  const std::shared_ptr<Recycler<StreamCall>> recycler_;
  const Caller caller_;
  const absl::Time deadline_;
  std::shared_ptr<StreamCall> incoming_;  // gRPC's while reading_
  std::shared_ptr<ExecuteStream> self_;
  OpenCalls::Token token_;

  absl::Mutex mutex_;
  // Those that are read and whose answer is not written.
  std::vector<std::shared_ptr<StreamCall>> calls_ ABSL_GUARDED_BY(mutex_);
  // A list, for which an answer needs no memory; the first is gRPC's while writing_.
  std::shared_ptr<StreamCall> first_answered_ ABSL_GUARDED_BY(mutex_);
  StreamCall* last_answered_ ABSL_GUARDED_BY(mutex_) = nullptr;  // where there is a first
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

void StreamCall::OnOutcome(const absl::Status& status) noexcept {
  if (!status.ok()) {
    try {
      answer_->mutable_failure()->set_code(static_cast<int>(status.code()));
      answer_->mutable_failure()->set_message(std::string(status.message()));
    } catch (const std::exception&) {
      // Without the words.
    }
  }
  const std::shared_ptr<ExecuteStream> stream = std::move(stream_);
  stream->Answered(std::static_pointer_cast<StreamCall>(shared_from_this()));
}

ExecuteStreams::ExecuteStreams(std::shared_ptr<CallEnvironment> environment)
    : environment_(std::move(environment)),
      calls_(std::make_shared<Recycler<StreamCall>>(kMostKept)) {}

ExecuteStreams::~ExecuteStreams() = default;

ExecuteStreamReactor* ExecuteStreams::New(const grpc::CallbackServerContext& context,
                                          const Caller& caller) {
  auto stream = std::make_shared<ExecuteStream>(environment_, calls_, caller, DeadlineOf(context));
  stream->Begin();
  return stream.get();
}

}  // namespace host_stub
