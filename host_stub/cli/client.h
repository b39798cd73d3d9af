// Calls to a running host. The one place of the command line that knows gRPC.
#ifndef HOST_STUB_CLI_CLIENT_H_
#define HOST_STUB_CLI_CLIENT_H_

#include <functional>
#include <memory>

#include "google/protobuf/empty.pb.h"
#include "host_stub/cli/commands.h"
#include "long_running_integration/v1/incident.pb.h"
#include "long_running_integration/v1/instance.pb.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {

// gRPC writes to standard error on its own. After this it does so only if GRPC_VERBOSITY is set.
void SilenceGrpcLog();

// One thread. Each call returns kDone, or prints one line that says what went wrong and returns
// the exit code. The first call connects.
class Client {
 public:
  explicit Client(const ClientOptions& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The type of the request names the method.
  int Call(const long_running_integration::v1::ExecuteRequest& request,
           long_running_integration::v1::ExecuteResponse& response);
  int Call(const long_running_integration::v1::TestModuleRequest& request,
           long_running_integration::v1::TestModuleResponse& response);
  int Call(const long_running_integration::v1::FetchSamplesRequest& request,
           long_running_integration::v1::FetchSamplesResponse& response);
  int Call(const long_running_integration::v1::ListSampleFieldsRequest& request,
           long_running_integration::v1::ListSampleFieldsResponse& response);
  int Call(const long_running_integration::v1::MapSamplesRequest& request,
           long_running_integration::v1::MapSamplesResponse& response);
  int Call(const long_running_integration::v1::GetInstanceRequest& request,
           long_running_integration::v1::Instance& response);
  int Call(const long_running_integration::v1::ListInstancesRequest& request,
           long_running_integration::v1::ListInstancesResponse& response);
  int Call(const long_running_integration::v1::CreateInstanceRequest& request,
           long_running_integration::v1::Instance& response);
  int Call(const long_running_integration::v1::UpdateInstanceRequest& request,
           long_running_integration::v1::Instance& response);
  int Call(const long_running_integration::v1::DeleteInstanceRequest& request,
           google::protobuf::Empty& response);
  int Call(const long_running_integration::v1::GetIncidentRequest& request,
           long_running_integration::v1::Incident& response);
  int Call(const long_running_integration::v1::ListIncidentsRequest& request,
           long_running_integration::v1::ListIncidentsResponse& response);

  // Passes on each incident, without a deadline, until the host ends the stream.
  int Follow(const long_running_integration::v1::FollowIncidentsRequest& request,
             const std::function<void(const long_running_integration::v1::Incident&)>& take);

 private:
  struct Connection;
  template <typename Service, typename Request, typename Response, typename Method>
  int Unary(Method method, const Request& request, Response& response);
  int Connect();

  const ClientOptions options_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CLI_CLIENT_H_
