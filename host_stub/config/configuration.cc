#include "host_stub/config/configuration.h"

#include <limits.h>
#include <string.h>

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "host_stub/config/document_reader.h"
#include "host_stub/config/nearest_name.h"
#include "host_stub/files/trusted_files.h"
#include "plugin/base/characters.h"
#include "plugin/base/utf8.h"
#include "plugin/limits/parameters.h"

namespace host_stub {
namespace {

// These bound what an operator writes, not what a sender sends, and cannot be set in the file that
// they bound.
constexpr size_t kConfigurationBytes = 4 << 20;
constexpr size_t kParameterFileBytes = 1 << 20;
constexpr size_t kSecretsKeyDigits = 64;
constexpr int64_t kMostRetentionDays = 36'500;
constexpr int64_t kLeastRetentionBytes = 1 << 20;
constexpr int64_t kMostRetentionBytes = int64_t{1} << 50;

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
    static constexpr absl::string_view kNames[] = {
        "platform",       "serverConfiguration", "limits", "trusted_proxies", "forwarding_header",
        "proxy_protocol", "retention",           "store",  "instances"};
    bool has_platform = false;
    absl::Status status =
        reader_.EachMember("", kNames, [&](absl::string_view name, const std::string& place) {
          if (name == "serverConfiguration") return ServerConfiguration(place);
          if (name == "limits") return Limits(place);
          if (name == "trusted_proxies") {
            return reader_.EachElement(
                place, [this](const std::string& element) { return TrustedProxy(element); });
          }
          if (name == "forwarding_header") return ForwardingHeader(place);
          if (name == "proxy_protocol") {
            return reader_.Boolean(place, configuration_.proxies.proxy_protocol);
          }
          if (name == "retention") return Retention(place);
          if (name == "store") return Store(place);
          if (name == "instances") {
            return reader_.EachElement(
                place, [this](const std::string& element) { return Instance(element); });
          }
          has_platform = true;
          return Platform(place);
        });
    if (!status.ok()) return status;
    if (!has_platform) return reader_.Fault("platform", "is missing");
    if (configuration_.proxies.networks.empty() &&
        (configuration_.proxies.proxy_protocol || has_forwarding_header_)) {
      return reader_.Fault(
          configuration_.proxies.proxy_protocol ? "proxy_protocol" : "forwarding_header",
          "needs trusted_proxies: nobody else is believed");
    }
    return std::move(configuration_);
  }

 private:
  absl::Status Platform(const std::string& place);
  absl::Status ServerConfiguration(const std::string& place);
  absl::Status Limits(const std::string& place);
  absl::Status TrustedProxy(const std::string& place);
  absl::Status ForwardingHeader(const std::string& place);
  absl::Status Retention(const std::string& place);
  absl::Status Store(const std::string& place);
  absl::Status SecretsKey(const std::string& place);
  absl::Status Instance(const std::string& place);
  absl::Status Parameters(const std::string& place, InstanceConfiguration& instance);
  absl::Status Parameter(absl::string_view name, const std::string& place,
                         InstanceConfiguration& instance);
  absl::Status ReadValue(const webhook::Parameter& spec, const std::string& place,
                         std::string& value);
  absl::Status ReadFile(bool secret, const std::string& place, std::string& value);
  absl::Status CheckPort(absl::string_view port, const std::string& place);

  DocumentReader reader_;
  std::string folder_;
  Configuration configuration_;
  bool has_forwarding_header_ = false;
  std::map<std::string, std::string> place_of_name_;
  std::map<int, std::string> place_of_port_;
};

absl::Status Builder::Platform(const std::string& place) {
  static constexpr absl::string_view kNames[] = {"product", "url", "engine"};
  PlatformConfiguration& platform = configuration_.platform;
  absl::Status status =
      reader_.EachMember(place, kNames, [&](absl::string_view name, const std::string& member) {
        if (name == "engine") return reader_.Boolean(member, platform.engine);
        return reader_.String(member, name == "url" ? platform.url : platform.product);
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
    return reader_.String(member, configuration_.server_configuration[std::string(name)]);
  });
}

absl::Status Builder::Limits(const std::string& place) {
  std::vector<absl::string_view> names;
  for (const auto& limit : webhook::DescribeLimits()) names.push_back(limit.name);
  return reader_.EachMember(place, names, [&](absl::string_view name, const std::string& member) {
    std::string number;
    absl::Status status = reader_.WholeNumber(member, number);
    if (!status.ok()) return status;
    status = webhook::SetLimit(name, number, configuration_.limits);
    if (!status.ok()) return reader_.Fault(place, status.message());  // it names the limit
    configuration_.limits_set.emplace_back(name, std::move(number));
    return status;
  });
}

absl::Status Builder::TrustedProxy(const std::string& place) {
  std::string text;
  if (absl::Status status = reader_.String(place, text); !status.ok()) return status;
  auto network = webhook::http::ParseNetwork(text);
  if (!network.ok()) return reader_.Fault(place, network.status().message());
  configuration_.proxies.networks.push_back(*network);
  return absl::OkStatus();
}

absl::Status Builder::ForwardingHeader(const std::string& place) {
  std::string text;
  if (absl::Status status = reader_.String(place, text); !status.ok()) return status;
  auto header = webhook::http::ParseForwardingHeader(text);
  if (!header.ok()) return reader_.Fault(place, header.status().message());
  configuration_.proxies.header = *header;
  has_forwarding_header_ = true;
  return absl::OkStatus();
}

absl::Status Builder::Retention(const std::string& place) {
  static constexpr absl::string_view kNames[] = {"days", "bytes"};
  host_stub::Retention& retention = configuration_.retention;
  absl::Status status =
      reader_.EachMember(place, kNames, [&](absl::string_view name, const std::string& member) {
        const bool is_days = name == "days";
        const int64_t least = is_days ? 1 : kLeastRetentionBytes;
        const int64_t most = is_days ? kMostRetentionDays : kMostRetentionBytes;
        int64_t& value = is_days ? retention.days : retention.bytes;
        std::string number;
        absl::Status read = reader_.WholeNumber(member, number);
        if (!read.ok()) return read;
        if (absl::SimpleAtoi(number, &value) && value >= least && value <= most) return read;
        return reader_.Fault(member, absl::StrCat("must be ", least, " to ", most));
      });
  if (status.ok() && !retention.is_set()) return reader_.Fault(place, "needs days or bytes");
  return status;
}

absl::Status Builder::Store(const std::string& place) {
  static constexpr absl::string_view kNames[] = {"url", "url_file", "allow_asynchronous_commit",
                                                 "secrets_key_files"};
  StoreConfiguration& store = configuration_.store;
  absl::Status status =
      reader_.EachMember(place, kNames, [&](absl::string_view name, const std::string& member) {
        if (name == "allow_asynchronous_commit") {
          return reader_.Boolean(member, store.allow_asynchronous_commit);
        }
        if (name == "secrets_key_files") {
          return reader_.EachElement(
              member, [this](const std::string& element) { return SecretsKey(element); });
        }
        if (!store.url.empty()) {
          return reader_.Fault(member, "both url and url_file are given; keep one");
        }
        if (name == "url_file") return ReadFile(/*secret=*/true, member, store.url);
        configuration_.holds_secret = true;  // it may have a password
        return reader_.String(member, store.url);
      });
  if (!status.ok()) return status;
  if (store.url.empty()) return reader_.Fault(place, "needs url or url_file");
  if (absl::StartsWith(store.url, "postgresql://") || absl::StartsWith(store.url, "postgres://")) {
    return absl::OkStatus();
  }
  return reader_.Fault(place, "the url must be like postgresql://HOST/DATABASE");
}

absl::Status Builder::SecretsKey(const std::string& place) {
  std::string& key = configuration_.store.secrets_keys.emplace_back();
  if (absl::Status status = ReadFile(/*secret=*/true, place, key); !status.ok()) return status;
  if (key.size() == kSecretsKeyDigits &&
      std::all_of(key.begin(), key.end(), &absl::ascii_isxdigit)) {
    return absl::OkStatus();
  }
  Wipe(key);
  return reader_.Fault(place, absl::StrCat("the file must hold ", kSecretsKeyDigits,
                                           " hexadecimal digits; make one with: openssl rand -hex "
                                           "32"));
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
        return reader_.String(member, instance.name);
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
  for (const webhook::Parameter& spec : webhook::Parameters()) {
    if (spec.may_be_file) file_names.push_back(absl::StrCat(spec.name, kFileSuffix));
  }
  std::vector<absl::string_view> names;
  for (const webhook::Parameter& spec : webhook::Parameters()) names.push_back(spec.name);
  names.insert(names.end(), file_names.begin(), file_names.end());
  return reader_.EachMember(place, names, [&](absl::string_view name, const std::string& member) {
    return Parameter(name, member, instance);
  });
}

absl::Status Builder::Parameter(absl::string_view member_name, const std::string& place,
                                InstanceConfiguration& instance) {
  const webhook::Parameter* spec = webhook::FindParameter(member_name);
  const bool from_file = spec == nullptr;
  if (from_file) spec = webhook::FindParameter(absl::StripSuffix(member_name, kFileSuffix));
  for (const auto& [name, value] : instance.parameters) {
    if (name == spec->name) {
      return reader_.Fault(
          place, absl::StrCat("both ", name, " and ", name, kFileSuffix, " are given; keep one"));
    }
  }
  std::string value;
  absl::Status status =
      from_file ? ReadFile(spec->secret, place, value) : ReadValue(*spec, place, value);
  if (status.ok() && spec->type == webhook::ParameterType::kPort) status = CheckPort(value, place);
  if (!status.ok()) return status;
  if (spec->secret && !from_file && !value.empty()) configuration_.holds_secret = true;
  instance.parameters.emplace_back(spec->name, std::move(value));
  return status;
}

absl::Status Builder::ReadValue(const webhook::Parameter& spec, const std::string& place,
                                std::string& value) {
  const base::JsonKind kind = reader_.NextKind();
  const bool is_text = kind == base::JsonKind::kString;
  const bool is_flag = kind == base::JsonKind::kTrue || kind == base::JsonKind::kFalse;
  if (spec.type == webhook::ParameterType::kPort) {
    if (kind == base::JsonKind::kNumber) return reader_.WholeNumber(place, value);
    if (!is_text) return reader_.WrongType(place, "a port, as in 8000 or \"8000\"");
  } else if (spec.type == webhook::ParameterType::kBoolean) {
    if (!is_text && !is_flag) return reader_.WrongType(place, "true or false");
  } else if (spec.type == webhook::ParameterType::kObject) {
    if (!is_text && kind != base::JsonKind::kObject) {
      return reader_.WrongType(place, "a string or an object");
    }
  } else if (!is_text &&
             (spec.type == webhook::ParameterType::kText || kind != base::JsonKind::kArray)) {
    return reader_.WrongType(place, "a string");
  }
  value = reader_.Text();
  if (spec.type == webhook::ParameterType::kBoolean && value != "true" && value != "false") {
    return reader_.Fault(place, "must be true or false");
  }
  return absl::OkStatus();
}

absl::Status Builder::ReadFile(bool secret, const std::string& place, std::string& value) {
  std::string path;
  if (absl::Status status = reader_.String(place, path); !status.ok()) return status;
  if (path.empty() || path.size() > PATH_MAX || absl::StrContains(path, '\0')) {
    return reader_.Fault(place, "must be the path of a file");
  }
  if (!absl::StartsWith(path, "/")) path = absl::StrCat(folder_, "/", path);
  absl::StatusOr<SmallFile> file = ReadSmallFile(path, kParameterFileBytes);
  if (!file.ok()) return reader_.Fault(place, absl::Utf8SafeCHexEscape(file.status().message()));
  value = std::move(file->contents);
  std::string fault;
  if (secret && !file->secret_fault.empty()) {
    fault = file->secret_fault;
  } else if (!file->write_fault.empty()) {
    // A user who can change or replace any of them can get in.
    fault = file->write_fault;
  } else if (!base::IsUtf8(value)) {
    // Parameters are text everywhere else, in gRPC and in JSON.
    fault = absl::StrCat(path, " is not UTF-8 text");
  }
  if (!fault.empty()) {
    Wipe(value);
    return reader_.Fault(place, absl::Utf8SafeCHexEscape(fault));
  }
  // Editors and `echo` append one line end; any further one belongs to the value.
  if (absl::EndsWith(value, "\n")) value.pop_back();
  if (absl::EndsWith(value, "\r")) value.pop_back();
  return absl::OkStatus();
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
  if (!file->write_fault.empty()) return absl::PermissionDeniedError(file->write_fault);
  absl::string_view text = file->contents;
  absl::ConsumePrefix(&text, base::kByteOrderMark);
  absl::StatusOr<Configuration> configuration = ParseConfiguration(text, path, folder);
  Wipe(file->contents);
  if (!configuration.ok()) return configuration;
  if (configuration->holds_secret && !file->secret_fault.empty()) {
    configuration->warnings.push_back(absl::StrCat("it holds a secret, but ", file->secret_fault));
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
  Wipe(configuration.store.url);
  for (std::string& key : configuration.store.secrets_keys) Wipe(key);
  for (InstanceConfiguration& instance : configuration.instances) {
    for (auto& [name, value] : instance.parameters) {
      const webhook::Parameter* spec = webhook::FindParameter(name);
      if (spec != nullptr && spec->secret) Wipe(value);
    }
  }
}

}  // namespace host_stub
