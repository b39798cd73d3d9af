// Suggests the right name for a misspelt one.
#ifndef HOST_STUB_CONFIG_NEAREST_NAME_H_
#define HOST_STUB_CONFIG_NEAREST_NAME_H_

#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace host_stub {

// "did you mean \"password\"?" with the known name that is nearest to `name`, or "known are: ..."
// if none is near. Case does not count, one letter of three may differ, and neighbours may be
// swapped.
std::string DidYouMean(absl::string_view name, std::span<const absl::string_view> known);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_NEAREST_NAME_H_
