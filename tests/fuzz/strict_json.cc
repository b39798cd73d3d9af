#include "tests/fuzz/strict_json.h"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/error.hpp>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace webhook::fuzz {
namespace {

// Takes every event and keeps nothing.
struct Nothing {
  using Text = boost::json::string_view;
  using Error = boost::json::error_code;
  static constexpr size_t max_object_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_array_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_key_size = std::numeric_limits<size_t>::max();
  static constexpr size_t max_string_size = std::numeric_limits<size_t>::max();

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(size_t, Error&) { return true; }
  bool on_object_begin(Error&) { return true; }
  bool on_object_end(size_t, Error&) { return true; }
  bool on_string_part(Text, size_t, Error&) { return true; }
  bool on_string(Text, size_t, Error&) { return true; }
  bool on_key_part(Text, size_t, Error&) { return true; }
  bool on_key(Text, size_t, Error&) { return true; }
  bool on_number_part(Text, Error&) { return true; }
  bool on_int64(int64_t, Text, Error&) { return true; }
  bool on_uint64(uint64_t, Text, Error&) { return true; }
  bool on_double(double, Text, Error&) { return true; }
  bool on_bool(bool, Error&) { return true; }
  bool on_null(Error&) { return true; }
  bool on_comment_part(Text, Error&) { return true; }
  bool on_comment(Text, Error&) { return true; }
};

// 0 where there is no escape \uXXXX.
unsigned long UnitAt(const std::string& text, size_t at) {
  if (text.size() < at + 6 || text.compare(at, 2, "\\u") != 0) return 0;
  return std::strtoul(text.substr(at + 2, 4).c_str(), nullptr, 16);
}

// Boost.JSON refuses them, and the grammar of RFC 8259 permits them.
bool ReplaceLoneSurrogates(std::string& text) {
  bool found = false;
  for (size_t at = text.find('\\'); at < text.size(); at = text.find('\\', at)) {
    const unsigned long unit = UnitAt(text, at);
    const unsigned long next = UnitAt(text, at + 6);
    const bool is_pair = unit <= 0xDBFF && next >= 0xDC00 && next <= 0xDFFF;
    if (unit < 0xD800 || unit > 0xDFFF) {
      at += 2;
    } else if (is_pair) {
      at += 12;
    } else {
      text.replace(at + 2, 4, "FFFD");
      found = true;
      at += 6;
    }
  }
  return found;
}

}  // namespace

JsonVerdict CheckJson(absl::string_view given, size_t most_depth) {
  std::string text(given);
  const bool lone = ReplaceLoneSurrogates(text);
  boost::json::parse_options options;
  options.max_depth = most_depth;
  boost::json::basic_parser<Nothing> parser(options);
  boost::json::error_code error;
  const size_t read = parser.write_some(false, text.data(), text.size(), error);
  if (error == boost::json::error::exponent_overflow) return JsonVerdict::kNotKnown;
  if (error == boost::json::error::too_deep) return JsonVerdict::kTooDeep;
  if (error || read != text.size()) return JsonVerdict::kInvalid;
  return lone ? JsonVerdict::kLoneSurrogate : JsonVerdict::kValid;
}

bool IsMessage(absl::string_view text) {
  // A JSON string may hold neither control characters nor bytes that are no UTF-8.
  const std::string plain = absl::StrReplaceAll(text, {{"\\", "/"}, {"\"", "'"}});
  return !text.empty() && MayBeJson(absl::StrCat("\"", plain, "\""));
}

}  // namespace webhook::fuzz
