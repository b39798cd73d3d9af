#include "host_stub/config/configuration.h"

#include <limits.h>
#include <simdjson.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "host_stub/config/json_fault.h"
#include "host_stub/config/json_reader.h"
#include "host_stub/config/nearest_name.h"
#include "host_stub/config/parameters.h"
#include "host_stub/files/trusted_files.h"

namespace host_stub {
namespace {

// These bound what an operator writes, not what a sender sends; they cannot stand in the file that
// they bound.
constexpr size_t kConfigurationBytes = 4 << 20;
constexpr size_t kParameterFileBytes = 1 << 20;
constexpr size_t kJsonDepth = 64;
constexpr size_t kInstanceNameBytes = 64;

constexpr absl::string_view kFileSuffix = "_file";
constexpr absl::string_view kProducts[] = {"XSOAR_6", "XSOAR_8_CLOUD", "XSOAR_8_ON_PREM", "XSIAM_2",
                                           "XSIAM_3"};

void Wipe(std::string& secret) { explicit_bzero(secret.data(), secret.size()); }

// One reading of one file.
class Builder {
 public:
  Builder(const std::string& file, const std::string& folder) : reader_(file), folder_(folder) {}

  absl::StatusOr<Configuration> Build(simdjson::dom::element document) {
    static constexpr absl::string_view kNames[] = {"platform", "serverConfiguration", "limits",
                                                   "instances"};
    bool has_platform = false;
    absl::Status status =
        reader_.EachMember({document, ""}, kNames, [&](const PlacedMember& member) {
          if (member.name == "serverConfiguration") return ServerConfiguration(member.value);
          if (member.name == "limits") return Limits(member.value);
          if (member.name == "instances") return Instances(member.value);
          has_platform = true;
          return Platform(member.value);
        });
    if (!status.ok()) return status;
    if (!has_platform) return reader_.Fault("platform", "is missing");
    return std::move(configuration_);
  }

 private:
  absl::Status Platform(const PlacedValue& object);
  absl::Status ServerConfiguration(const PlacedValue& object);
  absl::Status Limits(const PlacedValue& object);
  absl::Status Instances(const PlacedValue& array);
  absl::Status Instance(const PlacedValue& object);
  absl::Status Parameters(const PlacedValue& object, InstanceConfiguration& instance);
  absl::Status Parameter(const PlacedMember& member, InstanceConfiguration& instance);
  absl::StatusOr<std::string> ParameterValue(const ParameterSpec& spec, const PlacedValue& value);
  absl::StatusOr<std::string> ParameterFile(const ParameterSpec& spec, const PlacedValue& value);
  absl::Status CheckPort(absl::string_view port, const PlacedValue& value);

  JsonReader reader_;
  std::string folder_;
  Configuration configuration_;
  std::map<std::string, std::string> place_of_name_;
  std::map<int, std::string> place_of_port_;
};

absl::Status Builder::Platform(const PlacedValue& object) {
  static constexpr absl::string_view kNames[] = {"product", "url", "engine"};
  PlatformConfiguration& platform = configuration_.platform;
  absl::Status status = reader_.EachMember(object, kNames, [&](const PlacedMember& member) {
    if (member.name == "engine") {
      absl::StatusOr<bool> engine = reader_.Boolean(member.value);
      if (engine.ok()) platform.engine = *engine;
      return engine.status();
    }
    absl::StatusOr<std::string> text = reader_.String(member.value);
    if (!text.ok()) return text.status();
    (member.name == "url" ? platform.url : platform.product) = *std::move(text);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  // The plugin looks closer, but only once there is an instance.
  if (!platform.url.empty() && !absl::StartsWith(platform.url, "https://") &&
      !absl::StartsWith(platform.url, "http://")) {
    return reader_.Fault("platform.url", "must be like https://my.xsoar.live");
  }
  if (platform.product.empty()) {
    return reader_.Fault("platform.product",
                         absl::StrCat("is missing; one of ", absl::StrJoin(kProducts, ", ")));
  }
  const auto known = std::find(std::begin(kProducts), std::end(kProducts), platform.product);
  if (known != std::end(kProducts)) return absl::OkStatus();
  return reader_.Fault("platform.product",
                       absl::StrCat("unknown; ", DidYouMean(platform.product, kProducts)));
}

absl::Status Builder::ServerConfiguration(const PlacedValue& object) {
  return reader_.EachMember(object, {}, [&](const PlacedMember& member) {
    absl::StatusOr<std::string> text = reader_.String(member.value);
    if (text.ok()) configuration_.server_configuration.emplace(member.name, *std::move(text));
    return text.status();
  });
}

absl::Status Builder::Limits(const PlacedValue& object) {
  const std::vector<absl::string_view> names = webhook::LimitNames();
  return reader_.EachMember(object, names, [&](const PlacedMember& member) {
    absl::StatusOr<std::string> number = reader_.WholeNumber(member.value);
    if (!number.ok()) return number.status();
    absl::Status status = webhook::SetLimit(member.name, *number, configuration_.limits);
    if (!status.ok()) return reader_.Fault(object.place, status.message());  // it names the limit
    configuration_.limits_set.emplace_back(member.name, *std::move(number));
    return absl::OkStatus();
  });
}

absl::Status Builder::Instances(const PlacedValue& array) {
  return reader_.EachElement(array, [&](const PlacedValue& value) { return Instance(value); });
}

absl::Status Builder::Instance(const PlacedValue& object) {
  static constexpr absl::string_view kNames[] = {"name", "configuration"};
  InstanceConfiguration instance;
  std::string name_place;
  bool configured = false;
  absl::Status status = reader_.EachMember(object, kNames, [&](const PlacedMember& member) {
    if (member.name == "configuration") {
      configured = true;
      return Parameters(member.value, instance);
    }
    name_place = member.value.place;
    absl::StatusOr<std::string> name = reader_.String(member.value);
    if (name.ok()) instance.name = *std::move(name);
    return name.status();
  });
  if (!status.ok()) return status;
  if (name_place.empty()) return reader_.Fault(absl::StrCat(object.place, ".name"), "is missing");
  if (!configured) return reader_.Fault(absl::StrCat(object.place, ".configuration"), "is missing");
  if (!IsInstanceName(instance.name)) {
    return reader_.Fault(name_place,
                         "must be 1 to 64 of the characters A-Z a-z 0-9 _ - : it is a part of the "
                         "webhook URL");
  }
  const auto [first, is_new] = place_of_name_.emplace(instance.name, name_place);
  if (!is_new) {
    return reader_.Fault(name_place, absl::StrCat("\"", instance.name, "\" is the name of ",
                                                  first->second, " already"));
  }
  configuration_.instances.push_back(std::move(instance));
  return absl::OkStatus();
}

absl::Status Builder::Parameters(const PlacedValue& object, InstanceConfiguration& instance) {
  std::vector<std::string> file_names;
  for (const ParameterSpec& spec : host_stub::Parameters()) {
    if (spec.may_be_file) file_names.push_back(absl::StrCat(spec.name, kFileSuffix));
  }
  std::vector<absl::string_view> names;
  for (const ParameterSpec& spec : host_stub::Parameters()) names.push_back(spec.name);
  names.insert(names.end(), file_names.begin(), file_names.end());
  return reader_.EachMember(
      object, names, [&](const PlacedMember& member) { return Parameter(member, instance); });
}

absl::Status Builder::Parameter(const PlacedMember& member, InstanceConfiguration& instance) {
  const ParameterSpec* spec = FindParameter(member.name);
  const bool from_file = spec == nullptr;
  if (from_file) spec = FindParameter(absl::StripSuffix(member.name, kFileSuffix));
  for (const auto& [name, value] : instance.parameters) {
    if (name == spec->name) {
      return reader_.Fault(member.value.place, absl::StrCat("both ", name, " and ", name,
                                                            kFileSuffix, " are given; keep one"));
    }
  }
  absl::StatusOr<std::string> value =
      from_file ? ParameterFile(*spec, member.value) : ParameterValue(*spec, member.value);
  if (!value.ok()) return value.status();
  if (spec->type == ParameterType::kPort) {
    if (absl::Status status = CheckPort(*value, member.value); !status.ok()) return status;
  }
  if (spec->secret && !from_file && !value->empty()) configuration_.holds_secret = true;
  instance.parameters.emplace_back(spec->name, *std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Builder::ParameterValue(const ParameterSpec& spec,
                                                    const PlacedValue& value) {
  if (spec.type == ParameterType::kPort && value.element.is_number()) {
    return reader_.WholeNumber(value);
  }
  if (spec.type == ParameterType::kList && value.element.is_array()) {
    return simdjson::minify(value.element);
  }
  bool flag = false;
  const bool is_flag = value.element.get(flag) == simdjson::SUCCESS;
  if (spec.type == ParameterType::kBoolean && is_flag) return std::string(flag ? "true" : "false");
  absl::StatusOr<std::string> text = reader_.String(value);
  if (spec.type == ParameterType::kText || spec.type == ParameterType::kList) return text;
  if (spec.type == ParameterType::kPort) {
    if (!text.ok()) return reader_.WrongType(value, "a port, as in 8000 or \"8000\"");
    return text;
  }
  if (!text.ok()) return reader_.WrongType(value, "true or false");
  if (*text != "true" && *text != "false")
    return reader_.Fault(value.place, "must be true or false");
  return text;
}

absl::StatusOr<std::string> Builder::ParameterFile(const ParameterSpec& spec,
                                                   const PlacedValue& value) {
  absl::StatusOr<std::string> path = reader_.String(value);
  if (!path.ok()) return path;
  if (path->empty() || path->size() > PATH_MAX || absl::StrContains(*path, '\0')) {
    return reader_.Fault(value.place, "must be the path of a file");
  }
  const std::string full_path =
      absl::StartsWith(*path, "/") ? *path : absl::StrCat(folder_, "/", *path);
  absl::StatusOr<SmallFile> file = ReadSmallFile(full_path, kParameterFileBytes);
  if (!file.ok()) {
    return reader_.Fault(value.place, absl::Utf8SafeCHexEscape(file.status().message()));
  }
  if (spec.private_file && !file->secret_fault.empty()) {
    Wipe(file->contents);
    return reader_.Fault(value.place, absl::Utf8SafeCHexEscape(file->secret_fault));
  }
  // Whoever can change an authority's certificate or a user's name lets himself in.
  if (!file->write_fault.empty()) {
    return reader_.Fault(value.place, absl::Utf8SafeCHexEscape(file->write_fault));
  }
  // Parameters are text everywhere else, in gRPC and in JSON.
  if (!simdjson::validate_utf8(file->contents)) {
    Wipe(file->contents);
    return reader_.Fault(value.place,
                         absl::StrCat(absl::Utf8SafeCHexEscape(full_path), " is not UTF-8 text"));
  }
  // One line end, which editors and `echo` append; more than one belongs to the value.
  if (absl::EndsWith(file->contents, "\n")) file->contents.pop_back();
  if (absl::EndsWith(file->contents, "\r")) file->contents.pop_back();
  return std::move(file->contents);
}

absl::Status Builder::CheckPort(absl::string_view port, const PlacedValue& value) {
  int number = 0;
  if (port.empty()) return absl::OkStatus();
  if (!absl::SimpleAtoi(port, &number) || number < 0 || number > 65535) {
    return reader_.Fault(value.place, "must be a port from 1 to 65535");
  }
  if (number == 0) return absl::OkStatus();
  const auto [first, is_new] = place_of_port_.emplace(number, value.place);
  if (is_new) return absl::OkStatus();
  return reader_.Fault(value.place, absl::StrCat("port ", number, " is taken by ", first->second,
                                                 "; each instance needs its own"));
}

}  // namespace

bool IsInstanceName(absl::string_view name) {
  if (name.empty() || name.size() > kInstanceNameBytes) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
}

absl::StatusOr<Configuration> ParseConfiguration(absl::string_view text, const std::string& file,
                                                 const std::string& folder) {
  simdjson::dom::parser parser;
  simdjson::error_code error = parser.allocate(std::max<size_t>(text.size(), 64), kJsonDepth);
  simdjson::dom::element document;
  if (error == simdjson::SUCCESS) error = parser.parse(text.data(), text.size()).get(document);
  if (error != simdjson::SUCCESS) {
    std::string fault = FindJsonFault(text);
    if (fault.empty()) fault = simdjson::error_message(error);
    return absl::InvalidArgumentError(absl::StrCat(file, ": not valid JSON: ", fault));
  }
  return Builder(file, folder).Build(document);
}

absl::StatusOr<Configuration> LoadConfiguration(const std::string& path) {
  absl::StatusOr<SmallFile> file = ReadSmallFile(path, kConfigurationBytes);
  if (!file.ok()) return file.status();
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  absl::StatusOr<Configuration> configuration = ParseConfiguration(file->contents, path, folder);
  Wipe(file->contents);
  if (!configuration.ok()) return configuration;
  if (configuration->holds_secret && !file->secret_fault.empty()) {
    configuration->warnings.push_back(absl::StrCat("it holds a secret, but ", file->secret_fault));
  } else if (!file->write_fault.empty()) {
    configuration->warnings.push_back(file->write_fault);
  }
  return configuration;
}

void WipeSecrets(Configuration& configuration) {
  for (InstanceConfiguration& instance : configuration.instances) {
    for (auto& [name, value] : instance.parameters) {
      const ParameterSpec* spec = FindParameter(name);
      if (spec != nullptr && spec->secret) Wipe(value);
    }
  }
}

}  // namespace host_stub
