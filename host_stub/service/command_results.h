// The answers (JSON) of a plugin's commands, as messages.
#ifndef HOST_STUB_SERVICE_COMMAND_RESULTS_H_
#define HOST_STUB_SERVICE_COMMAND_RESULTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "long_running_integration/v1/long_running_integration.pb.h"

namespace host_stub {

// The command "test". An error that says what the plugin found is a result as well. Not OK if the
// test could not be made at all (no such command, stopping, ...).
absl::Status FillTestResult(const absl::StatusOr<std::string>& result,
                            long_running_integration::v1::TestModuleResponse& response);

// The command "samples": an array of {"name", "type", "occurred", "rawJSON", "truncated"}, where
// rawJSON is a string of JSON. INTERNAL if it is anything else.
absl::Status FillSamples(absl::string_view json,
                         long_running_integration::v1::FetchSamplesResponse& response);

// The command "fields": an array of {"path", "types", "example", "count"}.
absl::Status FillFields(absl::string_view json,
                        long_running_integration::v1::ListSampleFieldsResponse& response);

// The command "map": an array of objects, whose text is kept unchanged.
absl::Status FillMapped(absl::string_view json,
                        long_running_integration::v1::MapSamplesResponse& response);

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_COMMAND_RESULTS_H_
