#include "host_stub/instances/instance_settings.h"

#include <simdjson.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "host_stub/config/nearest_name.h"
#include "plugin/base/characters.h"
#include "plugin/base/json_text.h"
#include "plugin/limits/parameters.h"

namespace host_stub {
namespace {

// The limit of a configured value; certificates are the longest.
constexpr size_t kParameterBytes = 1 << 20;

std::vector<absl::Time> EndsOf(const std::string& passwords) {
  std::vector<absl::Time> ends;
  simdjson::dom::parser parser;
  simdjson::dom::array list;
  if (parser.parse(passwords).get(list) != simdjson::SUCCESS) return ends;
  for (const simdjson::dom::element one : list) {
    std::string_view text;
    absl::Time end = absl::InfiniteFuture();
    if (one["expires"].get(text) == simdjson::SUCCESS) {
      absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &end,
                      nullptr);
    }
    ends.push_back(end);
  }
  return ends;
}

}  // namespace

std::string InstanceSettings::etag() const {
  return absl::StrCat(in_file ? "f" : "s", uid.substr(0, 8), "-", generation);
}

int InstanceSettings::port() const {
  const auto found = parameters.find("longRunningPort");
  int port = 0;
  if (found == parameters.end() || !absl::SimpleAtoi(found->second, &port)) return 0;
  return port;
}

InstanceSettings SettingsOf(const InstanceConfiguration& instance, bool on_engine) {
  InstanceSettings settings;
  settings.name = instance.name;
  settings.uid = absl::StrCat("file-", instance.name);
  settings.in_file = true;
  settings.on_engine = on_engine;
  for (const auto& [name, value] : instance.parameters) {
    if (!value.empty()) settings.parameters[name] = value;
  }
  return settings;
}

absl::StatusOr<InstanceSettings> SettingsOf(const StoredInstance& stored) {
  if (!stored.fault.ok()) return stored.fault;
  InstanceSettings settings{stored};
  simdjson::dom::parser parser;
  simdjson::dom::object parameters;
  if (parser.parse(stored.configuration)["parameters"].get(parameters) != simdjson::SUCCESS) {
    return absl::InternalError("its configuration in the store cannot be read");
  }
  for (const auto& [name, value] : parameters) {
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) settings.parameters[std::string(name)] = text;
  }
  return settings;
}

StoredInstance ToStored(const InstanceSettings& settings) {
  StoredInstance stored{settings, R"({"parameters":{)"};
  for (const auto& [name, value] : settings.parameters) {
    if (stored.configuration.back() != '{') stored.configuration += ',';
    stored.configuration += base::JsonString(name);
    stored.configuration += ':';
    stored.configuration += base::JsonString(value);
  }
  stored.configuration += "}}";
  return stored;
}

InstanceSpec ToSpec(const InstanceSettings& settings, const PlatformConfiguration& platform) {
  InstanceSpec spec;
  spec.uid = settings.uid;
  spec.name = settings.name;
  spec.product = platform.product;
  spec.platform_url = platform.url;
  spec.on_engine = settings.on_engine;
  spec.parameters.assign(settings.parameters.begin(), settings.parameters.end());
  return spec;
}

absl::Status CheckSettings(std::span<const std::string> known, InstanceSettings& settings) {
  if (!base::IsName(settings.name)) {
    return absl::InvalidArgumentError(
        "name: must be 1 to 64 of the characters A-Z a-z 0-9 _ - : it is a part of the webhook "
        "URL");
  }
  std::vector<absl::string_view> names(known.begin(), known.end());
  if (names.empty()) {
    for (const webhook::Parameter& spec : webhook::Parameters()) names.push_back(spec.name);
  }
  for (const auto& [name, value] : settings.parameters) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameters.", name, ": unknown; ", DidYouMean(name, names)));
    }
    if (value.size() > kParameterBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameters.", name, ": longer than ", kParameterBytes, " bytes"));
    }
  }
  std::erase_if(settings.parameters, [](const auto& entry) { return entry.second.empty(); });
  return absl::OkStatus();
}

ListedInstance ToListed(const InstanceSettings& settings) {
  ListedInstance listed{settings, settings.in_file, settings.etag()};
  for (const auto& [name, value] : settings.parameters) {
    const webhook::Parameter* spec = webhook::FindParameter(name);
    // A parameter that is not known here is not shown either.
    if (spec == nullptr || spec->secret) {
      listed.secrets_set.push_back(name);
    } else {
      listed.parameters.emplace_back(name, value);
    }
    if (name == "passwords") listed.password_ends = EndsOf(value);
  }
  return listed;
}

std::string EncodePasswords(std::span<const AdditionalPassword> passwords) {
  if (passwords.empty()) return "";
  std::string json = "[";
  for (const AdditionalPassword& one : passwords) {
    if (json.size() > 1) json += ',';
    json += R"({"password":)";
    json += base::JsonString(one.password);
    if (one.ends != absl::InfiniteFuture()) {
      absl::StrAppend(&json, R"(,"expires":")",
                      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", one.ends, absl::UTCTimeZone()), "\"");
    }
    json += '}';
  }
  return json + "]";
}

}  // namespace host_stub
