// Writes JSON texts (RFC 8259).
#ifndef PLUGIN_BASE_JSON_TEXT_H_
#define PLUGIN_BASE_JSON_TEXT_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace base {

// Appends `text`, which must be valid UTF-8, as a JSON string with its quotes. It escapes
// only what it must.
void AppendJsonString(std::string* out, absl::string_view text);

// A JSON string, with its quotes, of any bytes, for terminals and for programs alike: what is not
// valid UTF-8 becomes U+FFFD, and a deceptive character (see utf8.h) is escaped.
std::string JsonString(absl::string_view text);

// {"name":value,...}; values are JSON text.
std::string JsonObject(const std::vector<std::pair<std::string, std::string>>& members);

// [value,...]
std::string JsonArray(const std::vector<std::string>& values);

// A valid JSON text without the blanks between its parts.
std::string CompactJson(absl::string_view json);

// The most that the functions below write: each octet as \u0000.
constexpr size_t MostEscapedBytes(size_t size) { return 6 * size; }

// As AppendJsonString, but only the inside of the string, without quotes, at `out`, which has room
// for MostEscapedBytes. Returns the end.
char* WriteJsonEscaped(absl::string_view text, char* out);

// The same for bytes of unknown encoding. They are taken as UTF-8 if they are valid UTF-8, else as
// Latin-1, so that the result is valid JSON in any case. Sets `beyond_ascii` where it matters.
char* WriteJsonEscapedBytes(absl::string_view bytes, char* out, bool& beyond_ascii);

}  // namespace base

#endif  // PLUGIN_BASE_JSON_TEXT_H_
