#include <cstddef>
#include <cstdint>
#include <utility>

#include "host_stub/service/execute_rpcs.h"
#include "host_stub/service/once_reactor.h"

namespace host_stub {
namespace {

// Bounds the memory that is kept between calls, whoever calls: each text of a message keeps the
// memory of the longest that it has held. In the worst case this is some 20 MiB for the requests
// of a listener, and as much for the answers.
constexpr uint32_t kMostKept = 64;
constexpr size_t kMostKeptBytes = 4'096;
constexpr int kMostKeptHeaders = 32;

template <typename Message>
bool IsSmall(const Message& message) {
  return message.headers_size() <= kMostKeptHeaders && message.ByteSizeLong() <= kMostKeptBytes;
}

}  // namespace

UnaryCall::UnaryCall(std::shared_ptr<GrpcServerContext> server) : ExecuteCall(std::move(server)) {
  set_request(&request_);
  set_response(&response_);
}

grpc::ServerUnaryReactor* UnaryCall::Begin(grpc::CallbackServerContext& context,
                                           const Caller& caller) {
  UnaryCall& call = static_cast<UnaryCall&>(*context.GetRpcAllocatorState());
  Reactor* const reactor = &call.reactor_.emplace(call);
  call.context_ = &context;
  // The answer may come within Begin. gRPC lets go of the call only after it has the reactor.
  call.ExecuteCall::Begin(caller, DeadlineOf(context));
  return reactor;
}

void UnaryCall::OnOutcome(const absl::Status& status) {
  reactor_->Finish(status.ok() ? grpc::Status() : ToGrpc(status));
}

absl::string_view UnaryCall::trace_parent() { return TraceParentOf(*context_); }

void UnaryCall::Release() {
  // This may be the last owner: nothing of the object is touched after the function's end.
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

void UnaryCall::Reactor::OnCancel() {
  if (call_.Cancel()) Finish(ToGrpc(absl::CancelledError("the caller gave up")));
}

UnaryCalls::UnaryCalls(std::shared_ptr<GrpcServerContext> server)
    : server_(std::move(server)),
      calls_(std::make_shared<base::ObjectPool<UnaryCall>>(kMostKept)) {}

ExecuteMessages* UnaryCalls::AllocateMessages() {
  std::shared_ptr<UnaryCall> call = base::Share(calls_, [this] { return UnaryCall(server_); });
  UnaryCall& messages = *call;
  messages.held_by_grpc_ = std::move(call);
  return &messages;
}

}  // namespace host_stub
