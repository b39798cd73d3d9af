#include "host_stub/service/command_results.h"

#include <simdjson.h>

#include "absl/strings/str_cat.h"

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

// Adds the texts of the member, an array.
void AddTexts(simdjson::dom::element object, const char* name,
              google::protobuf::RepeatedPtrField<std::string>& texts) {
  simdjson::dom::array array;
  if (object[name].get(array) != simdjson::SUCCESS) return;
  for (simdjson::dom::element element : array) {
    std::string_view text;
    if (element.get(text) == simdjson::SUCCESS) texts.Add(std::string(text));
  }
}

// Calls `fill` with each element of a JSON array of objects.
template <typename Fill>
absl::Status EachObject(absl::string_view json, absl::string_view thing, const Fill& fill) {
  simdjson::dom::parser parser;
  simdjson::dom::array array;
  if (parser.parse(json.data(), json.size()).get(array) != simdjson::SUCCESS) {
    return absl::InternalError(absl::StrCat("the plugin's ", thing, "s are not a JSON array"));
  }
  for (simdjson::dom::element element : array) {
    if (!element.is_object()) {
      return absl::InternalError(absl::StrCat("a ", thing, " of the plugin is not an object"));
    }
    fill(element);
  }
  return absl::OkStatus();
}

// "ok", or {"ok": true, "message": "...", "warnings": ["..."]}, where every member may be missing.
void FillFindings(const std::string& json, TestModuleResponse& response) {
  response.set_ok(true);
  response.set_message("ok");
  simdjson::dom::parser parser;
  simdjson::dom::element findings;
  if (parser.parse(json).get(findings) != simdjson::SUCCESS || !findings.is_object()) return;
  bool good = true;
  if (findings["ok"].get(good) == simdjson::SUCCESS) response.set_ok(good);
  std::string_view message;
  if (findings["message"].get(message) != simdjson::SUCCESS) {
    message = good ? "ok" : "the test failed";
  }
  response.set_message(std::string(message));
  AddTexts(findings, "warnings", *response.mutable_warnings());
}

// Whether the error says that there was no test, not what a test found.
bool CouldNotTest(const absl::Status& error) {
  return absl::IsCancelled(error) || absl::IsDeadlineExceeded(error) || absl::IsNotFound(error) ||
         absl::IsUnimplemented(error) || absl::IsInternal(error) || absl::IsUnknown(error);
}

}  // namespace

absl::Status FillTestResult(const absl::StatusOr<std::string>& result,
                            TestModuleResponse& response) {
  if (result.ok()) {
    FillFindings(*result, response);
    return absl::OkStatus();
  }
  if (CouldNotTest(result.status())) return result.status();
  response.set_ok(false);
  response.set_message(std::string(result.status().message()));
  return absl::OkStatus();
}

absl::Status FillSamples(absl::string_view json, FetchSamplesResponse& response) {
  return EachObject(json, "sample", [&response](simdjson::dom::element element) {
    Sample* sample = response.add_samples();
    sample->set_name(Text(element, "name"));
    sample->set_type(Text(element, "type"));
    sample->set_occurred(Text(element, "occurred"));
    sample->set_raw_json(Text(element, "rawJSON"));
    bool truncated = false;
    sample->set_truncated(element["truncated"].get(truncated) == simdjson::SUCCESS && truncated);
  });
}

absl::Status FillFields(absl::string_view json, ListSampleFieldsResponse& response) {
  return EachObject(json, "field", [&response](simdjson::dom::element element) {
    SampleField* field = response.add_fields();
    field->set_path(Text(element, "path"));
    field->set_example(Text(element, "example"));
    int64_t count = 0;
    if (element["count"].get(count) == simdjson::SUCCESS) {
      field->set_sample_count(static_cast<int32_t>(count));
    }
    AddTexts(element, "types", *field->mutable_types());
  });
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
