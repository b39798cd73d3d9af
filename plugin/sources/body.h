// Bodies that are not JSON, written as JSON. Where a JSON reader is needed,
// base::JsonReader::kPadding readable bytes must follow `body`.
#ifndef PLUGIN_SOURCES_BODY_H_
#define PLUGIN_SOURCES_BODY_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/header_view.h"

namespace webhook::sources {

inline constexpr size_t kMostFormFields = 1'000;
inline constexpr size_t kMostParts = 64;  // of a multipart body

// Fields of a form or parameters of a query, in their order.
using Fields = std::vector<std::pair<std::string, std::string>>;

// Undoes + and %XX of application/x-www-form-urlencoded (WHATWG URL, section 5.1). A percent sign
// without two digits stays as it is. The bytes may be of any encoding.
std::string DecodeFormText(absl::string_view text);

// The value of the first parameter of that name, and how many there are; reads no more than it
// must.
struct FoundParameter {
  std::string value;
  int count = 0;
};
FoundParameter FindParameter(absl::string_view query, absl::string_view name);

// INVALID_ARGUMENT: a field is no UTF-8; RESOURCE_EXHAUSTED: more than kMostFormFields.
absl::StatusOr<Fields> ReadForm(absl::string_view body);

// An object with a member for each name, in their order; one that repeats becomes an array.
std::string JsonOfFields(const Fields& fields);

// JSON values one after another, with blanks between them. One alone stays itself, as a part of
// `body`; several become an array in `array`. INVALID_ARGUMENT tells the byte.
absl::StatusOr<absl::string_view> ReadJsonLines(absl::string_view body, int max_depth,
                                                std::string* array);

// The one JSON part of a multipart/form-data body (RFC 7578): of the type application/json or
// ...+json, else the one that looks like JSON and is no file. A part of `body`.
absl::StatusOr<absl::string_view> FindJsonPart(absl::string_view body,
                                               absl::string_view content_type);

// A CloudEvent in binary mode (CloudEvents HTTP binding 1.0.2, section 3.1) in its JSON form. A
// body that the content type calls JSON keeps its bytes in it. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<std::string> JsonOfCloudEvent(std::span<const core::HeaderView> headers,
                                             absl::string_view body, int max_depth);

// The type and subtype of a Content-Type, in lower case, without parameters.
std::string MediaType(absl::string_view content_type);
bool IsJsonType(absl::string_view media_type);

}  // namespace webhook::sources

#endif  // PLUGIN_SOURCES_BODY_H_
