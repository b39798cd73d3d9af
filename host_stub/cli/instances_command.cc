#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/text.h"
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
                     {"requests", absl::StrCat(instance.health().request_count())},
                     {"incidents", absl::StrCat(instance.health().incident_count())},
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

}  // namespace

void AddInstancesCommand(CLI::App& app, int& exit_code) {
  CLI::App* group = app.add_subcommand("instances", "Look at the instances");
  group->require_subcommand(1);
  group->footer("Example:\n  host_stub instances list");
  auto options = std::make_shared<ClientOptions>();
  CLI::App* list = group->add_subcommand("list", "Show all instances, without their secrets");
  AddClientOptions(*list, *options);
  list->footer("Example:\n  host_stub instances list --json");
  list->callback([options, &exit_code] { exit_code = List(*options); });
}

}  // namespace host_stub
