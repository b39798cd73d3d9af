// A second opinion on what is JSON, for tests and fuzz targets: Boost.JSON, which shares no code
// with the product.
#ifndef TESTS_FUZZ_STRICT_JSON_H_
#define TESTS_FUZZ_STRICT_JSON_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace webhook::fuzz {

enum class JsonVerdict {
  kValid,
  kInvalid,
  kTooDeep,
  kLoneSurrogate,  // valid, with an escaped half of a surrogate pair in it
  kNotKnown,       // an exponent beyond what Boost.JSON can count; the grammar permits it
};

// Whether the text is one JSON value (RFC 8259) in UTF-8, without lone surrogates. A byte order
// mark is not skipped.
JsonVerdict CheckJson(absl::string_view text, size_t most_depth);

// For what the product itself has written: valid, as far as can be told.
inline bool MayBeJson(absl::string_view text) {
  constexpr size_t kNoMatter = 1000;
  const JsonVerdict verdict = CheckJson(text, kNoMatter);
  return verdict != JsonVerdict::kInvalid && verdict != JsonVerdict::kTooDeep;
}

// Whether it is what a message must be: one line of UTF-8 without control characters, and not
// empty.
bool IsMessage(absl::string_view text);

}  // namespace webhook::fuzz

#endif  // TESTS_FUZZ_STRICT_JSON_H_
