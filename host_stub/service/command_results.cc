#include "host_stub/service/command_results.h"

#include <simdjson.h>

namespace host_stub {
namespace {

using ::long_running_integration::v1::FetchSamplesResponse;
using ::long_running_integration::v1::ListSampleFieldsResponse;
using ::long_running_integration::v1::MapSamplesResponse;
using ::long_running_integration::v1::Sample;
using ::long_running_integration::v1::SampleField;
using ::long_running_integration::v1::TestModuleResponse;

// Empty if the member is missing.
std::string Text(simdjson::dom::element object, const char* name) {
  std::string_view text;
  if (object[name].get(text) != simdjson::SUCCESS) return "";
  return std::string(text);
}

// "ok", or {"ok": true, "message": "...", "warnings": ["..."]}, where every member may be missing.
void FillFindings(const std::string& json, TestModuleResponse& response) {
  response.set_ok(true);
  response.set_message("ok");
  simdjson::dom::parser parser;
  simdjson::dom::object findings;
  if (parser.parse(json).get(findings) != simdjson::SUCCESS) return;
  bool good = true;
  if (findings["ok"].get(good) == simdjson::SUCCESS) response.set_ok(good);
  std::string_view message;
  if (findings["message"].get(message) != simdjson::SUCCESS) {
    message = good ? "ok" : "the test failed";
  }
  response.set_message(std::string(message));
  simdjson::dom::array warnings;
  if (findings["warnings"].get(warnings) != simdjson::SUCCESS) return;
  for (simdjson::dom::element warning : warnings) {
    std::string_view text;
    if (warning.get(text) == simdjson::SUCCESS) response.add_warnings(std::string(text));
  }
}

// Whether the code says that there was no test, not what a test found.
bool CouldNotTest(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::Status FillTestResult(const absl::StatusOr<std::string>& result,
                            TestModuleResponse& response) {
  if (result.ok()) {
    FillFindings(*result, response);
    return absl::OkStatus();
  }
  if (CouldNotTest(result.status().code())) return result.status();
  response.set_ok(false);
  response.set_message(std::string(result.status().message()));
  return absl::OkStatus();
}

absl::Status FillSamples(absl::string_view json, FetchSamplesResponse& response) {
  simdjson::dom::parser parser;
  simdjson::dom::array samples;
  if (parser.parse(json.data(), json.size()).get(samples) != simdjson::SUCCESS) {
    return absl::InternalError("the plugin's samples are not a JSON array");
  }
  for (simdjson::dom::element element : samples) {
    if (!element.is_object()) return absl::InternalError("a sample of the plugin is not an object");
    Sample* sample = response.add_samples();
    sample->set_name(Text(element, "name"));
    sample->set_type(Text(element, "type"));
    sample->set_occurred(Text(element, "occurred"));
    sample->set_raw_json(Text(element, "rawJSON"));
    bool truncated = false;
    sample->set_truncated(element["truncated"].get(truncated) == simdjson::SUCCESS && truncated);
  }
  return absl::OkStatus();
}

absl::Status FillFields(absl::string_view json, ListSampleFieldsResponse& response) {
  simdjson::dom::parser parser;
  simdjson::dom::array fields;
  if (parser.parse(json.data(), json.size()).get(fields) != simdjson::SUCCESS) {
    return absl::InternalError("the plugin's fields are not a JSON array");
  }
  for (simdjson::dom::element element : fields) {
    if (!element.is_object()) return absl::InternalError("a field of the plugin is not an object");
    SampleField* field = response.add_fields();
    field->set_path(Text(element, "path"));
    field->set_example(Text(element, "example"));
    int64_t count = 0;
    if (element["count"].get(count) == simdjson::SUCCESS) {
      field->set_sample_count(static_cast<int32_t>(count));
    }
    simdjson::dom::array types;
    if (element["types"].get(types) != simdjson::SUCCESS) continue;
    for (simdjson::dom::element type : types) {
      std::string_view name;
      if (type.get(name) == simdjson::SUCCESS) field->add_types(std::string(name));
    }
  }
  return absl::OkStatus();
}

absl::Status FillMapped(absl::string_view json, MapSamplesResponse& response) {
  const absl::Status fault =
      absl::InternalError("the plugin's mapped samples are not JSON objects");
  const simdjson::padded_string padded(json.data(), json.size());
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::array array;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS) return fault;
  if (document.get_array().get(array) != simdjson::SUCCESS) return fault;
  for (auto element : array) {
    simdjson::ondemand::object object;
    std::string_view text;
    if (element.get_object().get(object) != simdjson::SUCCESS) return fault;
    if (object.raw_json().get(text) != simdjson::SUCCESS) return fault;
    response.add_mapped(std::string(text));
  }
  return absl::OkStatus();
}

}  // namespace host_stub
