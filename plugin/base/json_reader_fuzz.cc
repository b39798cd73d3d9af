// Any bytes as a JSON text: the reader and a second parser, which share no code,
// must agree. Where they accept, the value is the bytes of the text between the blanks.
#include <algorithm>
#include <cstdint>

#include "plugin/base/json_reader.h"
#include "plugin/base/testing/padded_text.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using base::JsonReader;
  using base::JsonValue;
  using webhook::fuzz::JsonVerdict;
  using webhook::fuzz::Require;
  constexpr int kDepth = 128;
  static JsonReader reader(kDepth);
  absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const base::PaddedText text(bytes);
  JsonValue value;
  const bool accepted = reader.Open(text.view()) && reader.ReadValue(value) && reader.Finish();

  if (bytes.substr(0, 3) == "\xEF\xBB\xBF") bytes.remove_prefix(3);
  constexpr absl::string_view kBlanks = " \t\r\n";
  const JsonVerdict verdict = webhook::fuzz::CheckJson(bytes, kDepth);
  if (verdict != JsonVerdict::kNotKnown) Require(accepted == (verdict == JsonVerdict::kValid));
  if (!accepted) {
    Require(reader.fault().byte <= size && *reader.fault().what != '\0');
    return 0;
  }
  bytes.remove_prefix(bytes.find_first_not_of(kBlanks));
  Require(value.text == bytes.substr(0, bytes.find_last_not_of(kBlanks) + 1));
  return 0;
}
