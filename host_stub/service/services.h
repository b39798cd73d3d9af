// The gRPC services over one environment. A service belongs to one server, and ends after it.
#ifndef HOST_STUB_SERVICE_SERVICES_H_
#define HOST_STUB_SERVICE_SERVICES_H_

#include <memory>

#include "host_stub/service/call_environment.h"

namespace grpc {
class Service;
}

namespace host_stub {

// `by_certificate`: the server asks its clients for certificates, and takes only those.
std::unique_ptr<grpc::Service> NewIntegrationService(std::shared_ptr<CallEnvironment> environment,
                                                     bool by_certificate);
std::unique_ptr<grpc::Service> NewInstanceService(std::shared_ptr<CallEnvironment> environment);
std::unique_ptr<grpc::Service> NewIncidentService(std::shared_ptr<CallEnvironment> environment);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_SERVICES_H_
