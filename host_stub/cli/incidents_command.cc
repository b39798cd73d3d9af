#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/text.h"
#include "long_running_integration/v1/incident.grpc.pb.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using Stub = v1::IncidentService::Stub;

struct IncidentsOptions {
  ClientOptions client;
  int limit = 20;
  std::string id;
  std::string instance;
  std::string after;
};

// The details stay text: a program that reads the document keeps every literal as it was sent.
std::string IncidentJson(const v1::Incident& incident, bool with_details) {
  std::vector<std::string> warnings;
  for (const std::string& warning : incident.warnings()) warnings.push_back(JsonString(warning));
  std::vector<std::pair<std::string, std::string>> members = {
      {"id", JsonString(incident.id())},
      {"name", JsonString(incident.name())},
      {"type", JsonString(incident.type())},
      {"occurred", JsonString(incident.occurred())},
      {"created", JsonString(incident.created())},
      {"sourceBrand", JsonString(incident.source_brand())},
      {"sourceInstance", JsonString(incident.instance())},
      {"warnings", JsonArray(warnings)}};
  if (with_details) members.emplace_back("details", JsonString(incident.raw_json()));
  return JsonObject(members);
}

std::vector<std::string> Row(const v1::Incident& incident) {
  return {incident.id(), incident.created(), incident.instance(), incident.type(), incident.name()};
}

void PrintOne(const v1::Incident& incident) {
  std::vector<std::vector<std::string>> rows = {{"id", incident.id()},
                                                {"name", incident.name()},
                                                {"type", incident.type()},
                                                {"occurred", incident.occurred()},
                                                {"created", incident.created()},
                                                {"source brand", incident.source_brand()},
                                                {"source instance", incident.instance()}};
  for (const std::string& warning : incident.warnings()) rows.push_back({"warning", warning});
  std::fputs(FormatTable(rows).c_str(), stdout);
  std::printf("\n%s\n", EscapeForTerminal(incident.raw_json(), true).c_str());
}

int List(const Connection& connection, Stub& stub, const IncidentsOptions& options) {
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {{"ID", "CREATED", "INSTANCE", "TYPE", "NAME"}};
  v1::ListIncidentsRequest request;
  request.set_instance(options.instance);
  int wanted = options.limit;
  do {
    grpc::ClientContext context;
    connection.Prepare(context);
    request.set_page_size(std::min(wanted, 1'000));
    v1::ListIncidentsResponse response;
    const grpc::Status status = stub.ListIncidents(&context, request, &response);
    if (!status.ok()) return connection.Report(status);
    for (const v1::Incident& incident : response.incidents()) {
      documents.push_back(IncidentJson(incident, false));
      rows.push_back(Row(incident));
    }
    wanted -= response.incidents_size();
    request.set_page_token(response.next_page_token());
  } while (wanted > 0 && !request.page_token().empty());
  if (options.client.json) {
    std::puts(JsonArray(documents).c_str());
  } else if (documents.empty()) {
    std::puts("no incidents");
  } else {
    std::fputs(FormatTable(rows).c_str(), stdout);
  }
  return kDone;
}

int Get(const Connection& connection, Stub& stub, const IncidentsOptions& options) {
  grpc::ClientContext context;
  connection.Prepare(context);
  v1::GetIncidentRequest request;
  request.set_id(options.id);
  v1::Incident incident;
  const grpc::Status status = stub.GetIncident(&context, request, &incident);
  if (!status.ok()) return connection.Report(status);
  if (options.client.json) {
    std::puts(IncidentJson(incident, true).c_str());
  } else {
    PrintOne(incident);
  }
  return kDone;
}

int Follow(const Connection& connection, Stub& stub, const IncidentsOptions& options) {
  grpc::ClientContext context;  // without a deadline: until the reader has enough
  v1::FollowIncidentsRequest request;
  request.set_after_id(options.after);
  request.set_instance(options.instance);
  request.set_view(options.client.json ? v1::INCIDENT_VIEW_FULL : v1::INCIDENT_VIEW_BASIC);
  const auto reader = stub.FollowIncidents(&context, request);
  v1::FollowIncidentsResponse response;
  while (reader->Read(&response)) {
    const v1::Incident& incident = response.incident();
    const std::string line =
        options.client.json ? IncidentJson(incident, true) + "\n" : FormatTable({Row(incident)});
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);
  }
  return connection.Report(reader->Finish());
}

using Action = int (*)(const Connection&, Stub&, const IncidentsOptions&);

int Run(Action action, const IncidentsOptions& options) {
  const absl::StatusOr<Connection> connection = Connection::Open(options.client);
  if (!connection.ok()) {
    PrintError(std::string(connection.status().message()));
    return kNotAsked;
  }
  const auto stub = v1::IncidentService::NewStub(connection->channel());
  return action(*connection, *stub, options);
}

}  // namespace

void AddIncidentsCommand(CLI::App& app, int& exit_code) {
  CLI::App* group = app.add_subcommand("incidents", "Read the stored incidents");
  group->require_subcommand(1);
  group->footer("Example:\n  host_stub incidents list --limit 5");
  auto options = std::make_shared<IncidentsOptions>();

  CLI::App* list = group->add_subcommand("list", "Show the newest incidents");
  list->add_option("--limit", options->limit, "At most so many")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  list->add_option("--instance", options->instance, "Only those of this instance")
      ->type_name("NAME");
  AddClientOptions(*list, options->client);
  list->footer("Example:\n  host_stub incidents list --limit 5");
  list->callback([options, &exit_code] { exit_code = Run(List, *options); });

  CLI::App* get = group->add_subcommand("get", "Show one incident with its details");
  get->add_option("ID", options->id, "The incident's id")->required();
  AddClientOptions(*get, options->client);
  get->footer("Example:\n  host_stub incidents get 1");
  get->callback([options, &exit_code] { exit_code = Run(Get, *options); });

  CLI::App* follow = group->add_subcommand("follow", "Show incidents as they are created");
  follow->add_option("--after", options->after, "Begin after the incident of this id; 0: all")
      ->type_name("ID");
  follow->add_option("--instance", options->instance, "Only those of this instance")
      ->type_name("NAME");
  AddClientOptions(*follow, options->client);
  follow->footer(
      "Ends with Ctrl-C. With --json one document a line. Example:\n"
      "  host_stub incidents follow --json");
  follow->callback([options, &exit_code] { exit_code = Run(Follow, *options); });
}

}  // namespace host_stub
