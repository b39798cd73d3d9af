#include "host_stub/service/instance_messages.h"

#include <google/protobuf/util/time_util.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/service/grpc_server_context.h"
#include "plugin/base/characters.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;
using ::google::protobuf::util::TimeUtil;

constexpr size_t kRequestIdBytes = 64;
constexpr base::CharacterSet kUuidCharacters =
    base::CharacterSet::Of([](int c) { return base::IsAlphanumeric(c) || c == '-'; });

v1::InstanceState ToState(HealthState state) {
  switch (state) {
    case HealthState::kHealthy:
      return v1::INSTANCE_STATE_HEALTHY;
    case HealthState::kDegraded:
      return v1::INSTANCE_STATE_DEGRADED;
    case HealthState::kUnhealthy:
      return v1::INSTANCE_STATE_UNHEALTHY;
  }
  return v1::INSTANCE_STATE_UNSPECIFIED;
}

void SetTime(absl::Time time, google::protobuf::Timestamp& message) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  message.set_seconds(seconds);
  message.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

bool IsKnown(absl::Time time) { return time > absl::UnixEpoch() && time < absl::InfiniteFuture(); }

void FillHealth(const InstanceHealth& health, v1::InstanceHealth& message) {
  message.set_state(ToState(health.state));
  message.set_message(health.message);
  if (IsKnown(health.since)) SetTime(health.since, *message.mutable_since());
  message.set_last_error(health.last_fault);
  if (IsKnown(health.last_fault_time)) {
    SetTime(health.last_fault_time, *message.mutable_last_error_time());
  }
}

void FillCounts(const InstanceCounts& counts, v1::InstanceHealth& message) {
  message.set_request_count(counts.calls);
  message.set_in_flight_count(counts.calls_in_flight);
  message.set_abandoned_count(counts.abandoned);
  message.set_incident_count(counts.incidents_created);
  message.set_hidden_incident_count(counts.incidents_hidden);
  message.set_forgotten_key_count(counts.keys_forgotten_early);
  message.set_succeeded_count(counts.answers.succeeded);
  message.set_refused_count(counts.answers.refused);
  message.set_failed_count(counts.answers.failed);
  message.mutable_reason_counts()->insert(counts.reasons.begin(), counts.reasons.end());
}

absl::Status SetPasswords(const v1::Instance& instance, InstanceSettings& settings) {
  std::vector<AdditionalPassword> passwords;
  for (int i = 0; i < instance.additional_passwords_size(); ++i) {
    const v1::AdditionalPassword& one = instance.additional_passwords(i);
    if (one.password().empty()) {
      return FieldFault(absl::StrCat("additional_passwords[", i, "].password"),
                        "must not be empty");
    }
    AdditionalPassword password{one.password()};
    if (one.has_expire_time()) {
      const google::protobuf::Timestamp& end = one.expire_time();
      if (end.seconds() < TimeUtil::kTimestampMinSeconds ||
          end.seconds() > TimeUtil::kTimestampMaxSeconds || end.nanos() < 0 ||
          end.nanos() > 999'999'999) {
        return FieldFault(absl::StrCat("additional_passwords[", i, "].expire_time"),
                          "must be of the years 0001 to 9999, with 0 to 999999999 nanoseconds");
      }
      password.ends = absl::FromUnixSeconds(end.seconds()) + absl::Nanoseconds(end.nanos());
    }
    passwords.push_back(std::move(password));
  }
  settings.parameters["passwords"] = EncodePasswords(passwords);
  return absl::OkStatus();
}

// Replaces all parameters by the message's. Secrets that the message leaves out stay.
void ReplaceParameters(const v1::Instance& instance, InstanceSettings& settings) {
  std::map<std::string, std::string> parameters(instance.parameters().begin(),
                                                instance.parameters().end());
  for (const std::string& secret : ToListed(settings).secrets_set) {
    parameters.try_emplace(secret, settings.parameters[secret]);
  }
  settings.parameters = std::move(parameters);
}

absl::Status ApplyPath(const std::string& path, const v1::Instance& instance,
                       InstanceSettings& settings) {
  absl::string_view parameter = path;
  if (absl::ConsumePrefix(&parameter, "parameters.")) {
    const auto given = instance.parameters().find(std::string(parameter));
    // A parameter that the message does not set is removed. Whether it exists is checked later.
    settings.parameters[std::string(parameter)] =
        given == instance.parameters().end() ? "" : given->second;
    return absl::OkStatus();
  }
  if (path == "additional_passwords") return SetPasswords(instance, settings);
  if (path == "parameters") {
    ReplaceParameters(instance, settings);
  } else if (path == "disabled") {
    settings.disabled = instance.disabled();
  } else if (path == "on_engine") {
    settings.on_engine = instance.on_engine();
  } else {
    return FieldFault("update_mask",
                      absl::StrCat("\"", path,
                                   "\" cannot be changed; known are parameters, "
                                   "parameters.NAME, additional_passwords, disabled, on_engine"));
  }
  return absl::OkStatus();
}

constexpr char kExample[] =
    R"({"name":"incident created via generic webhook","rawJson":{"some_field":"some_value"}})";

std::string ParameterOf(const ListedInstance& listed, absl::string_view wanted) {
  for (const auto& [name, value] : listed.parameters) {
    if (name == wanted) return value;
  }
  return "";
}

// The host in a URL, without a port: "ext-xsoar.mycompany.com".
std::string HostOfUrl(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != absl::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('/'));
  if (absl::StartsWith(url, "[")) return std::string(url.substr(0, url.find(']') + 1));
  return std::string(url.substr(0, url.find(':')));
}

// Any text as one argument for sh and compatible shells.
std::string QuoteForPosix(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// As in the documents' examples, with placeholders for secrets.
std::string Curl(const std::string& url, const InstanceDescription& description,
                 const ListedInstance& listed, std::string (*quote)(absl::string_view)) {
  const std::string username = ParameterOf(listed, "username");
  std::string credentials;
  std::string query;
  absl::string_view name = username;
  if (absl::ConsumePrefix(&name, "_header:")) {
    credentials = absl::StrCat(" -H ", quote(absl::StrCat(name, ": <password>")));
  } else if (absl::ConsumePrefix(&name, "_query:")) {
    query = absl::StrCat("?", name, "=<password>");
  } else if (!username.empty()) {
    credentials = absl::StrCat(" -u ", quote(absl::StrCat(username, ":<password>")));
  }
  if (!description.token_header.empty()) {
    absl::StrAppend(
        &credentials, " -H ",
        quote(absl::StrCat(description.token_header, ": ", description.token_prefix, "<token>")));
  } else if (!description.token_parameter.empty()) {
    absl::StrAppend(&query, query.empty() ? "?" : "&", description.token_parameter, "=<token>");
  }
  const std::string source = ParameterOf(listed, "source");
  const bool is_documented = source.empty() || source == "generic";
  return absl::StrCat("curl -X POST ", query.empty() ? url : quote(absl::StrCat(url, query)),
                      credentials, " -H ", quote("Content-Type: application/json"),
                      is_documented ? " -d " : " --data-binary ",
                      quote(is_documented ? kExample : "@body.json"));
}

}  // namespace

std::string QuoteForWindows(absl::string_view text) {
  std::string quoted = "\"";
  size_t backslashes = 0;
  for (const char c : text) {
    // A backslash has a meaning only before a quote.
    if (c == '"') quoted.append(backslashes + 1, '\\');
    backslashes = c == '\\' ? backslashes + 1 : 0;
    quoted += c;
  }
  quoted.append(backslashes, '\\') += '"';
  // cmd.exe sees each quote as the end of a quoted part, also after a backslash, so that an & of
  // the text would begin another command. With a caret before each character that means something
  // to it, it sees no quotes at all; %NAME^% is no variable.
  std::string line;
  for (const char c : quoted) {
    if (absl::StrContains("()%!^\"<>&|", c)) line += '^';
    line += c;
  }
  return line;
}

void FillAddress(const InstanceDescription& description, const ListedInstance& listed,
                 long_running_integration::v1::WebhookAddress& address) {
  address.set_url(description.webhook_url);
  address.set_listen_url(description.listen_url);
  address.set_path(absl::StrCat(description.path_prefix, listed.name));
  if (description.external_key_needed) address.set_external_key(ExternalKey(listed.name));
  address.set_external(!description.external_key_needed || listed.external_key_set);
  // "For Cortex XSOAR 8 On-prem, you need to add the ext- FQDN DNS record". The tenants of the
  // other products have theirs.
  const std::string host = HostOfUrl(description.webhook_url);
  if (listed.product == "XSOAR_8_ON_PREM" && absl::StartsWith(host, "ext-")) {
    address.set_dns_record(host);
  }
  std::string url = description.webhook_url;
  if (url.empty()) url = description.listen_url;
  if (url.empty() && !listed.front_url.empty()) {
    url = absl::StrCat(listed.front_url, address.path());
  }
  if (url.empty()) return;
  address.set_is_signed(description.is_signed);
  if (description.is_signed) return;
  address.set_curl_posix(Curl(url, description, listed, &QuoteForPosix));
  address.set_curl_windows(Curl(url, description, listed, &QuoteForWindows));
}

void FillInstance(const ListedInstance& listed, bool draining, v1::Instance& message) {
  message.set_name(listed.name);
  message.set_uid(listed.uid);
  message.set_etag(listed.etag);
  message.set_origin(listed.in_file ? v1::INSTANCE_ORIGIN_FILE : v1::INSTANCE_ORIGIN_STORE);
  message.set_disabled(listed.disabled);
  message.set_on_engine(listed.on_engine);
  for (const auto& [name, value] : listed.parameters) {
    (*message.mutable_parameters())[name] = value;
  }
  message.mutable_secrets_set()->Add(listed.secrets_set.begin(), listed.secrets_set.end());
  for (const absl::Time end : listed.password_ends) {
    v1::AdditionalPassword* password = message.add_additional_passwords();
    if (end < absl::InfiniteFuture()) SetTime(end, *password->mutable_expire_time());
  }
  if (!listed.in_file) {
    SetTime(listed.created, *message.mutable_create_time());
    SetTime(listed.changed, *message.mutable_update_time());
  }
  v1::InstanceHealth& health = *message.mutable_health();
  health.set_state(listed.disabled ? v1::INSTANCE_STATE_DISABLED : v1::INSTANCE_STATE_UNHEALTHY);
  if (const std::shared_ptr<HostedInstance>& instance = listed.instance; instance != nullptr) {
    FillHealth(instance->health(), health);
    const absl::StatusOr<InstanceDescription> description = instance->Describe();
    FillCounts(instance->counts(), health);
    if (description.ok()) {
      FillAddress(*description, listed, *message.mutable_address());
      message.set_record_noun(description->record_noun);
      message.mutable_health()->mutable_rule_counts()->Add(description->rule_counts.begin(),
                                                           description->rule_counts.end());
      message.mutable_warnings()->Add(description->warnings.begin(), description->warnings.end());
    }
  }
  if (listed.start_error.has_value()) FillHealth(*listed.start_error, health);
  if (draining && !listed.disabled) health.set_state(v1::INSTANCE_STATE_DRAINING);
}

void FillHosts(std::span<const InstanceOnHost> hosts, v1::Instance& message) {
  for (const InstanceOnHost& one : hosts) {
    if (one.uid != message.uid()) continue;
    v1::InstanceOnHost& host = *message.add_hosts();
    host.set_host(one.host);
    v1::InstanceState state = v1::INSTANCE_STATE_UNSPECIFIED;
    v1::InstanceState_Parse(absl::StrCat("INSTANCE_STATE_", absl::AsciiStrToUpper(one.state)),
                            &state);
    host.set_state(state);
    host.set_message(one.message);
    // The etag ends with the generation. That of a file's instance is each host's own.
    host.set_outdated(message.origin() == v1::INSTANCE_ORIGIN_STORE &&
                      !absl::EndsWith(message.etag(), absl::StrCat("-", one.generation)));
    SetTime(one.seen, *host.mutable_seen_time());
    host.set_gone(one.gone);
    host.set_request_count(one.requests);
    host.set_incident_count(one.incidents);
  }
}

absl::StatusOr<InstanceSettings> ToSettings(const v1::CreateInstanceRequest& request) {
  if (!request.has_instance()) return FieldFault("instance", "is missing");
  const std::string& id = request.request_id();
  if (id.size() > kRequestIdBytes || !kUuidCharacters.HasAll(id)) {
    return FieldFault("request_id", "must be a UUID");
  }
  const v1::Instance& instance = request.instance();
  InstanceSettings settings;
  settings.name = instance.name();
  settings.parameters.insert(instance.parameters().begin(), instance.parameters().end());
  settings.disabled = instance.disabled();
  settings.on_engine = instance.on_engine();
  settings.request_id = id;
  if (instance.additional_passwords_size() > 0) {
    if (absl::Status status = SetPasswords(instance, settings); !status.ok()) return status;
  }
  return settings;
}

absl::Status ApplyUpdate(const v1::UpdateInstanceRequest& request, InstanceSettings& settings) {
  const v1::Instance& instance = request.instance();
  for (const std::string& path : request.update_mask().paths()) {
    if (absl::Status status = ApplyPath(path, instance, settings); !status.ok()) return status;
  }
  if (request.update_mask().paths_size() > 0) return absl::OkStatus();
  for (const auto& [name, value] : instance.parameters()) settings.parameters[name] = value;
  if (instance.disabled()) settings.disabled = true;
  if (instance.on_engine()) settings.on_engine = true;
  if (instance.additional_passwords_size() == 0) return absl::OkStatus();
  return SetPasswords(instance, settings);
}

}  // namespace host_stub
