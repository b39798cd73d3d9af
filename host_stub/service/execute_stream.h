// ExecuteStream. It includes gRPC, so only the .cc files of the services include it.
#ifndef HOST_STUB_SERVICE_EXECUTE_STREAM_H_
#define HOST_STUB_SERVICE_EXECUTE_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "host_stub/service/grpc_server_context.h"
#include "long_running_integration/v1/long_running_integration.pb.h"
#include "plugin/base/object_pool.h"

namespace host_stub {

using ExecuteStreamReactor =
    grpc::ServerBidiReactor<long_running_integration::v1::ExecuteStreamRequest,
                            long_running_integration::v1::ExecuteStreamResponse>;

class StreamCall;

// Makes the streams of a service. They may outlive it.
class ExecuteStreams {
 public:
  explicit ExecuteStreams(std::shared_ptr<GrpcServerContext> server);
  ~ExecuteStreams();

  // A stream that owns itself until gRPC and its calls have let go of it.
  ExecuteStreamReactor* New(const grpc::CallbackServerContext& context, const Caller& caller);

 private:
  const std::shared_ptr<GrpcServerContext> server_;
  const std::shared_ptr<base::ObjectPool<StreamCall>> calls_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_EXECUTE_STREAM_H_
