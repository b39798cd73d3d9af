// The parameters of a URL's query, which are also the fields of a form.
#ifndef PLUGIN_CORE_QUERY_H_
#define PLUGIN_CORE_QUERY_H_

#include <algorithm>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace webhook::core {

// Calls read(name, value), both still encoded, for each parameter, until it returns false.
template <typename Read>
void EachParameter(absl::string_view text, const Read& read) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const absl::string_view field = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (field.empty()) continue;
    const size_t equals = std::min(field.find('='), field.size());
    const absl::string_view value = field.substr(std::min(equals + 1, field.size()));
    if (!read(field.substr(0, equals), value)) return;
  }
}

}  // namespace webhook::core

#endif  // PLUGIN_CORE_QUERY_H_
