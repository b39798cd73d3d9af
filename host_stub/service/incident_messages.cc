#include "host_stub/service/incident_messages.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace host_stub {

namespace v1 = ::long_running_integration::v1;

void FillIncident(StoredIncident& stored, bool with_details, v1::Incident& message) {
  message.set_id(absl::StrCat(stored.id));
  message.set_instance(std::move(stored.instance_name));
  message.set_instance_uid(std::move(stored.instance_uid));
  message.set_source_brand(std::move(stored.source_brand));
  message.set_name(std::move(stored.name));
  message.set_type(std::move(stored.type));
  message.set_occurred(std::move(stored.occurred));
  message.set_created(
      absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", stored.created, absl::UTCTimeZone()));
  if (with_details) message.set_raw_json(std::move(stored.details));
  for (std::string& warning : stored.warnings) message.add_warnings(std::move(warning));
}

absl::StatusOr<std::string> FilterUid(const CallEnvironment& environment, const std::string& name) {
  if (name.empty()) return std::string();
  if (absl::Status status = CheckName("instance", name); !status.ok()) return status;
  const std::shared_ptr<HostedInstance> instance = environment.registry->Find(name);
  if (instance != nullptr) return instance->uid();
  // Its incidents can be read also while it does not serve.
  const auto listed = environment.directory->Find(name);
  if (listed.has_value()) return listed->uid;
  return absl::NotFoundError(absl::StrCat("no instance \"", name, "\""));
}

absl::StatusOr<int64_t> ParseId(absl::string_view field, const std::string& text) {
  int64_t id = 0;
  const bool digits = !text.empty() && absl::ascii_isdigit(static_cast<unsigned char>(text[0]));
  if (digits && absl::SimpleAtoi(text, &id) && id > 0) return id;
  return absl::InvalidArgumentError(absl::StrCat(field, ": must be a whole number above zero"));
}

absl::Status CheckView(v1::IncidentView view) {
  if (v1::IncidentView_IsValid(view)) return absl::OkStatus();
  return absl::InvalidArgumentError("view: is none of the known ones");
}

}  // namespace host_stub
