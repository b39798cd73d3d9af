// A text as a JSON string.
#ifndef HOST_STUB_CONFIG_JSON_QUOTE_H_
#define HOST_STUB_CONFIG_JSON_QUOTE_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace host_stub {

// With its quotes. Bytes that are no UTF-8 stay as they are.
inline std::string JsonQuote(absl::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      json += c;
    } else {
      absl::StrAppend(&json, "\\u", absl::Hex(c, absl::kZeroPad4));
    }
  }
  return json + "\"";
}

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_JSON_QUOTE_H_
