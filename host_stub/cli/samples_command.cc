#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "host_stub/cli/ask.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/file_argument.h"
#include "host_stub/cli/text.h"
#include "long_running_integration/v1/long_running_integration.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Stub = v1::LongRunningIntegration::Stub;

struct SamplesOptions {
  ClientOptions client;
  std::string instance;
  std::string mapper_file;
};

constexpr char kNoSamples[] =
    "no samples: set store_samples to true, then let a sender post something";

int Samples(const SamplesOptions& options) {
  v1::FetchSamplesRequest request;
  request.set_instance(options.instance);
  v1::FetchSamplesResponse response;
  const int code = Ask<v1::LongRunningIntegration>(
      options.client, [&](Stub& stub, grpc::ClientContext& context) {
        return stub.FetchSamples(&context, request, &response);
      });
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

int Fields(const SamplesOptions& options) {
  v1::ListSampleFieldsRequest request;
  request.set_instance(options.instance);
  v1::ListSampleFieldsResponse response;
  const int code = Ask<v1::LongRunningIntegration>(
      options.client, [&](Stub& stub, grpc::ClientContext& context) {
        return stub.ListSampleFields(&context, request, &response);
      });
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

int Map(const SamplesOptions& options) {
  absl::StatusOr<std::string> mapper = ReadFileArgument("--mapper", options.mapper_file);
  if (!mapper.ok()) {
    PrintError(std::string(mapper.status().message()));
    return kNotAsked;
  }
  v1::MapSamplesRequest request;
  request.set_instance(options.instance);
  request.set_mapper(*std::move(mapper));
  v1::MapSamplesResponse response;
  const int code = Ask<v1::LongRunningIntegration>(
      options.client, [&](Stub& stub, grpc::ClientContext& context) {
        return stub.MapSamples(&context, request, &response);
      });
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

}  // namespace

void AddSamplesCommand(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SamplesOptions>();
  CLI::App* command = app.add_subcommand("samples", "Show the incidents that an instance kept");
  CLI::Option* name = command->add_option("NAME", options->instance, "The instance");
  AddClientOptions(*command, options->client);
  command->footer("Examples:\n  host_stub samples webhook\n  host_stub samples fields webhook");
  auto fields_options = std::make_shared<SamplesOptions>();
  CLI::App* fields = command->add_subcommand("fields", "List every path that occurs in them");
  fields->add_option("NAME", fields_options->instance, "The instance")->required();
  AddClientOptions(*fields, fields_options->client);
  fields->footer("Example:\n  host_stub samples fields webhook");
  fields->callback([fields_options, &exit_code] { exit_code = Fields(*fields_options); });
  // Runs after a subcommand's as well.
  command->callback([options, name, fields, &exit_code] {
    if (fields->parsed()) return;
    if (name->empty()) throw CLI::RequiredError("NAME");
    exit_code = Samples(*options);
  });
}

void AddMapCommand(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SamplesOptions>();
  CLI::App* command =
      app.add_subcommand("map", "Show what a mapper would make of an instance's samples");
  command->add_option("NAME", options->instance, "The instance")->required();
  command->add_option("--mapper", options->mapper_file, "Target field -> path, with default")
      ->type_name("FILE.json")
      ->required();
  AddClientOptions(*command, options->client);
  command->footer(
      "The file is as {\"severity\": {\"path\": \"alert.level\", \"default\": 1}}.\n"
      "Example:\n  host_stub map webhook --mapper mapper.json");
  command->callback([options, &exit_code] { exit_code = Map(*options); });
}

}  // namespace host_stub
