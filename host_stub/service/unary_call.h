// For the .cc files of the services alone: it includes gRPC.
#ifndef HOST_STUB_SERVICE_UNARY_CALL_H_
#define HOST_STUB_SERVICE_UNARY_CALL_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/message_allocator.h>

#include <memory>
#include <optional>

#include "host_stub/service/call_environment.h"
#include "host_stub/service/execute_call.h"
#include "host_stub/service/recycler.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {

// One Execute: its messages, its way through the plugin, and gRPC's reactor, in one object that
// outlives the RPC where the plugin still reads the request, and is used again for another one.
class UnaryCall : public ExecuteCall,
                  public grpc::MessageHolder<long_running_integration::v1::ExecuteRequest,
                                             long_running_integration::v1::ExecuteResponse> {
 public:
  // By UnaryCalls alone.
  explicit UnaryCall(std::shared_ptr<CallEnvironment> environment);

  // Begins the call whose messages gRPC had from UnaryCalls, and has filled the request of.
  static grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext& context,
                                         const Caller& caller);

  // Of MessageHolder: gRPC reads and writes the messages no more.
  void Release() override;

  // Of Recycler.
  bool Recycle() noexcept;

 protected:
  long_running_integration::v1::ExecuteRequest& mutable_request() override { return request_; }
  long_running_integration::v1::ExecuteResponse& mutable_response() override { return response_; }
  void OnOutcome(const absl::Status& status) noexcept override;

 private:
  friend class UnaryCalls;

  long_running_integration::v1::ExecuteRequest request_;
  long_running_integration::v1::ExecuteResponse response_;
  std::shared_ptr<UnaryCall> held_by_grpc_;  // until Release
  // gRPC's calls each need a new one.
  class Reactor : public grpc::ServerUnaryReactor {
   public:
    explicit Reactor(UnaryCall& call);
    // Else gRPC hands each reaction below to a thread of another pool, which costs as much as a
    // third of an empty call. They are as short as that asks for: nothing waits in them.
    bool InternalInlineable() override { return true; }
    void OnCancel() override;
    void OnDone() override;

   private:
    UnaryCall& call_;
  };
  std::optional<Reactor> reactor_;
};

// Where gRPC gets the messages of an Execute from.
class UnaryCalls : public grpc::MessageAllocator<long_running_integration::v1::ExecuteRequest,
                                                 long_running_integration::v1::ExecuteResponse> {
 public:
  explicit UnaryCalls(std::shared_ptr<CallEnvironment> environment);
  // gRPC does not catch what is thrown here: without memory the process ends, as it does where gRPC
  // finds none itself.
  grpc::MessageHolder<long_running_integration::v1::ExecuteRequest,
                      long_running_integration::v1::ExecuteResponse>*
  AllocateMessages() override;

 private:
  const std::shared_ptr<CallEnvironment> environment_;
  const std::shared_ptr<Recycler<UnaryCall>> calls_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_UNARY_CALL_H_
