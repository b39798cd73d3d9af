// For the .cc files of the services alone: it includes gRPC.
#ifndef HOST_STUB_SERVICE_EXECUTE_STREAM_H_
#define HOST_STUB_SERVICE_EXECUTE_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "host_stub/service/call_environment.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {

using ExecuteStreamReactor =
    grpc::ServerBidiReactor<long_running_integration::v1::ExecuteStreamRequest,
                            long_running_integration::v1::ExecuteStreamResponse>;

// One stream; owns itself until gRPC and its calls have let go.
ExecuteStreamReactor* NewExecuteStream(std::shared_ptr<CallEnvironment> environment,
                                       const grpc::CallbackServerContext& context,
                                       const Caller& caller);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_EXECUTE_STREAM_H_
