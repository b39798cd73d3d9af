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
  request.set_instance(options.instance);
  v1::FetchSamplesResponse response;
  const int code = Client(options.client).Call(request, response);
  if (code != kDone) return code;
  std::vector<std::string> documents;
  for (const v1::Sample& sample : response.samples()) {
    documents.push_back(JsonObject({{"name", JsonString(sample.name())},
                                    {"type", JsonString(sample.type())},
                                    {"occurred", JsonString(sample.occurred())},
                                    {"rawJSON", JsonString(sample.raw_json())},
                                    {"truncated", sample.truncated() ? "true" : "false"}}));
    if (options.client.json) continue;
    std::printf("%s  %s%s%s\n  %s\n", EscapeForTerminal(sample.occurred(), false).c_str(),
                EscapeForTerminal(sample.name(), false).c_str(), sample.type().empty() ? "" : "  ",
                EscapeForTerminal(sample.type(), false).c_str(),
                EscapeForTerminal(sample.raw_json(), false).c_str());
  }
  if (options.client.json) {
    std::puts(JsonArray(documents).c_str());
  } else if (documents.empty()) {
    std::puts(kNoSamples);
  }
  return kDone;
}

int ListSampleFields(const SamplesOptions& options) {
  v1::ListSampleFieldsRequest request;
  request.set_instance(options.instance);
  v1::ListSampleFieldsResponse response;
  const int code = Client(options.client).Call(request, response);
  if (code != kDone) return code;
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {{"PATH", "TYPES", "SAMPLES", "EXAMPLE"}};
  for (const v1::SampleField& field : response.fields()) {
    std::vector<std::string> types;
    for (const std::string& type : field.types()) types.push_back(JsonString(type));
    documents.push_back(JsonObject({{"path", JsonString(field.path())},
                                    {"types", JsonArray(types)},
                                    {"example", JsonString(field.example())},
                                    {"samples", absl::StrCat(field.sample_count())}}));
    rows.push_back({field.path(), absl::StrJoin(field.types(), ","),
                    absl::StrCat(field.sample_count()), field.example()});
  }
  if (options.client.json) {
    std::puts(JsonArray(documents).c_str());
  } else if (documents.empty()) {
    std::puts(kNoSamples);
  } else {
    std::fputs(FormatTable(rows).c_str(), stdout);
  }
  return kDone;
}

int MapSamples(const SamplesOptions& options) {
  absl::StatusOr<std::string> mapper = ReadFileArgument("--mapper", options.mapper_file);
  if (!mapper.ok()) {
    PrintError(mapper.status().message());
    return kNotAsked;
  }
  v1::MapSamplesRequest request;
  request.set_instance(options.instance);
  request.set_mapper(*std::move(mapper));
  v1::MapSamplesResponse response;
  const int code = Client(options.client).Call(request, response);
  if (code != kDone) return code;
  if (options.client.json) {
    std::puts(JsonArray({response.mapped().begin(), response.mapped().end()}).c_str());
    return kDone;
  }
  for (const std::string& mapped : response.mapped()) {
    std::puts(EscapeForTerminal(mapped, false).c_str());
  }
  if (response.mapped_size() == 0) std::puts(kNoSamples);
  return kDone;
}

}  // namespace host_stub
