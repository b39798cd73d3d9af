// Judges an ExecuteRequest before it goes to a plugin.
#ifndef HOST_STUB_SERVICE_EXECUTE_REQUEST_H_
#define HOST_STUB_SERVICE_EXECUTE_REQUEST_H_

#include <optional>

#include "absl/status/status.h"
#include "host_stub/service/call_environment.h"
#include "long_running_integration/v1/long_running_integration.pb.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// INVALID_ARGUMENT, with the field's name, for what cannot stand in an HTTP request: else a field
// could end its line and begin another (RFC 9110 sections 5.5, 5.6.2 and 9.1; RFC 3986 for the
// target).
absl::Status CheckFields(const long_running_integration::v1::ExecuteRequest& request);

// What the HTTP front would answer to a head that is too long: 414 or 431 (RFC 9110 section
// 15.5.15, RFC 6585 section 5).
std::optional<long_running_integration::v1::ExecuteResponse> TooLong(
    const long_running_integration::v1::ExecuteRequest& request, const webhook::Limits& limits);

// A plain line of text.
long_running_integration::v1::ExecuteResponse TextAnswer(int status, const std::string& line);

// The peer's address to pass on, and whose word to take: see ExecuteRequest.peer_address.
// INVALID_ARGUMENT where a trusted caller gives one that is no address.
absl::StatusOr<std::string> EffectivePeer(
    const long_running_integration::v1::ExecuteRequest& request, const Caller& caller);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_EXECUTE_REQUEST_H_
