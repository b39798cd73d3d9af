// Suggests the right name for a misspelt one.
#ifndef HOST_STUB_CONFIG_NEAREST_NAME_H_
#define HOST_STUB_CONFIG_NEAREST_NAME_H_

#include <span>
#include <string>

#include "absl/strings/string_view.h"

namespace host_stub {

// The known name that is nearest to `name`; empty if none is near. Case does not count, one letter
// of three may differ, and neighbours may be swapped.
absl::string_view NearestName(absl::string_view name, std::span<const absl::string_view> known);

// "did you mean \"password\"?", or "known are: ..." if none is near.
std::string DidYouMean(absl::string_view name, std::span<const absl::string_view> known);

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_NEAREST_NAME_H_
