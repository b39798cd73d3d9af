// Writing JSON strings (RFC 8259 section 7).
#ifndef PLUGIN_CORE_JSON_TEXT_H_
#define PLUGIN_CORE_JSON_TEXT_H_

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

// The inside of a string from bytes of unknown encoding: taken as UTF-8 if they are valid UTF-8,
// else as Latin-1, so that what is written is valid JSON whatever came.
void AppendJsonEscapedBytes(std::string* out, absl::string_view bytes);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_JSON_TEXT_H_
