// Requests that cannot be read: malformed ones, and those with a text that is not UTF-8.
//
// gRPC answers such a call UNIMPLEMENTED without asking the service, and ends a stream, with all
// the requests that are in flight on it. Here they reach the service, which refuses them by
// CheckReadable. Included before the headers of the services.
#ifndef HOST_STUB_SERVICE_READABLE_H_
#define HOST_STUB_SERVICE_READABLE_H_

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include "absl/status/status.h"
#include "long_running_integration/v1/incident.pb.h"
#include "long_running_integration/v1/instance.pb.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {

// The mark of a request that could not be read: a field that no message of ours has.
inline constexpr int kUnreadableField = 536'870'911;

// INVALID_ARGUMENT for a request that could not be read. It holds what came before the fault.
inline absl::Status CheckReadable(const google::protobuf::Message& request) {
  const auto& unknown = request.GetReflection()->GetUnknownFields(request);
  for (int i = 0; i < unknown.field_count(); ++i) {
    if (unknown.field(i).number() == kUnreadableField) {
      return absl::InvalidArgumentError(
          "the message cannot be read: it is malformed, or a text in it is not UTF-8");
    }
  }
  return absl::OkStatus();
}

// How gRPC reads a request here.
class RequestTraits : public grpc::SerializationTraits<google::protobuf::MessageLite> {
 public:
  static grpc::Status Deserialize(grpc::ByteBuffer* buffer, google::protobuf::Message* request) {
    using Usual = grpc::SerializationTraits<google::protobuf::MessageLite>;
    if (!Usual::Deserialize(buffer, request).ok()) {
      request->GetReflection()->MutableUnknownFields(request)->AddVarint(kUnreadableField, 1);
    }
    return grpc::Status();
  }
};

}  // namespace host_stub

namespace grpc {

namespace requests = ::long_running_integration::v1;

template <>
class SerializationTraits<requests::ExecuteRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::ExecuteStreamRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::TestModuleRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::FetchSamplesRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::ListSampleFieldsRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::MapSamplesRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::TryRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::GetInstanceRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::ListInstancesRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::CreateInstanceRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::UpdateInstanceRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::DeleteInstanceRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::GetIncidentRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::ListIncidentsRequest> : public host_stub::RequestTraits {};
template <>
class SerializationTraits<requests::FollowIncidentsRequest> : public host_stub::RequestTraits {};

}  // namespace grpc

#endif  // HOST_STUB_SERVICE_READABLE_H_
