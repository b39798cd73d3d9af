// Text for terminals and for programs.
#ifndef HOST_STUB_CLI_TEXT_H_
#define HOST_STUB_CLI_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace host_stub {

// What a sender wrote, so that it cannot drive the terminal: control characters, DEL, C1 and
// Unicode's marks of writing direction become \xNN or \u{NNNN}, as do bytes that are no UTF-8.
// Line breaks and tabs stay where `lines` is true.
std::string EscapeForTerminal(absl::string_view text, bool lines);

// Rows under a heading, in columns as wide as their widest cell; the last one is not padded.
// Escapes; cells longer than 60 characters, but those of the last column, are cut and end in "...".
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// A JSON string, with its quotes. Bytes that are no UTF-8 become U+FFFD.
std::string JsonString(absl::string_view text);

// {"name":value,...}; values are JSON text.
std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members);

// [value,...]
std::string JsonArray(const std::vector<std::string>& values);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_TEXT_H_
