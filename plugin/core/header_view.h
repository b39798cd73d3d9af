// One header of a request, as views into memory that someone else owns.
#ifndef PLUGIN_CORE_HEADER_VIEW_H_
#define PLUGIN_CORE_HEADER_VIEW_H_

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace webhook::core {

// Headers are in the order in which they were received, and a name may repeat. The name is in any
// case; the value may still have blanks around it.
struct HeaderView {
  absl::string_view name;
  absl::string_view value;

  // Names have no case (RFC 9110 section 5.1). Most are told apart by their length, which is cheap.
  bool IsNamed(absl::string_view other) const {
    return name.size() == other.size() && absl::EqualsIgnoreCase(name, other);
  }
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_HEADER_VIEW_H_
