// Text for terminals and for programs.
#ifndef HOST_STUB_CLI_TEXT_H_
#define HOST_STUB_CLI_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "plugin/base/json_text.h"

namespace host_stub {

// Makes a sender's text safe for a terminal, as base::AppendEscaped does. Line breaks and tabs stay
// if `lines` is true.
std::string EscapeForTerminal(absl::string_view text, bool lines);

// Escapes the cells and aligns them in columns; the last column is not padded. A cell of more than
// 60 characters is cut and ends in "...", unless it is in the last column.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

using base::JsonArray;
using base::JsonObject;
using base::JsonString;

// ["text",...]
template <typename Texts>
std::string JsonStrings(const Texts& texts) {
  std::vector<std::string> values;
  for (const std::string& text : texts) values.push_back(JsonString(text));
  return JsonArray(values);
}

// Prints a list: for a program the documents as one JSON array, for a person the table of the rows,
// or `none` if there are no documents.
void PrintList(bool json, const std::vector<std::string>& documents,
               const std::vector<std::vector<std::string>>& rows, const char* none);

// Prints "host_stub: MESSAGE" to standard error, on one line, and returns the exit code.
int Fail(absl::string_view message, int exit_code);

// "CN=my.xsoar.live, valid until 2027-01-31" for each certificate in the PEM text, joined by "; ".
// Subjects are written as in RFC 2253 and not escaped for a terminal. Empty if the text holds no
// certificate.
std::string DescribeCertificates(absl::string_view pem);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_TEXT_H_
