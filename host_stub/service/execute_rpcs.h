// The two RPCs that execute requests: Execute, and ExecuteStream. It includes gRPC, so only the .cc
// files of the services include it.
#ifndef HOST_STUB_SERVICE_EXECUTE_RPCS_H_
#define HOST_STUB_SERVICE_EXECUTE_RPCS_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/message_allocator.h>

#include <memory>
#include <optional>

#include "host_stub/service/execute_call.h"
#include "host_stub/service/grpc_server_context.h"
#include "long_running_integration/v1/long_running_integration.pb.h"
#include "plugin/base/object_pool.h"

namespace host_stub {

using ExecuteMessages = grpc::MessageHolder<long_running_integration::v1::ExecuteRequest,
                                            long_running_integration::v1::ExecuteResponse>;

// One Execute: its messages, its way through the plugin, and gRPC's reactor, in one object. It
// outlives the RPC if the plugin still reads the request, and is then used for another RPC.
class UnaryCall : public ExecuteCall, public ExecuteMessages {
 public:
  // For UnaryCalls alone.
  explicit UnaryCall(std::shared_ptr<GrpcServerContext> server);

  // Begins the call whose messages gRPC has got from UnaryCalls, and whose request it has filled.
  static grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext& context,
                                         const Caller& caller);

  // MessageHolder: gRPC no longer uses the messages.
  void Release() override;

  // Makes the object as new. False: it is not worth keeping.
  bool Recycle() noexcept;

 protected:
  long_running_integration::v1::ExecuteRequest& mutable_request() override { return request_; }
  long_running_integration::v1::ExecuteResponse& mutable_response() override { return response_; }
  void OnOutcome(const absl::Status& status) override;
  absl::string_view trace_parent() override;

 private:
  friend class UnaryCalls;

  long_running_integration::v1::ExecuteRequest request_;
  long_running_integration::v1::ExecuteResponse response_;
  std::shared_ptr<UnaryCall> held_by_grpc_;  // until Release
  // Each of gRPC's calls needs a new reactor.
  class Reactor : public grpc::ServerUnaryReactor {
   public:
    explicit Reactor(UnaryCall& call) : call_(call) { call_.server().calls.Enter(); }
    // Without it gRPC runs the reactions on a thread of another pool, which costs a third of an
    // empty call. They are short and never wait, as this requires.
    bool InternalInlineable() override { return true; }
    void OnCancel() override;
    void OnDone() override { call_.server().calls.Leave(); }

   private:
    UnaryCall& call_;
  };
  std::optional<Reactor> reactor_;
  const grpc::CallbackServerContext* context_ = nullptr;  // of the reactor's RPC
};

// Gives gRPC the messages of each Execute.
class UnaryCalls : public grpc::MessageAllocator<long_running_integration::v1::ExecuteRequest,
                                                 long_running_integration::v1::ExecuteResponse> {
 public:
  explicit UnaryCalls(std::shared_ptr<GrpcServerContext> server);
  // gRPC catches nothing: the process ends if memory runs out here, as it does if gRPC itself finds
  // none.
  ExecuteMessages* AllocateMessages() override;

 private:
  const std::shared_ptr<GrpcServerContext> server_;
  const std::shared_ptr<base::ObjectPool<UnaryCall>> calls_;
};

using ExecuteStreamReactor =
    grpc::ServerBidiReactor<long_running_integration::v1::ExecuteStreamRequest,
                            long_running_integration::v1::ExecuteStreamResponse>;

class StreamCall;

// Makes the streams of a service. They may outlive it.
class ExecuteStreams {
 public:
  explicit ExecuteStreams(std::shared_ptr<GrpcServerContext> server);

  // A stream that owns itself until gRPC and its calls have let go of it.
  ExecuteStreamReactor* New(const grpc::CallbackServerContext& context, const Caller& caller);

 private:
  const std::shared_ptr<GrpcServerContext> server_;
  const std::shared_ptr<base::ObjectPool<StreamCall>> calls_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_EXECUTE_RPCS_H_
