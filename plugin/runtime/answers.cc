#include "plugin/runtime/answers.h"

#include "plugin/runtime/host.h"

namespace webhook::runtime {

Answer::Answer(int32_t status, absl::string_view content_type, absl::string_view body)
    : headers_{},
      answer_{.struct_size = sizeof(lri_answer),
              .status = status,
              .headers = {headers_.data(), 0, sizeof(lri_pair)},
              .body = ToView(body)} {
  Add("Content-Type", content_type);
}

Answer& Answer::Add(absl::string_view name, absl::string_view value) {
  headers_.at(answer_.headers.count++) = {ToView(name), ToView(value)};
  return *this;
}

int32_t StatusOfBodyError(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kResourceExhausted:
      return 413;
    case absl::StatusCode::kUnimplemented:
      return 415;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

}  // namespace webhook::runtime
