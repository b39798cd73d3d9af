// For the .cc files of the services alone: it includes gRPC.
#ifndef HOST_STUB_SERVICE_INCIDENT_FOLLOWER_H_
#define HOST_STUB_SERVICE_INCIDENT_FOLLOWER_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "host_stub/service/call_environment.h"
#include "long_running_integration/v1/incident.pb.h"

namespace host_stub {

using IncidentReactor =
    grpc::ServerWriteReactor<long_running_integration::v1::FollowIncidentsResponse>;

struct FollowOptions {
  int64_t after_id = -1;     // -1: what is created from now on
  std::string instance_uid;  // empty: all
  bool with_details = true;
};

// Sends incidents until the caller cancels or the host drains. Owns itself.
IncidentReactor* NewFollower(std::shared_ptr<CallEnvironment> environment, FollowOptions options);

// Ends with the status.
IncidentReactor* NewRefusal(const absl::Status& status);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_INCIDENT_FOLLOWER_H_
