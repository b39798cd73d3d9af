// Names whose values are secrets: of headers, query parameters, settings.
#ifndef PLUGIN_BASE_SECRET_NAMES_H_
#define PLUGIN_BASE_SECRET_NAMES_H_

#include "absl/strings/string_view.h"

namespace base {

// Whether a name, given in lower case, says that its value proves who somebody is: x-api-key,
// client_secret, accesstoken, x-hub-signature. It is judged by its parts, between which stands
// anything but letters and digits. What is said about a secret is none: x-signature-timestamp.
bool LooksSecret(absl::string_view name);

}  // namespace base

#endif  // PLUGIN_BASE_SECRET_NAMES_H_
