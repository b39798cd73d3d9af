#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

constexpr char kNoSamples[] =
    "no samples: set store_samples to true, then let a sender post an incident";

}  // namespace

int ShowSamples(const SamplesOptions& options) {
  v1::FetchSamplesRequest request;
  request.set_instance(options.name);
  v1::FetchSamplesResponse response;
  if (const int code = Client(options).Call(request, response); code != kDone) return code;
  std::vector<std::string> documents;
  for (const v1::Sample& sample : response.samples()) {
    documents.push_back(JsonObject({{"name", JsonString(sample.name())},
                                    {"type", JsonString(sample.type())},
                                    {"occurred", JsonString(sample.occurred())},
                                    {"rawJSON", JsonString(sample.raw_json())},
                                    {"truncated", sample.truncated() ? "true" : "false"}}));
    if (options.json) continue;
    std::printf("%s  %s%s%s\n  %s\n", EscapeForTerminal(sample.occurred(), false).c_str(),
                EscapeForTerminal(sample.name(), false).c_str(), sample.type().empty() ? "" : "  ",
                EscapeForTerminal(sample.type(), false).c_str(),
                EscapeForTerminal(sample.raw_json(), false).c_str());
  }
  PrintList(options.json, documents, {}, kNoSamples);
  return kDone;
}

int ListSampleFields(const SamplesOptions& options) {
  v1::ListSampleFieldsRequest request;
  request.set_instance(options.name);
  v1::ListSampleFieldsResponse response;
  if (const int code = Client(options).Call(request, response); code != kDone) return code;
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {{"PATH", "TYPES", "SAMPLES", "EXAMPLE"}};
  for (const v1::SampleField& field : response.fields()) {
    documents.push_back(JsonObject({{"path", JsonString(field.path())},
                                    {"types", JsonStrings(field.types())},
                                    {"example", JsonString(field.example())},
                                    {"samples", absl::StrCat(field.sample_count())}}));
    rows.push_back({field.path(), absl::StrJoin(field.types(), ","),
                    absl::StrCat(field.sample_count()), field.example()});
  }
  PrintList(options.json, documents, rows, kNoSamples);
  return kDone;
}

int MapSamples(const SamplesOptions& options) {
  absl::StatusOr<std::string> mapper = ReadFileArgument("--mapper", options.mapper_file);
  if (!mapper.ok()) return Fail(mapper.status().message(), kNotAsked);
  v1::MapSamplesRequest request;
  request.set_instance(options.name);
  request.set_mapper(*std::move(mapper));
  v1::MapSamplesResponse response;
  if (const int code = Client(options).Call(request, response); code != kDone) return code;
  for (const std::string& mapped : response.mapped()) {
    if (!options.json) std::puts(EscapeForTerminal(mapped, false).c_str());
  }
  PrintList(options.json, {response.mapped().begin(), response.mapped().end()}, {}, kNoSamples);
  return kDone;
}

}  // namespace host_stub
