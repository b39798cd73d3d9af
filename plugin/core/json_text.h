// Writing JSON strings (RFC 8259 section 7).
#ifndef PLUGIN_CORE_JSON_TEXT_H_
#define PLUGIN_CORE_JSON_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace webhook::core {

// Whether it may stand in a JSON text (RFC 3629: no surrogates, no overlong forms).
bool IsUtf8(absl::string_view text);

// Appends `text`, which must be valid UTF-8, as a JSON string with its quotes. Only what must be
// escaped is.
void AppendJsonString(std::string* out, absl::string_view text);

// The same for the inside of a string, without quotes.
void AppendJsonEscaped(std::string* out, absl::string_view text);

// What the functions below write at most: each octet as \u0000.
constexpr size_t MostEscapedBytes(size_t size) { return 6 * size; }

// As AppendJsonEscaped, at `out`, which has room for MostEscapedBytes. Returns the end.
char* WriteJsonEscaped(absl::string_view text, char* out);

// The same for bytes of unknown encoding: taken as UTF-8 if they are valid UTF-8, else as Latin-1,
// so that what is written is valid JSON whatever came.
char* WriteJsonEscapedBytes(absl::string_view bytes, char* out);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_JSON_TEXT_H_
