// The parameters mirror_direction, mirror_tags and mirror_instance. The platform reads them from an
// incident's details when it mirrors the incident.
#ifndef PLUGIN_CORE_MIRRORING_H_
#define PLUGIN_CORE_MIRRORING_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace webhook::core {

// The members that are written into every incident's details, each after a comma:
//   ,"mirror_direction":"Both","mirror_tags":["a","b"],"mirror_instance":"webhook"
// Only those that are set; empty where none is. `direction` is None, Incoming, Outgoing or
// "Incoming And Outgoing"; `tags` a comma list. With a direction but without `instance`, the
// incidents' own instance is named. Empty texts are not set. INVALID_ARGUMENT begins with the
// parameter's name.
absl::StatusOr<std::string> MirrorMembers(absl::string_view direction, absl::string_view tags,
                                          absl::string_view instance,
                                          absl::string_view own_instance);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_MIRRORING_H_
