// One header of a request, as views into memory that someone else owns.
#ifndef PLUGIN_CORE_HEADER_VIEW_H_
#define PLUGIN_CORE_HEADER_VIEW_H_

#include "absl/strings/string_view.h"

namespace webhook::core {

// Headers stand in the order in which they came; a name may repeat. The name is in any case, the
// value may still have blanks around it.
struct HeaderView {
  absl::string_view name;
  absl::string_view value;
};

}  // namespace webhook::core

#endif  // PLUGIN_CORE_HEADER_VIEW_H_
