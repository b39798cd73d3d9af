// Calls to a running host. The one place of the command line that knows gRPC.
#ifndef HOST_STUB_CLI_CLIENT_H_
#define HOST_STUB_CLI_CLIENT_H_

#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>

#include "host_stub/cli/commands.h"
#include "long_running_integration/v1/incident.pb.h"
#include "long_running_integration/v1/instance.pb.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace grpc {
class Channel;
class Status;
}  // namespace grpc

namespace host_stub {

// gRPC and protobuf write to standard error on their own. After this, gRPC does so only if
// GRPC_VERBOSITY is set, and protobuf never.
void SilenceLibraries();

// One thread. Each call returns kDone, or prints one line that says what went wrong and returns
// the exit code. The first call connects.
class Client {
 public:
  explicit Client(const ClientOptions& options) : options_(options) {}

  // Calls the one method that takes such a request.
  int Call(const google::protobuf::Message& request, google::protobuf::Message& response);

  // Passes on each response, without a deadline, until the host ends the stream or `take` returns
  // false.
  int Follow(
      const long_running_integration::v1::FollowIncidentsRequest& request,
      const std::function<bool(const long_running_integration::v1::FollowIncidentsResponse&)>&
          take);

 private:
  int Connect();
  int NoHost() const;
  // Prints why a call failed, if it did, and returns the exit code.
  int Report(const grpc::Status& status) const;

  const ClientOptions options_;
  std::string target_;  // as the user wrote it
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CLI_CLIENT_H_
