// One call to a running host, from connecting to the exit code.
#ifndef HOST_STUB_CLI_ASK_H_
#define HOST_STUB_CLI_ASK_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "host_stub/cli/connection.h"

namespace host_stub {

// Connects and calls `call` with a stub of the service. kDone, or what went wrong, printed.
template <typename Service>
int Ask(const ClientOptions& options,
        const std::function<grpc::Status(typename Service::Stub& stub,
                                         grpc::ClientContext& context)>& call) {
  const absl::StatusOr<Connection> connection = Connection::Open(options);
  if (!connection.ok()) {
    PrintError(std::string(connection.status().message()));
    return kNotAsked;
  }
  grpc::ClientContext context;
  connection->Prepare(context);
  const auto stub = Service::NewStub(connection->channel());
  const grpc::Status status = call(*stub, context);
  return status.ok() ? kDone : connection->Report(status);
}

}  // namespace host_stub

#endif  // HOST_STUB_CLI_ASK_H_
