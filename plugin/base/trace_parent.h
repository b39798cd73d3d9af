// The header traceparent of W3C Trace Context (https://www.w3.org/TR/trace-context/, section 3.2).
#ifndef PLUGIN_BASE_TRACE_PARENT_H_
#define PLUGIN_BASE_TRACE_PARENT_H_

#include <algorithm>

#include "absl/strings/string_view.h"

namespace base {

inline constexpr absl::string_view kTraceParent = "traceparent";

// The trace id in a value such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01: 32
// hexadecimal digits, a view into the value. Empty where the value is not valid. What is
// said of sampling decides nothing.
inline absl::string_view TraceIdOf(absl::string_view value) {
  constexpr size_t kVersion = 2, kTrace = 32, kParent = 16, kFlags = 2;
  constexpr size_t kSize = kVersion + kTrace + kParent + kFlags + 3;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const auto is_id = [is_hex](absl::string_view id) {
    return std::all_of(id.begin(), id.end(), is_hex) && id.find_first_not_of('0') != id.npos;
  };
  // Only a version that is not known yet may be longer.
  const absl::string_view version = value.substr(0, kVersion);
  if (value.size() < kSize || (value.size() > kSize && (version == "00" || value[kSize] != '-'))) {
    return "";
  }
  if (value[2] != '-' || value[35] != '-' || value[52] != '-') return "";
  if (!std::all_of(version.begin(), version.end(), is_hex) || version == "ff") return "";
  const absl::string_view flags = value.substr(53, kFlags);
  if (!std::all_of(flags.begin(), flags.end(), is_hex)) return "";
  const absl::string_view trace = value.substr(3, kTrace);
  return is_id(trace) && is_id(value.substr(36, kParent)) ? trace : "";
}

}  // namespace base

#endif  // PLUGIN_BASE_TRACE_PARENT_H_
