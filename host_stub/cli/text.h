// Text for terminals and for programs.
#ifndef HOST_STUB_CLI_TEXT_H_
#define HOST_STUB_CLI_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/base/json_text.h"

namespace host_stub {

// Makes a sender's text safe for a terminal: control characters, DEL, C1, line separators and
// Unicode's marks of writing direction become \xNN or \u{NNNN}, as do bytes that are not UTF-8.
// Line breaks and tabs stay if `lines` is true.
std::string EscapeForTerminal(absl::string_view text, bool lines);

// Escapes the cells and aligns them in columns; the last column is not padded. A cell of more than
// 60 characters is cut and ends in "...", unless it is in the last column.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

using base::JsonString;

// {"name":value,...}; values are JSON text.
std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members);

// [value,...]
std::string JsonArray(const std::vector<std::string>& values);

// Prints "host_stub: MESSAGE" to standard error, on one line.
void PrintError(absl::string_view message);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_TEXT_H_
