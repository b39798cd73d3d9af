// Numbers in sentences.
#ifndef PLUGIN_BASE_COUNTED_H_
#define PLUGIN_BASE_COUNTED_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace base {

// "1 call", "2 calls": the number and the words for one or for any other number.
template <typename Number>
std::string Counted(Number count, absl::string_view one, absl::string_view more) {
  return absl::StrCat(count, " ", count == 1 ? one : more);
}

}  // namespace base

#endif  // PLUGIN_BASE_COUNTED_H_
