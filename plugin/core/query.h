// The parameters of a URL's query, which are also the fields of a form.
#ifndef PLUGIN_CORE_QUERY_H_
#define PLUGIN_CORE_QUERY_H_

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

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

// Appends the text without its percent-escapes (RFC 3986 section 2.1). False: one of them is
// broken; it is kept as it is.
bool AppendPercentDecoded(absl::string_view text, bool plus_is_blank, std::string* out);

// A query as it may be kept, in visible ASCII. The value of a parameter becomes *** if its name
// looks like a secret's (base::LooksSecret), or if it holds one of `secrets`, which are given as
// they were sent, or a parameter of its own with such a name. A parameter becomes *** as a whole if
// its name is repeated, or cannot be decoded, because then nobody can tell what others read there.
// What is longer than `most_bytes` ends after a whole parameter, with a last one that is `...`.
std::string MaskedQuery(absl::string_view query, std::span<const absl::string_view> secrets,
                        size_t most_bytes);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_QUERY_H_
