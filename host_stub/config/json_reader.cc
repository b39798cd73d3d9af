#include "host_stub/config/json_reader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "host_stub/config/nearest_name.h"

namespace host_stub {
namespace {

constexpr size_t kLongestShownName = 80;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// For a message: on one line, and not endless.
std::string Shown(absl::string_view name) {
  size_t end = std::min(name.size(), kLongestShownName);
  // Not within a character: the message is UTF-8.
  while (end < name.size() && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return absl::Utf8SafeCHexEscape(name.substr(0, end));
}

std::string MemberPlace(absl::string_view object, absl::string_view name) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
  if (!plain) return absl::StrCat(object, "[\"", Shown(name), "\"]");
  return absl::StrCat(object, object.empty() ? "" : ".", Shown(name));
}

absl::string_view TypeName(simdjson::dom::element element) {
  switch (element.type()) {
    case simdjson::dom::element_type::ARRAY:
      return "an array";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "true or false";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

}  // namespace

absl::Status JsonReader::Fault(absl::string_view place, absl::string_view reason) const {
  return absl::InvalidArgumentError(
      absl::StrCat(file_, ": ", place, place.empty() ? "" : ": ", reason));
}

absl::Status JsonReader::WrongType(const PlacedValue& value, absl::string_view wanted) const {
  return Fault(value.place, absl::StrCat("must be ", wanted, ", but is ", TypeName(value.element)));
}

absl::Status JsonReader::EachMember(
    const PlacedValue& object, std::span<const absl::string_view> known,
    const std::function<absl::Status(const PlacedMember&)>& take) const {
  simdjson::dom::object members;
  if (object.element.get(members) != simdjson::SUCCESS) return WrongType(object, "an object");
  std::set<absl::string_view> seen;
  for (simdjson::dom::key_value_pair pair : members) {
    PlacedMember member{View(pair.key), {pair.value, MemberPlace(object.place, View(pair.key))}};
    const bool expected =
        known.empty() || std::find(known.begin(), known.end(), member.name) != known.end();
    if (!expected) {
      return Fault(member.value.place, absl::StrCat("unknown; ", DidYouMean(member.name, known)));
    }
    if (!seen.insert(member.name).second) return Fault(member.value.place, "occurs twice");
    if (absl::Status status = take(member); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status JsonReader::EachElement(
    const PlacedValue& array, const std::function<absl::Status(const PlacedValue&)>& take) const {
  simdjson::dom::array elements;
  if (array.element.get(elements) != simdjson::SUCCESS) return WrongType(array, "an array");
  size_t index = 0;
  for (simdjson::dom::element element : elements) {
    PlacedValue value{element, absl::StrCat(array.place, "[", index++, "]")};
    if (absl::Status status = take(value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> JsonReader::String(const PlacedValue& value) const {
  std::string_view text;
  if (value.element.get(text) != simdjson::SUCCESS) return WrongType(value, "a string");
  return std::string(text);
}

absl::StatusOr<bool> JsonReader::Boolean(const PlacedValue& value) const {
  bool flag = false;
  if (value.element.get(flag) != simdjson::SUCCESS) return WrongType(value, "true or false");
  return flag;
}

absl::StatusOr<std::string> JsonReader::WholeNumber(const PlacedValue& value) const {
  int64_t number = 0;
  if (value.element.type() == simdjson::dom::element_type::DOUBLE) {
    return Fault(value.place, "must be a whole number");
  }
  if (value.element.get(number) != simdjson::SUCCESS) return WrongType(value, "a whole number");
  return absl::StrCat(number);
}

}  // namespace host_stub
