// Stored incidents as messages, and what requests say of them.
#ifndef HOST_STUB_SERVICE_INCIDENT_MESSAGES_H_
#define HOST_STUB_SERVICE_INCIDENT_MESSAGES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "host_stub/service/call_environment.h"
#include "host_stub/store/incident_store.h"
#include "long_running_integration/v1/incident.pb.h"

namespace host_stub {

// Moves the texts out of `stored`.
void FillIncident(StoredIncident& stored, bool with_details,
                  long_running_integration::v1::Incident& message);

// The uid for a filter by name; empty for an empty name. NOT_FOUND: no such instance.
absl::StatusOr<std::string> FilterUid(const CallEnvironment& environment, const std::string& name);

// An id of this host: a decimal number above zero. INVALID_ARGUMENT naming the field.
absl::StatusOr<int64_t> ParseId(absl::string_view field, const std::string& text);

// INVALID_ARGUMENT for a number that is no view.
absl::Status CheckView(long_running_integration::v1::IncidentView view);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_INCIDENT_MESSAGES_H_
