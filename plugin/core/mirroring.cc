#include "plugin/core/mirroring.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"

namespace webhook::core {
namespace {

// Empty for None; nullopt for an unknown direction.
std::optional<absl::string_view> WrittenDirection(absl::string_view direction) {
  if (direction.empty() || direction == "None") return absl::string_view();
  if (direction == "Incoming") return "In";
  if (direction == "Outgoing") return "Out";
  if (direction == "Incoming And Outgoing") return "Both";
  return std::nullopt;
}

std::string JsonTags(absl::string_view tags) {
  std::string list;
  for (absl::string_view tag : absl::StrSplit(tags, ',')) {
    tag = absl::StripAsciiWhitespace(tag);
    if (tag.empty()) continue;
    list.push_back(list.empty() ? '[' : ',');
    base::AppendJsonString(&list, tag);
  }
  if (!list.empty()) list.push_back(']');
  return list;
}

}  // namespace

absl::StatusOr<std::string> MirrorMembers(absl::string_view direction, absl::string_view tags,
                                          absl::string_view instance,
                                          absl::string_view own_instance) {
  const std::optional<absl::string_view> written = WrittenDirection(direction);
  if (!written.has_value()) {
    return absl::InvalidArgumentError(
        "mirror_direction must be None, Incoming, Outgoing or Incoming And Outgoing");
  }
  if (!base::IsUtf8(tags)) return absl::InvalidArgumentError("mirror_tags must be valid UTF-8");
  if (!base::IsUtf8(instance))
    return absl::InvalidArgumentError("mirror_instance must be valid UTF-8");
  std::string members;
  if (!written->empty()) {
    members += ",\"mirror_direction\":";
    base::AppendJsonString(&members, *written);
    if (instance.empty()) instance = own_instance;
  }
  if (const std::string list = JsonTags(tags); !list.empty()) {
    members += ",\"mirror_tags\":" + list;
  }
  if (!instance.empty()) {
    members += ",\"mirror_instance\":";
    base::AppendJsonString(&members, instance);
  }
  return members;
}

}  // namespace webhook::core
