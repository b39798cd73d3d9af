#include <google/protobuf/util/time_util.h>

#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/certificate_text.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"
#include "host_stub/config/document_reader.h"

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

void PrintWarnings(const google::protobuf::RepeatedPtrField<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    std::fprintf(stderr, "warning: %s\n", EscapeForTerminal(warning, false).c_str());
  }
}

std::string InstanceJson(const v1::Instance& instance) {
  // The message holds an unordered map. It is sorted, so that outputs can be compared.
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

// One instance, for a person.
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

template <typename Request>
int CallAndPrint(const InstanceOptions& options, const Request& request) {
  v1::Instance instance;
  const int code = Client(options.client).Call(request, instance);
  if (code == kDone) PrintOne(instance, options.client.json);
  return code;
}

int SendUpdate(const InstanceOptions& options, v1::UpdateInstanceRequest& request) {
  request.mutable_instance()->set_etag(options.etag);
  request.set_validate_only(options.validate_only);
  return CallAndPrint(options, request);
}

int SetDisabled(const InstanceOptions& options, bool disabled) {
  v1::UpdateInstanceRequest request;
  request.mutable_instance()->set_name(options.name);
  request.mutable_instance()->set_disabled(disabled);
  request.mutable_update_mask()->add_paths("disabled");
  return SendUpdate(options, request);
}

void Print(const v1::TestModuleResponse& response, bool json) {
  if (json) {
    std::vector<std::string> warnings;
    for (const std::string& warning : response.warnings()) warnings.push_back(JsonString(warning));
    std::puts(JsonObject({{"ok", response.ok() ? "true" : "false"},
                          {"message", JsonString(response.message())},
                          {"warnings", JsonArray(warnings)}})
                  .c_str());
    return;
  }
  std::puts(EscapeForTerminal(response.message(), false).c_str());
  PrintWarnings(response.warnings());
}

void Line(const char* label, const std::string& text) {
  if (!text.empty()) std::printf("%-12s%s\n", label, EscapeForTerminal(text, false).c_str());
}

void Print(const v1::WebhookAddress& address, bool json) {
  if (json) {
    std::puts(JsonObject({{"webhookUrl", JsonString(address.url())},
                          {"listenUrl", JsonString(address.listen_url())},
                          {"path", JsonString(address.path())},
                          {"externalKey", JsonString(address.external_key())},
                          {"external", address.external() ? "true" : "false"},
                          {"dnsRecord", JsonString(address.dns_record())},
                          {"curlPosix", JsonString(address.curl_posix())},
                          {"curlWindows", JsonString(address.curl_windows())}})
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
  // The lines will be pasted into a shell, so only what would control the terminal is escaped.
  if (!address.curl_posix().empty()) {
    std::printf("\nmacOS, Linux:\n  %s\n", EscapeForTerminal(address.curl_posix(), false).c_str());
    std::printf("\nWindows:\n  %s\n", EscapeForTerminal(address.curl_windows(), false).c_str());
  }
}

}  // namespace

int ListInstances(const InstanceOptions& options) {
  Client client(options.client);
  std::vector<v1::Instance> instances;
  v1::ListInstancesRequest request;
  do {
    v1::ListInstancesResponse response;
    if (const int code = client.Call(request, response); code != kDone) return code;
    instances.insert(instances.end(), response.instances().begin(), response.instances().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  Print(instances, options.client.json);
  return kDone;
}

int GetInstance(const InstanceOptions& options) {
  v1::GetInstanceRequest request;
  request.set_name(options.name);
  return CallAndPrint(options, request);
}

int CreateInstance(const InstanceOptions& options) {
  absl::StatusOr<v1::Instance> made = MakeInstance(options);
  if (!made.ok()) {
    PrintError(made.status().message());
    return kNotAsked;
  }
  v1::CreateInstanceRequest request;
  *request.mutable_instance() = *std::move(made);
  request.mutable_instance()->set_disabled(options.disabled);
  request.mutable_instance()->set_on_engine(options.on_engine);
  request.set_validate_only(options.validate_only);
  return CallAndPrint(options, request);
}

int UpdateInstance(const InstanceOptions& options) {
  absl::StatusOr<v1::Instance> made = MakeInstance(options);
  if (!made.ok()) {
    PrintError(made.status().message());
    return kNotAsked;
  }
  v1::UpdateInstanceRequest request;
  for (const auto& [name, value] : made->parameters()) {
    request.mutable_update_mask()->add_paths(absl::StrCat("parameters.", name));
  }
  if (request.update_mask().paths_size() == 0) {
    PrintError("there is nothing to change; give -p KEY=VALUE or --from-file FILE.json");
    return kNotAsked;
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
  return Client(options.client).Call(request, nothing);
}

int TestInstance(const InstanceOptions& options) {
  v1::TestModuleRequest request;
  request.set_instance(options.name);
  v1::TestModuleResponse response;
  const int code = Client(options.client).Call(request, response);
  if (code != kDone) return code;
  Print(response, options.client.json);
  return response.ok() ? kDone : kRefused;
}

int ShowUrl(const InstanceOptions& options) {
  v1::GetInstanceRequest request;
  request.set_name(options.name);
  v1::Instance instance;
  const int code = Client(options.client).Call(request, instance);
  if (code == kDone) Print(instance.address(), options.client.json);
  return code;
}

}  // namespace host_stub
