// Reads simdjson's DOM with errors that name the file, the place and the reason.
#ifndef HOST_STUB_CONFIG_JSON_READER_H_
#define HOST_STUB_CONFIG_JSON_READER_H_

#include <simdjson.h>

#include <functional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace host_stub {

// A value and where it stands.
struct PlacedValue {
  simdjson::dom::element element;
  std::string place;  // "instances[0].name"; empty for the document
};

// A member of an object.
struct PlacedMember {
  absl::string_view name;
  PlacedValue value;
};

class JsonReader {
 public:
  explicit JsonReader(std::string file) : file_(std::move(file)) {}

  // INVALID_ARGUMENT "FILE: PLACE: reason".
  absl::Status Fault(absl::string_view place, absl::string_view reason) const;

  // Calls `take` for every member in order, until it fails. A repeated name is a fault. `known`
  // are the names that may occur; empty: any.
  absl::Status EachMember(const PlacedValue& object, std::span<const absl::string_view> known,
                          const std::function<absl::Status(const PlacedMember&)>& take) const;

  absl::Status EachElement(const PlacedValue& array,
                           const std::function<absl::Status(const PlacedValue&)>& take) const;

  // A fault where the value is of another type.
  absl::StatusOr<std::string> String(const PlacedValue& value) const;
  absl::StatusOr<bool> Boolean(const PlacedValue& value) const;
  // A whole number, in decimal.
  absl::StatusOr<std::string> WholeNumber(const PlacedValue& value) const;

  absl::Status WrongType(const PlacedValue& value, absl::string_view wanted) const;

 private:
  std::string file_;
};

}  // namespace host_stub

#endif  // HOST_STUB_CONFIG_JSON_READER_H_
