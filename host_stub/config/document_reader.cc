#include "host_stub/config/document_reader.h"

#include <string.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "host_stub/config/nearest_name.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_text.h"
#include "plugin/base/utf8.h"

namespace host_stub {
namespace {

constexpr int kMostDepth = 64;
constexpr size_t kLongestShownName = 80;

// A name for a message: on one line and of bounded length.
std::string Shown(absl::string_view name) {
  return absl::Utf8SafeCHexEscape(base::CutAtCharacter(name, kLongestShownName));
}

std::string MemberPlace(absl::string_view object, absl::string_view name) {
  if (name.empty() || !base::kNameCharacters.HasAll(name)) {
    return absl::StrCat(object, "[\"", Shown(name), "\"]");
  }
  return absl::StrCat(object, object.empty() ? "" : ".", Shown(name));
}

absl::string_view TypeName(base::JsonKind kind) {
  switch (kind) {
    case base::JsonKind::kArray:
      return "an array";
    case base::JsonKind::kObject:
      return "an object";
    case base::JsonKind::kString:
      return "a string";
    case base::JsonKind::kTrue:
    case base::JsonKind::kFalse:
      return "true or false";
    case base::JsonKind::kNull:
      return "null";
    default:
      return "a number";
  }
}

absl::string_view Reason(base::JsonFault::Kind kind) {
  switch (kind) {
    case base::JsonFault::Kind::kEndsTooEarly:
      return "the text ends too early";
    case base::JsonFault::Kind::kTrailing:
      return "expected nothing more after the value";
    case base::JsonFault::Kind::kTooDeep:
      return "nested too deep";
    default:
      return "this is not expected here";
  }
}

}  // namespace

DocumentReader::DocumentReader(std::string file) : file_(std::move(file)), reader_(kMostDepth) {}

DocumentReader::~DocumentReader() { explicit_bzero(text_.data(), text_.size()); }

absl::Status DocumentReader::Open(absl::string_view text) {
  text_.reserve(text.size() + base::JsonReader::kPadding);
  text_.assign(text.data(), text.size());
  text_.append(base::JsonReader::kPadding, ' ');
  if (reader_.Open({text_.data(), text.size()}) && reader_.SkipValue() && reader_.Finish()) {
    reader_.Rewind();
    return absl::OkStatus();
  }
  const base::JsonFault& fault = reader_.fault();
  const size_t byte = fault.kind == base::JsonFault::Kind::kEndsTooEarly ? text.size() : fault.byte;
  return absl::InvalidArgumentError(absl::StrCat(
      file_, ": not valid JSON: ", base::LineAndColumn(text, byte), ": ", Reason(fault.kind)));
}

absl::Status DocumentReader::Fault(absl::string_view place, absl::string_view reason) const {
  return absl::InvalidArgumentError(
      absl::StrCat(file_, ": ", place, place.empty() ? "" : ": ", reason));
}

absl::Status DocumentReader::WrongType(absl::string_view place, absl::string_view wanted) const {
  return Fault(place, absl::StrCat("must be ", wanted, ", but is ", TypeName(NextKind())));
}

base::JsonKind DocumentReader::NextKind() const { return base::KindOf(reader_.Peek()); }

absl::Status DocumentReader::EachMember(const std::string& place,
                                        std::span<const absl::string_view> known,
                                        const TakeMember& take) {
  if (NextKind() != base::JsonKind::kObject) return WrongType(place, "an object");
  absl::Status status;
  std::set<std::string> seen;
  reader_.EachMember([&](const base::JsonValue& key) {
    const std::string name = base::TextOfString(key);
    const std::string member = MemberPlace(place, name);
    if (!known.empty() && std::find(known.begin(), known.end(), name) == known.end()) {
      status = Fault(member, absl::StrCat("unknown; ", DidYouMean(name, known)));
    } else if (!seen.insert(name).second) {
      status = Fault(member, "occurs twice");
    } else {
      status = take(name, member);
    }
    return status.ok();
  });
  return status;
}

absl::Status DocumentReader::EachElement(
    const std::string& place, const std::function<absl::Status(const std::string&)>& take) {
  if (NextKind() != base::JsonKind::kArray) return WrongType(place, "an array");
  absl::Status status;
  size_t index = 0;
  reader_.EachItem([&] {
    status = take(absl::StrCat(place, "[", index++, "]"));
    return status.ok();
  });
  return status;
}

absl::Status DocumentReader::String(absl::string_view place, std::string& text) {
  if (NextKind() != base::JsonKind::kString) return WrongType(place, "a string");
  text = Text();
  return absl::OkStatus();
}

absl::Status DocumentReader::Boolean(absl::string_view place, bool& flag) {
  if (NextKind() != base::JsonKind::kTrue && NextKind() != base::JsonKind::kFalse) {
    return WrongType(place, "true or false");
  }
  flag = Text() == "true";
  return absl::OkStatus();
}

absl::Status DocumentReader::WholeNumber(absl::string_view place, std::string& text) {
  if (NextKind() != base::JsonKind::kNumber) return WrongType(place, "a whole number");
  int64_t number = 0;
  if (!absl::SimpleAtoi(Text(), &number)) return Fault(place, "must be a whole number");
  text = absl::StrCat(number);
  return absl::OkStatus();
}

std::string DocumentReader::Text() {
  base::JsonValue value;
  reader_.ReadValue(value);
  return value.kind == base::JsonKind::kString ? base::TextOfString(value)
                                               : base::CompactJson(value.text);
}

}  // namespace host_stub
