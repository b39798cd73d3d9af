#include <google/protobuf/util/time_util.h>
#include <grpcpp/grpcpp.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/ask.h"
#include "host_stub/cli/certificate_text.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/file_argument.h"
#include "host_stub/cli/secret_arguments.h"
#include "host_stub/cli/text.h"
#include "host_stub/config/json_fault.h"
#include "long_running_integration/v1/instance.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

std::string StateName(v1::InstanceState state) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::InstanceState_Name(state), "INSTANCE_STATE_"));
}

std::string OriginName(v1::InstanceOrigin origin) {
  return absl::AsciiStrToLower(
      absl::StripPrefix(v1::InstanceOrigin_Name(origin), "INSTANCE_ORIGIN_"));
}

std::string InstanceJson(const v1::Instance& instance) {
  // A map in the message; sorted, so that output can be compared.
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const auto& [name, value] : std::map<std::string, std::string>(
           instance.parameters().begin(), instance.parameters().end())) {
    parameters.emplace_back(name, JsonString(value));
  }
  std::vector<std::string> secrets;
  for (const std::string& name : instance.secrets_set()) secrets.push_back(JsonString(name));
  std::vector<std::string> warnings;
  for (const std::string& warning : instance.warnings()) warnings.push_back(JsonString(warning));
  return JsonObject({{"name", JsonString(instance.name())},
                     {"uid", JsonString(instance.uid())},
                     {"origin", JsonString(OriginName(instance.origin()))},
                     {"state", JsonString(StateName(instance.health().state()))},
                     {"message", JsonString(instance.health().message())},
                     {"path", JsonString(instance.address().path())},
                     {"webhookUrl", JsonString(instance.address().url())},
                     {"listenUrl", JsonString(instance.address().listen_url())},
                     {"externalKey", JsonString(instance.address().external_key())},
                     {"external", instance.address().external() ? "true" : "false"},
                     {"recordNoun", JsonString(instance.record_noun())},
                     {"lastError", JsonString(instance.health().last_error())},
                     {"since", instance.health().has_since()
                                   ? JsonString(google::protobuf::util::TimeUtil::ToString(
                                         instance.health().since()))
                                   : "null"},
                     {"requests", absl::StrCat(instance.health().request_count())},
                     {"succeeded", absl::StrCat(instance.health().succeeded_count())},
                     {"refused", absl::StrCat(instance.health().refused_count())},
                     {"failed", absl::StrCat(instance.health().failed_count())},
                     {"incidents", absl::StrCat(instance.health().incident_count())},
                     {"etag", JsonString(instance.etag())},
                     {"parameters", JsonObject(parameters)},
                     {"secretsSet", JsonArray(secrets)},
                     {"warnings", JsonArray(warnings)}});
}

void Print(const std::vector<v1::Instance>& instances, bool json) {
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STATE", "FROM", "REQUESTS", "INCIDENTS", "URL"}};
  for (const v1::Instance& instance : instances) {
    documents.push_back(InstanceJson(instance));
    rows.push_back(
        {instance.name(), StateName(instance.health().state()), OriginName(instance.origin()),
         absl::StrCat(instance.health().request_count()),
         absl::StrCat(instance.health().incident_count()),
         instance.address().url().empty() ? instance.address().path() : instance.address().url()});
  }
  if (json) {
    std::puts(JsonArray(documents).c_str());
  } else if (instances.empty()) {
    std::puts("no instances");
  } else {
    std::fputs(FormatTable(rows).c_str(), stdout);
  }
}

int List(const ClientOptions& options) {
  const absl::StatusOr<Connection> connection = Connection::Open(options);
  if (!connection.ok()) {
    PrintError(std::string(connection.status().message()));
    return kNotAsked;
  }
  const auto stub = v1::InstanceService::NewStub(connection->channel());
  std::vector<v1::Instance> instances;
  v1::ListInstancesRequest request;
  do {
    grpc::ClientContext context;
    connection->Prepare(context);
    v1::ListInstancesResponse response;
    const grpc::Status status = stub->ListInstances(&context, request, &response);
    if (!status.ok()) return connection->Report(status);
    instances.insert(instances.end(), response.instances().begin(), response.instances().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  Print(instances, options.json);
  return kDone;
}

// One instance, as a person reads it.
void PrintOne(const v1::Instance& instance, bool json) {
  if (json) {
    std::puts(InstanceJson(instance).c_str());
    return;
  }
  std::vector<std::vector<std::string>> rows = {
      {"NAME", instance.name()},
      {"STATE", StateName(instance.health().state())},
      {"FROM", OriginName(instance.origin())},
      {"URL", instance.address().url()},
      {"LISTENS", instance.address().listen_url()},
      {"PATH", instance.address().path()},
      {"REQUESTS", absl::StrCat(instance.health().request_count(), " (2xx ",
                                instance.health().succeeded_count(), ", 4xx ",
                                instance.health().refused_count(), ", 5xx ",
                                instance.health().failed_count(), ")")},
      {"INCIDENTS", absl::StrCat(instance.health().incident_count())},
      {"MESSAGE", instance.health().message()},
      {"LAST ERROR", instance.health().last_error()}};
  for (const auto& [name, value] : std::map<std::string, std::string>(
           instance.parameters().begin(), instance.parameters().end())) {
    const std::string certificates = DescribeCertificates(value);
    rows.push_back({name, certificates.empty() ? value : certificates});
  }
  for (const std::string& name : instance.secrets_set()) rows.push_back({name, "(set)"});
  std::erase_if(rows, [](const auto& row) { return row.back().empty(); });
  std::fputs(FormatTable(rows).c_str(), stdout);
  for (const std::string& warning : instance.warnings()) {
    std::fprintf(stderr, "warning: %s\n", EscapeForTerminal(warning, false).c_str());
  }
}

struct ChangeOptions {
  ClientOptions client;
  std::string name;
  std::vector<std::string> parameters;  // KEY=VALUE
  std::string from_file;
  std::string etag;
  bool disabled = false;
  bool on_engine = false;
  bool validate_only = false;
  bool allow_missing = false;
};

// KEY=VALUE, or KEY=@FILE for what should not stand on a command line.
absl::Status AddParameter(const std::string& text, v1::Instance& instance) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    // Not shown: it may be a secret whose name was forgotten.
    return absl::InvalidArgumentError("-p must be KEY=VALUE, KEY=@FILE or KEY=@-");
  }
  const std::string name = text.substr(0, equals);
  std::string value = text.substr(equals + 1);
  if (!value.empty() && value[0] == '@') {
    absl::StatusOr<std::string> read =
        ReadArgument(absl::StrCat("-p ", name), absl::string_view(value).substr(1), name == "key");
    if (!read.ok()) return read.status();
    value = *std::move(read);
  }
  (*instance.mutable_parameters())[name] = std::move(value);
  return absl::OkStatus();
}

// The "configuration" of an instance as it stands in the host's own file.
absl::Status AddParametersFrom(const std::string& path, v1::Instance& instance) {
  const absl::StatusOr<std::string> text = ReadFileArgument("--from-file", path);
  if (!text.ok()) return text.status();
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(*text).get(object) != simdjson::SUCCESS) {
    const std::string fault = FindJsonFault(*text);
    return absl::InvalidArgumentError(
        absl::StrCat("--from-file: ", path, ": ", fault.empty() ? "is no JSON object" : fault));
  }
  for (const auto& [name, value] : object) {
    std::string_view string;
    if (value.get(string) != simdjson::SUCCESS) {
      // Numbers, booleans and lists as their JSON text.
      (*instance.mutable_parameters())[std::string(name)] = simdjson::minify(value);
    } else {
      (*instance.mutable_parameters())[std::string(name)] = std::string(string);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Instance> MakeInstance(const ChangeOptions& options) {
  v1::Instance instance;
  instance.set_name(options.name);
  if (!options.from_file.empty()) {
    absl::Status status = AddParametersFrom(options.from_file, instance);
    if (!status.ok()) return status;
  }
  for (const std::string& parameter : options.parameters) {
    if (absl::Status status = AddParameter(parameter, instance); !status.ok()) return status;
  }
  return instance;
}

using Stub = v1::InstanceService::Stub;

int AskForInstance(const ClientOptions& options,
                   const std::function<grpc::Status(Stub& stub, grpc::ClientContext& context,
                                                    v1::Instance& instance)>& call) {
  v1::Instance instance;
  const int code = Ask<v1::InstanceService>(options, [&](Stub& stub, grpc::ClientContext& context) {
    return call(stub, context, instance);
  });
  if (code == kDone) PrintOne(instance, options.json);
  return code;
}

int Get(const ChangeOptions& options) {
  v1::GetInstanceRequest request;
  request.set_name(options.name);
  return AskForInstance(options.client, [&](Stub& stub, auto& context, auto& instance) {
    return stub.GetInstance(&context, request, &instance);
  });
}

int Create(const ChangeOptions& options) {
  absl::StatusOr<v1::Instance> made = MakeInstance(options);
  if (!made.ok()) {
    PrintError(std::string(made.status().message()));
    return kNotAsked;
  }
  v1::CreateInstanceRequest request;
  *request.mutable_instance() = *std::move(made);
  request.mutable_instance()->set_disabled(options.disabled);
  request.mutable_instance()->set_on_engine(options.on_engine);
  request.set_validate_only(options.validate_only);
  return AskForInstance(options.client, [&](Stub& stub, auto& context, auto& instance) {
    return stub.CreateInstance(&context, request, &instance);
  });
}

int SendUpdate(const ChangeOptions& options, v1::UpdateInstanceRequest& request) {
  request.mutable_instance()->set_etag(options.etag);
  request.set_validate_only(options.validate_only);
  return AskForInstance(options.client, [&](Stub& stub, auto& context, auto& instance) {
    return stub.UpdateInstance(&context, request, &instance);
  });
}

int Update(const ChangeOptions& options) {
  absl::StatusOr<v1::Instance> made = MakeInstance(options);
  if (!made.ok()) {
    PrintError(std::string(made.status().message()));
    return kNotAsked;
  }
  v1::UpdateInstanceRequest request;
  for (const auto& [name, value] : made->parameters()) {
    request.mutable_update_mask()->add_paths(absl::StrCat("parameters.", name));
  }
  if (request.update_mask().paths_size() == 0) {
    PrintError("nothing is to be changed: say -p KEY=VALUE or --from-file FILE.json");
    return kNotAsked;
  }
  *request.mutable_instance() = *std::move(made);
  return SendUpdate(options, request);
}

int SetDisabled(const ChangeOptions& options, bool disabled) {
  v1::UpdateInstanceRequest request;
  request.mutable_instance()->set_name(options.name);
  request.mutable_instance()->set_disabled(disabled);
  request.mutable_update_mask()->add_paths("disabled");
  return SendUpdate(options, request);
}

int Delete(const ChangeOptions& options) {
  v1::DeleteInstanceRequest request;
  request.set_name(options.name);
  request.set_etag(options.etag);
  request.set_allow_missing(options.allow_missing);
  return Ask<v1::InstanceService>(options.client, [&](Stub& stub, grpc::ClientContext& context) {
    google::protobuf::Empty empty;
    return stub.DeleteInstance(&context, request, &empty);
  });
}

// Each command has options of its own: CLI11 keeps references to them.
std::shared_ptr<ChangeOptions> AddChange(CLI::App& group, const char* name, const char* what,
                                         const char* example, int& exit_code,
                                         int (*run)(const ChangeOptions&), CLI::App*& command) {
  auto options = std::make_shared<ChangeOptions>();
  command = group.add_subcommand(name, what);
  command->add_option("NAME", options->name, "The instance")->required();
  AddClientOptions(*command, options->client);
  command->footer(absl::StrCat("Example:\n  host_stub instances ", example));
  command->callback([options, run, &exit_code] { exit_code = run(*options); });
  return options;
}

void AddParameterOptions(CLI::App& command, ChangeOptions& options) {
  command
      .add_option("-p,--parameter", options.parameters,
                  "A documented parameter; KEY= unsets it. KEY=@FILE reads the value from a file, "
                  "KEY=@- from standard input: secrets belong there, for other users can read a "
                  "command line while it runs")
      ->type_name("KEY=VALUE")
      ->take_all();
  command.add_option("--from-file", options.from_file, "Parameters as a JSON object")
      ->type_name("FILE.json");
  command.add_flag("--validate-only", options.validate_only, "Check everything, change nothing");
}

void AddEtagOption(CLI::App& command, ChangeOptions& options) {
  command.add_option("--etag", options.etag, "Refuse where somebody else changed it meanwhile")
      ->type_name("ETAG");
}

void AddChangeCommands(CLI::App& group, int& exit_code) {
  CLI::App* command = nullptr;
  AddChange(group, "get", "Show one instance, without its secrets", "get webhook", exit_code, &Get,
            command);
  auto options = AddChange(group, "create", "Make an instance and start it",
                           "create webhook -p longRunningPort=8000 -p username=user "
                           "-p password=@secret.txt",
                           exit_code, &Create, command);
  AddParameterOptions(*command, *options);
  command->add_flag("--disabled", options->disabled, "Do not start it");
  command->add_flag("--engine", options->on_engine, "It runs on an engine");
  options = AddChange(group, "update", "Change parameters without dropping a request",
                      "update webhook -p password=@new-secret.txt", exit_code, &Update, command);
  AddParameterOptions(*command, *options);
  AddEtagOption(*command, *options);
  options = AddChange(
      group, "enable", "Let it serve", "enable webhook", exit_code,
      [](const ChangeOptions& given) { return SetDisabled(given, false); }, command);
  AddEtagOption(*command, *options);
  options = AddChange(
      group, "disable", "Drain it and keep it", "disable webhook", exit_code,
      [](const ChangeOptions& given) { return SetDisabled(given, true); }, command);
  AddEtagOption(*command, *options);
  options = AddChange(group, "delete", "Drain it and remove it; its incidents stay",
                      "delete webhook", exit_code, &Delete, command);
  AddEtagOption(*command, *options);
  command->add_flag("--allow-missing", options->allow_missing, "Done also where there is none");
}

}  // namespace

void AddInstancesCommand(CLI::App& app, int& exit_code) {
  CLI::App* group =
      app.add_subcommand("instances", "Look at the instances, make them, change them");
  group->require_subcommand(1);
  group->footer("Example:\n  host_stub instances list");
  auto options = std::make_shared<ClientOptions>();
  CLI::App* list = group->add_subcommand("list", "Show all instances, without their secrets");
  AddClientOptions(*list, *options);
  list->footer("Example:\n  host_stub instances list --json");
  list->callback([options, &exit_code] { exit_code = List(*options); });
  AddChangeCommands(*group, exit_code);
}

}  // namespace host_stub
