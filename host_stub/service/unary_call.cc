#include "host_stub/service/unary_call.h"

#include <cstddef>
#include <utility>

#include "host_stub/service/guarded_reactor.h"

namespace host_stub {
namespace {

using ::long_running_integration::v1::ExecuteRequest;
using ::long_running_integration::v1::ExecuteResponse;

// What is kept between calls is bounded, whoever calls: each of a message's texts keeps the room of
// the longest that it has held, which comes to some 20 MiB for the requests of a listener at the
// very worst, and as much for the answers.
constexpr size_t kMostKept = 64;
constexpr size_t kMostKeptBytes = 4'096;
constexpr int kMostKeptHeaders = 32;

template <typename Message>
bool IsSmall(const Message& message) {
  return message.headers_size() <= kMostKeptHeaders && message.ByteSizeLong() <= kMostKeptBytes;
}

}  // namespace

UnaryCall::UnaryCall(std::shared_ptr<CallEnvironment> environment)
    : ExecuteCall(std::move(environment)) {
  set_request(&request_);
  set_response(&response_);
}

grpc::ServerUnaryReactor* UnaryCall::Begin(grpc::CallbackServerContext& context,
                                           const Caller& caller) {
  UnaryCall& call = static_cast<UnaryCall&>(*context.GetRpcAllocatorState());
  Reactor* const reactor = &call.reactor_.emplace(call);
  // The answer may come within it. gRPC lets go of the call only once it has the reactor.
  call.ExecuteCall::Begin(caller, DeadlineOf(context));
  return reactor;
}

void UnaryCall::OnOutcome(const absl::Status& status) noexcept {
  reactor_->Finish(status.ok() ? grpc::Status() : ToGrpc(status));
}

void UnaryCall::Release() {
  // The last owner may be this: nothing of the object is touched after.
  const std::shared_ptr<UnaryCall> self = std::move(held_by_grpc_);
}

bool UnaryCall::Recycle() noexcept {
  reactor_.reset();
  if (!IsSmall(request_) || !IsSmall(response_)) return false;
  request_.Clear();
  response_.Clear();
  Renew();
  return true;
}

UnaryCall::Reactor::Reactor(UnaryCall& call) : call_(call) { call_.environment().calls.Enter(); }

void UnaryCall::Reactor::OnCancel() {
  if (call_.Cancel()) Finish(ToGrpc(absl::CancelledError("the caller gave up")));
}

void UnaryCall::Reactor::OnDone() { call_.environment().calls.Leave(); }

UnaryCalls::UnaryCalls(std::shared_ptr<CallEnvironment> environment)
    : environment_(std::move(environment)),
      calls_(std::make_shared<Recycler<UnaryCall>>(kMostKept)) {}

grpc::MessageHolder<ExecuteRequest, ExecuteResponse>* UnaryCalls::AllocateMessages() {
  std::shared_ptr<UnaryCall> call =
      calls_->Get([this] { return std::make_unique<UnaryCall>(environment_); });
  UnaryCall& messages = *call;
  messages.held_by_grpc_ = std::move(call);
  return &messages;
}

}  // namespace host_stub
