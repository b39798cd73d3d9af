#include "host_stub/config/configuration.h"

#include <limits.h>
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
#include "host_stub/config/document_reader.h"
#include "host_stub/config/nearest_name.h"
#include "host_stub/config/parameters.h"
#include "host_stub/files/trusted_files.h"
#include "plugin/base/characters.h"
#include "plugin/base/utf8.h"

namespace host_stub {
namespace {

// These bound what an operator writes, not what a sender sends, and cannot be set in the file that
// they bound.
constexpr size_t kConfigurationBytes = 4 << 20;
constexpr size_t kParameterFileBytes = 1 << 20;

constexpr absl::string_view kFileSuffix = "_file";
constexpr absl::string_view kProducts[] = {"XSOAR_6", "XSOAR_8_CLOUD", "XSOAR_8_ON_PREM", "XSIAM_2",
                                           "XSIAM_3"};

void Wipe(std::string& secret) { explicit_bzero(secret.data(), secret.size()); }

// Reads one file once.
class Builder {
 public:
  Builder(const std::string& file, const std::string& folder) : reader_(file), folder_(folder) {}

  absl::StatusOr<Configuration> Build(absl::string_view text) {
    if (absl::Status status = reader_.Open(text); !status.ok()) return status;
    static constexpr absl::string_view kNames[] = {"platform", "serverConfiguration", "limits",
                                                   "instances"};
    bool has_platform = false;
    absl::Status status =
        reader_.EachMember("", kNames, [&](absl::string_view name, const std::string& place) {
          if (name == "serverConfiguration") return ServerConfiguration(place);
          if (name == "limits") return Limits(place);
          if (name == "instances") return Instances(place);
          has_platform = true;
          return Platform(place);
        });
    if (!status.ok()) return status;
    if (!has_platform) return reader_.Fault("platform", "is missing");
    return std::move(configuration_);
  }

 private:
  absl::Status Platform(const std::string& place);
  absl::Status ServerConfiguration(const std::string& place);
  absl::Status Limits(const std::string& place);
  absl::Status Instances(const std::string& place);
  absl::Status Instance(const std::string& place);
  absl::Status Parameters(const std::string& place, InstanceConfiguration& instance);
  absl::Status Parameter(absl::string_view name, const std::string& place,
                         InstanceConfiguration& instance);
  absl::StatusOr<std::string> ParameterValue(const ParameterSpec& spec, const std::string& place);
  absl::StatusOr<std::string> ParameterFile(const ParameterSpec& spec, const std::string& place);
  absl::Status CheckPort(absl::string_view port, const std::string& place);

  DocumentReader reader_;
  std::string folder_;
  Configuration configuration_;
  std::map<std::string, std::string> place_of_name_;
  std::map<int, std::string> place_of_port_;
};

absl::Status Builder::Platform(const std::string& place) {
  static constexpr absl::string_view kNames[] = {"product", "url", "engine"};
  PlatformConfiguration& platform = configuration_.platform;
  absl::Status status =
      reader_.EachMember(place, kNames, [&](absl::string_view name, const std::string& member) {
        if (name == "engine") {
          absl::StatusOr<bool> engine = reader_.Boolean(member);
          if (engine.ok()) platform.engine = *engine;
          return engine.status();
        }
        absl::StatusOr<std::string> text = reader_.String(member);
        if (!text.ok()) return text.status();
        (name == "url" ? platform.url : platform.product) = *std::move(text);
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  // The plugin checks more, but only when an instance is created.
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

absl::Status Builder::ServerConfiguration(const std::string& place) {
  return reader_.EachMember(place, {}, [&](absl::string_view name, const std::string& member) {
    absl::StatusOr<std::string> text = reader_.String(member);
    if (text.ok()) configuration_.server_configuration.emplace(name, *std::move(text));
    return text.status();
  });
}

absl::Status Builder::Limits(const std::string& place) {
  const std::vector<absl::string_view> names = webhook::LimitNames();
  return reader_.EachMember(place, names, [&](absl::string_view name, const std::string& member) {
    absl::StatusOr<std::string> number = reader_.WholeNumber(member);
    if (!number.ok()) return number.status();
    absl::Status status = webhook::SetLimit(name, *number, configuration_.limits);
    if (!status.ok()) return reader_.Fault(place, status.message());  // it names the limit
    configuration_.limits_set.emplace_back(name, *std::move(number));
    return absl::OkStatus();
  });
}

absl::Status Builder::Instances(const std::string& place) {
  return reader_.EachElement(place, [&](const std::string& element) { return Instance(element); });
}

absl::Status Builder::Instance(const std::string& place) {
  static constexpr absl::string_view kNames[] = {"name", "configuration"};
  InstanceConfiguration instance;
  std::string name_place;
  bool configured = false;
  absl::Status status =
      reader_.EachMember(place, kNames, [&](absl::string_view name, const std::string& member) {
        if (name == "configuration") {
          configured = true;
          return Parameters(member, instance);
        }
        name_place = member;
        absl::StatusOr<std::string> text = reader_.String(member);
        if (text.ok()) instance.name = *std::move(text);
        return text.status();
      });
  if (!status.ok()) return status;
  if (name_place.empty()) return reader_.Fault(absl::StrCat(place, ".name"), "is missing");
  if (!configured) return reader_.Fault(absl::StrCat(place, ".configuration"), "is missing");
  if (!base::IsName(instance.name)) {
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

absl::Status Builder::Parameters(const std::string& place, InstanceConfiguration& instance) {
  std::vector<std::string> file_names;
  for (const ParameterSpec& spec : host_stub::Parameters()) {
    if (spec.may_be_file) file_names.push_back(absl::StrCat(spec.name, kFileSuffix));
  }
  std::vector<absl::string_view> names;
  for (const ParameterSpec& spec : host_stub::Parameters()) names.push_back(spec.name);
  names.insert(names.end(), file_names.begin(), file_names.end());
  return reader_.EachMember(place, names, [&](absl::string_view name, const std::string& member) {
    return Parameter(name, member, instance);
  });
}

absl::Status Builder::Parameter(absl::string_view member_name, const std::string& place,
                                InstanceConfiguration& instance) {
  const ParameterSpec* spec = FindParameter(member_name);
  const bool from_file = spec == nullptr;
  if (from_file) spec = FindParameter(absl::StripSuffix(member_name, kFileSuffix));
  for (const auto& [name, value] : instance.parameters) {
    if (name == spec->name) {
      return reader_.Fault(
          place, absl::StrCat("both ", name, " and ", name, kFileSuffix, " are given; keep one"));
    }
  }
  absl::StatusOr<std::string> value =
      from_file ? ParameterFile(*spec, place) : ParameterValue(*spec, place);
  if (!value.ok()) return value.status();
  if (spec->type == ParameterType::kPort) {
    if (absl::Status status = CheckPort(*value, place); !status.ok()) return status;
  }
  if (spec->secret && !from_file && !value->empty()) configuration_.holds_secret = true;
  instance.parameters.emplace_back(spec->name, *std::move(value));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Builder::ParameterValue(const ParameterSpec& spec,
                                                    const std::string& place) {
  const base::JsonKind kind = reader_.NextKind();
  if (spec.type == ParameterType::kPort && kind == base::JsonKind::kNumber) {
    return reader_.WholeNumber(place);
  }
  if (spec.type == ParameterType::kList && kind == base::JsonKind::kArray) {
    return reader_.Compact();
  }
  const bool is_flag = kind == base::JsonKind::kTrue || kind == base::JsonKind::kFalse;
  if (spec.type == ParameterType::kBoolean && is_flag) return reader_.Compact();
  absl::StatusOr<std::string> text = reader_.String(place);
  if (spec.type == ParameterType::kText || spec.type == ParameterType::kList) return text;
  if (spec.type == ParameterType::kPort) {
    if (!text.ok()) return reader_.WrongType(place, "a port, as in 8000 or \"8000\"");
    return text;
  }
  if (!text.ok()) return reader_.WrongType(place, "true or false");
  if (*text != "true" && *text != "false") return reader_.Fault(place, "must be true or false");
  return text;
}

absl::StatusOr<std::string> Builder::ParameterFile(const ParameterSpec& spec,
                                                   const std::string& place) {
  absl::StatusOr<std::string> path = reader_.String(place);
  if (!path.ok()) return path;
  if (path->empty() || path->size() > PATH_MAX || absl::StrContains(*path, '\0')) {
    return reader_.Fault(place, "must be the path of a file");
  }
  const std::string full_path =
      absl::StartsWith(*path, "/") ? *path : absl::StrCat(folder_, "/", *path);
  absl::StatusOr<SmallFile> file = ReadSmallFile(full_path, kParameterFileBytes);
  if (!file.ok()) {
    return reader_.Fault(place, absl::Utf8SafeCHexEscape(file.status().message()));
  }
  if (spec.private_file && !file->secret_fault.empty()) {
    Wipe(file->contents);
    return reader_.Fault(place, absl::Utf8SafeCHexEscape(file->secret_fault));
  }
  // A user who can change an authority's certificate or a user's name can get in.
  if (!file->write_fault.empty()) {
    return reader_.Fault(place, absl::Utf8SafeCHexEscape(file->write_fault));
  }
  // Parameters are text everywhere else, in gRPC and in JSON.
  if (!base::IsUtf8(file->contents)) {
    Wipe(file->contents);
    return reader_.Fault(place,
                         absl::StrCat(absl::Utf8SafeCHexEscape(full_path), " is not UTF-8 text"));
  }
  // Editors and `echo` append one line end; any further one belongs to the value.
  if (absl::EndsWith(file->contents, "\n")) file->contents.pop_back();
  if (absl::EndsWith(file->contents, "\r")) file->contents.pop_back();
  return std::move(file->contents);
}

absl::Status Builder::CheckPort(absl::string_view port, const std::string& place) {
  int number = 0;
  if (port.empty()) return absl::OkStatus();
  if (!absl::SimpleAtoi(port, &number) || number < 0 || number > 65535) {
    return reader_.Fault(place, "must be a port from 1 to 65535");
  }
  if (number == 0) return absl::OkStatus();
  const auto [first, is_new] = place_of_port_.emplace(number, place);
  if (is_new) return absl::OkStatus();
  return reader_.Fault(place, absl::StrCat("port ", number, " is taken by ", first->second,
                                           "; each instance needs its own"));
}

}  // namespace

absl::StatusOr<Configuration> ParseConfiguration(absl::string_view text, const std::string& file,
                                                 const std::string& folder) {
  return Builder(file, folder).Build(text);
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

std::string ExternalKey(absl::string_view instance) {
  return absl::StrCat("instance.execute.external.", instance);
}

bool IsExternal(const std::map<std::string, std::string>& server_configuration,
                absl::string_view instance) {
  const auto key = server_configuration.find(ExternalKey(instance));
  return key != server_configuration.end() && key->second == "true";
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
