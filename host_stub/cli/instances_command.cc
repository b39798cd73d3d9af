#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"
#include "host_stub/config/document_reader.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using ::google::protobuf::util::TimeUtil;

std::string StateName(v1::InstanceState state) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::InstanceState_Name(state), "INSTANCE_STATE_"));
}

std::string OriginName(v1::InstanceOrigin origin) {
  return absl::AsciiStrToLower(
      absl::StripPrefix(v1::InstanceOrigin_Name(origin), "INSTANCE_ORIGIN_"));
}

void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    std::fprintf(stderr, "warning: %s\n", EscapeForTerminal(warning, false).c_str());
  }
}

bool Serves(const v1::InstanceOnHost& host) {
  return !host.gone() && !host.outdated() &&
         (host.state() == v1::INSTANCE_STATE_HEALTHY ||
          host.state() == v1::INSTANCE_STATE_DEGRADED);
}

std::string OnHost(const v1::InstanceOnHost& host) {
  return absl::StrCat(host.gone() ? "gone, " : "", host.outdated() ? "has an earlier one, " : "",
                      StateName(host.state()), host.message().empty() ? "" : ": ", host.message());
}

std::string HostsJson(const v1::Instance& instance) {
  std::vector<std::string> hosts;
  for (const v1::InstanceOnHost& host : instance.hosts()) {
    hosts.push_back(JsonObject({{"host", JsonString(host.host())},
                                {"state", JsonString(StateName(host.state()))},
                                {"message", JsonString(host.message())},
                                {"outdated", host.outdated() ? "true" : "false"},
                                {"gone", host.gone() ? "true" : "false"},
                                {"requests", absl::StrCat(host.request_count())},
                                {"incidents", absl::StrCat(host.incident_count())}}));
  }
  return absl::StrCat("[", absl::StrJoin(hosts, ","), "]");
}

// (reason, how often it was told), in alphabetical order.
std::vector<std::pair<std::string, std::string>> Reasons(const v1::InstanceHealth& health) {
  std::map<std::string, std::string> sorted;
  for (const auto& [reason, count] : health.reason_counts()) sorted[reason] = absl::StrCat(count);
  return {sorted.begin(), sorted.end()};
}

std::string InstanceJson(const v1::Instance& instance) {
  const v1::InstanceHealth& health = instance.health();
  const v1::WebhookAddress& address = instance.address();
  // The message holds an unordered map. It is sorted, so that outputs can be compared.
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const auto& [name, value] : std::map<std::string, std::string>(
           instance.parameters().begin(), instance.parameters().end())) {
    parameters.emplace_back(name, JsonString(value));
  }
  return JsonObject(
      {{"name", JsonString(instance.name())},
       {"uid", JsonString(instance.uid())},
       {"origin", JsonString(OriginName(instance.origin()))},
       {"state", JsonString(StateName(health.state()))},
       {"message", JsonString(health.message())},
       {"path", JsonString(address.path())},
       {"webhookUrl", JsonString(address.url())},
       {"listenUrl", JsonString(address.listen_url())},
       {"externalKey", JsonString(address.external_key())},
       {"external", address.external() ? "true" : "false"},
       {"recordNoun", JsonString(instance.record_noun())},
       {"lastError", JsonString(health.last_error())},
       {"since", health.has_since() ? JsonString(TimeUtil::ToString(health.since())) : "null"},
       {"requests", absl::StrCat(health.request_count())},
       {"succeeded", absl::StrCat(health.succeeded_count())},
       {"refused", absl::StrCat(health.refused_count())},
       {"failed", absl::StrCat(health.failed_count())},
       {"reasons", JsonObject(Reasons(health))},
       {"incidents", absl::StrCat(health.incident_count())},
       {"hidden", absl::StrCat(health.hidden_incident_count())},
       {"forgottenKeys", absl::StrCat(health.forgotten_key_count())},
       {"ruleCounts", absl::StrCat("[", absl::StrJoin(health.rule_counts(), ","), "]")},
       {"etag", JsonString(instance.etag())},
       {"parameters", JsonObject(parameters)},
       {"secretsSet", JsonStrings(instance.secrets_set())},
       {"hosts", HostsJson(instance)},
       {"warnings", JsonStrings(instance.warnings())}});
}

// One instance, for a person.
void PrintOne(const v1::Instance& instance, bool json) {
  if (json) {
    std::puts(InstanceJson(instance).c_str());
    return;
  }
  const v1::InstanceHealth& health = instance.health();
  std::vector<std::vector<std::string>> rows = {
      {"NAME", instance.name()},
      {"STATE", StateName(health.state())},
      {"FROM", OriginName(instance.origin())},
      {"URL", instance.address().url()},
      {"LISTENS", instance.address().listen_url()},
      {"PATH", instance.address().path()},
      {"REQUESTS",
       absl::StrCat(health.request_count(), " (2xx ", health.succeeded_count(), ", 4xx ",
                    health.refused_count(), ", 5xx ", health.failed_count(), ")")},
      {"REFUSALS", absl::StrJoin(Reasons(health), ", ", absl::PairFormatter(" "))},
      {"INCIDENTS", absl::StrCat(health.incident_count())},
      {"HIDDEN", absl::StrCat(health.hidden_incident_count())},
      {"FORGOTTEN KEYS", absl::StrCat(health.forgotten_key_count())},
      {"RULES DECIDED", absl::StrJoin(health.rule_counts(), ", ")},
      {"MESSAGE", health.message()},
      {"LAST ERROR", health.last_error()}};
  for (const auto& [name, value] : std::map<std::string, std::string>(
           instance.parameters().begin(), instance.parameters().end())) {
    const std::string certificates = DescribeCertificates(value);
    rows.push_back({name, certificates.empty() ? value : certificates});
  }
  for (const std::string& name : instance.secrets_set()) rows.push_back({name, "(set)"});
  for (const v1::InstanceOnHost& host : instance.hosts()) {
    rows.push_back({host.host(), OnHost(host)});
  }
  std::erase_if(rows, [](const auto& row) { return row.back().empty(); });
  std::fputs(FormatTable(rows).c_str(), stdout);
  PrintWarnings(instance.warnings());
}

// KEY=VALUE, or KEY=@FILE for a value that should not be on a command line.
absl::Status AddParameter(const std::string& text, v1::Instance& instance) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    // The text is not shown: it may be a secret without its name.
    return absl::InvalidArgumentError("-p must be KEY=VALUE, KEY=@FILE or KEY=@-");
  }
  const std::string name = text.substr(0, equals);
  absl::StatusOr<std::string> value =
      ReadArgument(absl::StrCat("-p ", name), text.substr(equals + 1), name == "key");
  if (value.ok()) (*instance.mutable_parameters())[name] = *std::move(value);
  return value.status();
}

// A JSON object such as "configuration" of an instance in the host's configuration file.
absl::Status AddParametersFrom(const std::string& path, v1::Instance& instance) {
  const absl::StatusOr<std::string> text = ReadFileArgument("--from-file", path);
  if (!text.ok()) return text.status();
  DocumentReader reader(absl::StrCat("--from-file: ", path));
  if (absl::Status status = reader.Open(*text); !status.ok()) return status;
  return reader.EachMember("", {}, [&](absl::string_view name, const std::string&) {
    // Numbers, booleans and lists are passed on as their JSON text.
    (*instance.mutable_parameters())[std::string(name)] = reader.Text();
    return absl::OkStatus();
  });
}

absl::StatusOr<v1::Instance> MakeInstance(const InstanceOptions& options) {
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

int CallAndPrint(const InstanceOptions& options, const google::protobuf::Message& request,
                 void (*print)(const v1::Instance&, bool json)) {
  v1::Instance instance;
  const int code = Client(options).Call(request, instance);
  if (code == kDone) print(instance, options.json);
  return code;
}

int GetAndPrint(const InstanceOptions& options, void (*print)(const v1::Instance&, bool json)) {
  v1::GetInstanceRequest request;
  request.set_name(options.name);
  return CallAndPrint(options, request, print);
}

int SendUpdate(const InstanceOptions& options, v1::UpdateInstanceRequest& request) {
  request.mutable_instance()->set_etag(options.etag);
  request.set_validate_only(options.validate_only);
  return CallAndPrint(options, request, &PrintOne);
}

int SetDisabled(const InstanceOptions& options, bool disabled) {
  v1::UpdateInstanceRequest request;
  request.mutable_instance()->set_name(options.name);
  request.mutable_instance()->set_disabled(disabled);
  request.mutable_update_mask()->add_paths("disabled");
  return SendUpdate(options, request);
}

void Line(const char* label, const std::string& text) {
  if (!text.empty()) std::printf("%-12s%s\n", label, EscapeForTerminal(text, false).c_str());
}

void PrintAddress(const v1::Instance& instance, bool json) {
  const v1::WebhookAddress& address = instance.address();
  if (json) {
    std::puts(JsonObject({{"webhookUrl", JsonString(address.url())},
                          {"listenUrl", JsonString(address.listen_url())},
                          {"path", JsonString(address.path())},
                          {"externalKey", JsonString(address.external_key())},
                          {"external", address.external() ? "true" : "false"},
                          {"dnsRecord", JsonString(address.dns_record())},
                          {"curlPosix", JsonString(address.curl_posix())},
                          {"curlWindows", JsonString(address.curl_windows())},
                          {"isSigned", address.is_signed() ? "true" : "false"}})
                  .c_str());
    return;
  }
  Line("webhook:", address.url());
  Line("listens:", address.listen_url());
  Line("path:", address.path());
  Line("DNS record:", address.dns_record());
  if (!address.external()) {
    Line("not open:", "set " + address.external_key() + " to \"true\" in serverConfiguration");
  }
  if (address.is_signed()) {
    std::printf(
        "\nThe sender signs its requests, so none can be written by hand. To see what would "
        "become\nof one that it has sent:\n  host_stub try %s -d @body.json -H @headers.txt\n",
        instance.name().c_str());
  }
  // The lines will be pasted into a shell, so only what would control the terminal is escaped.
  if (!address.curl_posix().empty()) {
    std::printf("\nmacOS, Linux:\n  %s\n", EscapeForTerminal(address.curl_posix(), false).c_str());
    std::printf("\nWindows:\n  %s\n", EscapeForTerminal(address.curl_windows(), false).c_str());
  }
}

}  // namespace

int ListInstances(const InstanceOptions& options) {
  Client client(options);
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STATE", "FROM", "REQUESTS", "INCIDENTS", "URL"}};
  std::vector<std::string> elsewhere;
  v1::ListInstancesRequest request;
  do {
    v1::ListInstancesResponse response;
    if (const int code = client.Call(request, response); code != kDone) return code;
    for (const v1::Instance& instance : response.instances()) {
      const v1::InstanceHealth& health = instance.health();
      const v1::WebhookAddress& address = instance.address();
      documents.push_back(InstanceJson(instance));
      rows.push_back({instance.name(), StateName(health.state()), OriginName(instance.origin()),
                      absl::StrCat(health.request_count()), absl::StrCat(health.incident_count()),
                      address.url().empty() ? address.path() : address.url()});
      for (const v1::InstanceOnHost& host : instance.hosts()) {
        if (Serves(host) || host.state() == v1::INSTANCE_STATE_DISABLED) continue;
        elsewhere.push_back(
            absl::StrCat(instance.name(), " is not served by ", host.host(), ": ", OnHost(host)));
      }
      if (instance.hosts_size() == 0) continue;
      if (rows[0].size() == 6) rows[0].insert(rows[0].end() - 1, "HOSTS");
      const auto serving = std::count_if(instance.hosts().begin(), instance.hosts().end(), &Serves);
      rows.back().insert(rows.back().end() - 1,
                         absl::StrCat(serving, " of ", instance.hosts_size()));
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  for (std::vector<std::string>& row : rows) {
    if (row.size() < rows[0].size()) row.insert(row.end() - 1, "");  // not told of yet
  }
  PrintList(options.json, documents, rows, "no instances");
  if (options.json) return kDone;
  for (const std::string& line : elsewhere) {
    std::fprintf(stderr, "%s\n", EscapeForTerminal(line, false).c_str());
  }
  return kDone;
}

int GetInstance(const InstanceOptions& options) { return GetAndPrint(options, &PrintOne); }
int ShowUrl(const InstanceOptions& options) { return GetAndPrint(options, &PrintAddress); }

int CreateInstance(const InstanceOptions& options) {
  absl::StatusOr<v1::Instance> made = MakeInstance(options);
  if (!made.ok()) return Fail(made.status().message(), kNotAsked);
  v1::CreateInstanceRequest request;
  *request.mutable_instance() = *std::move(made);
  request.mutable_instance()->set_disabled(options.disabled);
  request.mutable_instance()->set_on_engine(options.on_engine);
  request.set_validate_only(options.validate_only);
  return CallAndPrint(options, request, &PrintOne);
}

int UpdateInstance(const InstanceOptions& options) {
  absl::StatusOr<v1::Instance> made = MakeInstance(options);
  if (!made.ok()) return Fail(made.status().message(), kNotAsked);
  v1::UpdateInstanceRequest request;
  for (const auto& [name, value] : made->parameters()) {
    request.mutable_update_mask()->add_paths(absl::StrCat("parameters.", name));
  }
  if (request.update_mask().paths_size() == 0) {
    return Fail("there is nothing to change; give -p KEY=VALUE or --from-file FILE.json",
                kNotAsked);
  }
  *request.mutable_instance() = *std::move(made);
  return SendUpdate(options, request);
}

int EnableInstance(const InstanceOptions& options) { return SetDisabled(options, false); }
int DisableInstance(const InstanceOptions& options) { return SetDisabled(options, true); }

int DeleteInstance(const InstanceOptions& options) {
  v1::DeleteInstanceRequest request;
  request.set_name(options.name);
  request.set_etag(options.etag);
  request.set_allow_missing(options.allow_missing);
  google::protobuf::Empty nothing;
  return Client(options).Call(request, nothing);
}

int TestInstance(const InstanceOptions& options) {
  v1::TestModuleRequest request;
  request.set_instance(options.name);
  v1::TestModuleResponse response;
  if (const int code = Client(options).Call(request, response); code != kDone) return code;
  if (options.json) {
    std::puts(JsonObject({{"ok", response.ok() ? "true" : "false"},
                          {"message", JsonString(response.message())},
                          {"warnings", JsonStrings(response.warnings())}})
                  .c_str());
  } else {
    std::puts(EscapeForTerminal(response.message(), false).c_str());
    PrintWarnings(response.warnings());
  }
  return response.ok() ? kDone : kRefused;
}

}  // namespace host_stub
