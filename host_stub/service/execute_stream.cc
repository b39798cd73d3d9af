#include <google/protobuf/arena.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "host_stub/service/execute_rpcs.h"
#include "host_stub/service/once_reactor.h"
#include "host_stub/service/readable.h"

namespace host_stub {
namespace {

using ::google::protobuf::Arena;
using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::ExecuteResponse;
using ::long_running_integration::v1::ExecuteStreamRequest;
using ::long_running_integration::v1::ExecuteStreamResponse;

// How many calls that have ended all streams together keep for new ones.
constexpr uint32_t kMostKept = 256;
// Room for the messages of most calls, without their longer texts.
constexpr size_t kBlockBytes = 3'072;

// A longer timeout means none.
constexpr int64_t kLongestTimeoutSeconds = 366 * 86'400;

absl::StatusOr<absl::Time> MessageDeadline(const ExecuteStreamRequest& message,
                                           absl::Time deadline) {
  if (absl::Status status = CheckReadable(message); !status.ok()) return status;
  if (!message.has_request()) return absl::InvalidArgumentError("request: is missing");
  if (!message.has_timeout()) return deadline;
  const auto& timeout = message.timeout();
  if (timeout.seconds() > kLongestTimeoutSeconds) return deadline;
  // What Duration permits.
  if (timeout.nanos() < -999'999'999 || timeout.nanos() > 999'999'999) {
    return absl::InvalidArgumentError("timeout: nanos must be below 1,000,000,000");
  }
  const absl::Duration wait = absl::Seconds(timeout.seconds()) + absl::Nanoseconds(timeout.nanos());
  if (wait <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("timeout: must be above zero");
  }
  return std::min(deadline, absl::Now() + wait);
}

class ExecuteStream;

}  // namespace

// One request of a stream, from the moment it is read until its answer is written.
class StreamCall : public ExecuteCall {
 public:
  explicit StreamCall(std::shared_ptr<GrpcServerContext> server) : ExecuteCall(std::move(server)) {}

  // Where the request is read to.
  ExecuteStreamRequest& message() { return *message_; }
  const ExecuteStreamResponse& answer() const { return *answer_; }

  // The message is read.
  void Open(std::shared_ptr<ExecuteStream> stream) {
    stream_ = std::move(stream);
    answer_->set_correlation_id(message_->correlation_id());
  }

  // Also called by the stream, for a request that was not begun.
  void OnOutcome(const absl::Status& status) override;

  // Makes the object as new.
  bool Recycle() noexcept {
    stream_ = nullptr;
    next_answered = nullptr;
    begun = false;
    Renew();
    arena_.Reset();
    // Allocated in the block, which has room for them.
    message_ = Arena::CreateMessage<ExecuteStreamRequest>(&arena_);
    answer_ = Arena::CreateMessage<ExecuteStreamResponse>(&arena_);
    return true;
  }

  // The sender is gone, so nobody is told the outcome. After Begin.
  void GiveUp() {
    if (Cancel()) stream_ = nullptr;
  }

  // Guarded by the stream's lock.
  size_t position = 0;  // among its calls
  bool begun = false;   // it may be given up
  std::shared_ptr<StreamCall> next_answered;

 protected:
  ExecuteRequest& mutable_request() override { return *message_->mutable_request(); }
  ExecuteResponse& mutable_response() override { return *answer_->mutable_response(); }
  absl::string_view trace_parent() override;

 private:
  std::shared_ptr<ExecuteStream> stream_;  // until it has the outcome
  // Clearing a message frees the messages within it; an arena keeps their memory.
  alignas(std::max_align_t) char block_[kBlockBytes];
  Arena arena_{block_, kBlockBytes};
  ExecuteStreamRequest* message_ = Arena::CreateMessage<ExecuteStreamRequest>(&arena_);
  ExecuteStreamResponse* answer_ = Arena::CreateMessage<ExecuteStreamResponse>(&arena_);
};

namespace {

class ExecuteStream : public StreamReactor<ExecuteStream, ExecuteStreamReactor> {
 public:
  ExecuteStream(std::shared_ptr<GrpcServerContext> server,
                std::shared_ptr<base::ObjectPool<StreamCall>> pool, Caller caller,
                absl::Time deadline, std::string trace_parent)
      : StreamReactor(std::move(server), /*ages=*/!caller.is_owner()),
        pool_(std::move(pool)),
        caller_(std::move(caller)),
        deadline_(deadline),
        trace_parent_(std::move(trace_parent)) {}

  // One by one: each call may own the next.
  ~ExecuteStream() override {
    absl::MutexLock lock(&mutex_);
    while (first_answered_ != nullptr) TakeAnswered();
  }

  void Begin() {
    Open();
    Read();
  }

  const std::string& trace_parent() const { return trace_parent_; }

  void OnReadDone(bool ok) override {
    if (ok) StartCall();
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ok) half_closed_ = true;
    Continue();
  }

  void OnWriteDone(bool ok) override {
    std::shared_ptr<StreamCall> written;  // released after the lock
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

  void Answered(std::shared_ptr<StreamCall> call) {
    absl::MutexLock lock(&mutex_);
    // Nobody reads the answer, and a stream and its calls must not own each other.
    if (finished_ || cancelled_) return;
    StreamCall* const last = std::exchange(last_answered_, call.get());
    (first_answered_ == nullptr ? first_answered_ : last->next_answered) = std::move(call);
    Continue();
  }

 private:
  friend class StreamReactor<ExecuteStream, ExecuteStreamReactor>;

  void Read() {
    incoming_ = base::Share(pool_, [this] { return StreamCall(server_); });
    StartRead(&incoming_->message());
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
      if (cancelled) calls_.clear();  // OnCancel took the others
    }
    if (cancelled) call->GiveUp();
  }

  std::shared_ptr<StreamCall> TakeAnswered() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::shared_ptr<StreamCall> first = std::move(first_answered_);
    first_answered_ = std::move(first->next_answered);
    return first;
  }

  // The call's answer is written.
  void Forget(const StreamCall& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (cancelled_) return;  // OnCancel took all calls
    const size_t position = call.position;
    calls_.back()->position = position;
    std::swap(calls_[position], calls_.back());
    calls_.pop_back();
  }

  // Does everything that can be done now: writes, reads on, or ends. Starting an operation under
  // the lock is safe: gRPC never calls back from within it.
  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    if (cancelled_) return End(absl::CancelledError());
    if (!writing_ && first_answered_ != nullptr) {
      writing_ = true;
      StartWrite(&first_answered_->answer());
    }
    // An answer counts until it is written, so that a client that reads slowly is slowed down.
    const size_t most = static_cast<size_t>(server_->limits.stream_calls_in_flight);
    if (!reading_ && !half_closed_ && ending_.empty() && calls_.size() < most) {
      reading_ = true;  // OnReadDone may be called at once
      Read();
    }
    if (!calls_.empty()) return;
    if (half_closed_) return End(absl::OkStatus());
    if (!ending_.empty()) End(absl::UnavailableError(ending_));
  }

  const std::shared_ptr<base::ObjectPool<StreamCall>> pool_;
  const Caller caller_;
  const absl::Time deadline_;
  const std::string trace_parent_;        // its RPC may be over before a call of it
  std::shared_ptr<StreamCall> incoming_;  // used by gRPC while reading_

  // Requests that were read and whose answer is not written.
  std::vector<std::shared_ptr<StreamCall>> calls_ ABSL_GUARDED_BY(mutex_);
  // A linked list, so that adding an answer needs no memory. gRPC uses the first while writing_.
  std::shared_ptr<StreamCall> first_answered_ ABSL_GUARDED_BY(mutex_);
  StreamCall* last_answered_ ABSL_GUARDED_BY(mutex_) = nullptr;  // valid if there is a first
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::string_view StreamCall::trace_parent() { return stream_->trace_parent(); }

void StreamCall::OnOutcome(const absl::Status& status) {
  if (!status.ok()) {
    answer_->mutable_failure()->set_code(static_cast<int>(status.code()));
    answer_->mutable_failure()->set_message(std::string(status.message()));
  }
  const std::shared_ptr<ExecuteStream> stream = std::move(stream_);
  stream->Answered(std::static_pointer_cast<StreamCall>(shared_from_this()));
}

ExecuteStreams::ExecuteStreams(std::shared_ptr<GrpcServerContext> server)
    : server_(std::move(server)),
      calls_(std::make_shared<base::ObjectPool<StreamCall>>(kMostKept)) {}

ExecuteStreamReactor* ExecuteStreams::New(const grpc::CallbackServerContext& context,
                                          const Caller& caller) {
  auto stream = std::make_shared<ExecuteStream>(server_, calls_, caller, DeadlineOf(context),
                                                std::string(TraceParentOf(context)));
  stream->Begin();
  return stream.get();
}

}  // namespace host_stub
