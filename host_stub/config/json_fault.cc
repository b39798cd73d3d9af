#include "host_stub/config/json_fault.h"

#include <algorithm>
#include <boost/json/stream_parser.hpp>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace host_stub {
namespace {

constexpr size_t kDeepest = 64;

// The parser's own words are for programmers.
absl::string_view Reason(boost::json::error_code error) {
  if (error == boost::json::error::incomplete) return "the text ends too early";
  if (error == boost::json::error::extra_data) return "expected nothing more after the value";
  if (error == boost::json::error::too_deep) return "nested too deep";
  if (error == boost::json::error::exponent_overflow) return "the number is too large";
  return "this is not expected here";
}

}  // namespace

std::string FindJsonFault(absl::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kDeepest;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code error;
  const size_t read = parser.write(text.data(), text.size(), error);
  if (!error) parser.finish(error);
  if (!error) return "";
  const size_t place = error == boost::json::error::incomplete ? text.size() : read;
  const absl::string_view before = text.substr(0, place);
  const size_t line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t last_break = before.rfind('\n');
  const size_t start = last_break == absl::string_view::npos ? 0 : last_break + 1;
  return absl::StrCat("line ", line, ", column ", place - start + 1, ": ", Reason(error));
}

}  // namespace host_stub
