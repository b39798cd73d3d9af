#include "plugin/runtime/configuration.h"

#include <sys/random.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {
namespace {

constexpr absl::string_view kParameterNames[] = {
    "longRunningPort", "username",      "password",        "certificate",      "key",
    "incidentType",    "store_samples", "duplication_key", "mirror_direction", "mirror_tags",
    "mirror_instance"};

// The parameters as they were given, in the order of kParameterNames.
struct Given {
  absl::string_view long_running_port;
  absl::string_view username;
  absl::string_view password;
  absl::string_view certificate;
  absl::string_view key;
  absl::string_view incident_type;
  absl::string_view store_samples;
  absl::string_view duplication_key;
  absl::string_view mirror_direction;
  absl::string_view mirror_tags;
  absl::string_view mirror_instance;

  absl::string_view* Find(absl::string_view name) {
    absl::string_view* const members[] = {
        &long_running_port, &username,      &password,        &certificate,      &key,
        &incident_type,     &store_samples, &duplication_key, &mirror_direction, &mirror_tags,
        &mirror_instance};
    for (size_t i = 0; i < std::size(kParameterNames); ++i) {
      if (kParameterNames[i] == name) return members[i];
    }
    return nullptr;
  }
};

absl::StatusOr<Given> Collect(const lri_pairs& parameters) {
  Given given;
  for (size_t i = 0; i < parameters.count; ++i) {
    const lri_pair& pair = At(parameters, i);
    absl::string_view* const member = given.Find(FromView(pair.name));
    if (member == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown parameter \"", FromView(pair.name), "\""));
    }
    if (!member->empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameter ", FromView(pair.name), " is given twice"));
    }
    *member = FromView(pair.value);
  }
  return given;
}

absl::StatusOr<uint16_t> ReadPort(absl::string_view text) {
  if (text.empty()) return 0;
  int port = 0;
  if (!absl::SimpleAtoi(text, &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError("longRunningPort must be a whole number from 1 to 65535");
  }
  return static_cast<uint16_t>(port);
}

absl::StatusOr<bool> ReadBoolean(absl::string_view name, absl::string_view text) {
  if (text.empty() || text == "false") return false;
  if (text == "true") return true;
  return absl::InvalidArgumentError(absl::StrCat(name, " must be true or false"));
}

absl::StatusOr<uint64_t> NewTicket() {
  uint64_t ticket = 0;
  while (ticket == 0) {
    if (getrandom(&ticket, sizeof ticket, 0) != sizeof ticket) {
      return absl::UnavailableError("the system gives no random numbers");
    }
  }
  return ticket;
}

absl::Status CheckAgainstPlatform(const Given& given, const core::Platform& platform) {
  if (platform.credentials_required && (given.username.empty() || given.password.empty())) {
    return absl::InvalidArgumentError(absl::StrCat(given.username.empty() ? "username" : "password",
                                                   " is required for ", platform.product_name,
                                                   ", because anyone can reach its webhook URL"));
  }
  if (!platform.listen_port_shown && !given.long_running_port.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("longRunningPort is not a parameter of ",
                                                   platform.product_name,
                                                   " unless it runs on an engine"));
  }
  if (!platform.certificate_supported && !(given.certificate.empty() && given.key.empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat(given.certificate.empty() ? "key" : "certificate", " is not supported on ",
                     platform.product_name, " unless it runs on an engine"));
  }
  return absl::OkStatus();
}

absl::Status AddUrls(Configuration& configuration) {
  if (configuration.platform_url.empty()) return absl::OkStatus();
  auto url =
      core::WebhookUrl(*configuration.platform, configuration.platform_url, configuration.name);
  if (!url.ok()) return url.status();
  configuration.webhook_url = *std::move(url);
  if (configuration.listen_port == 0) return absl::OkStatus();
  url = core::DirectUrl(configuration.platform_url, configuration.listen_port);
  if (!url.ok()) return url.status();
  configuration.listen_url = *std::move(url);
  return absl::OkStatus();
}

}  // namespace

std::span<const absl::string_view> ParameterNames() { return kParameterNames; }

absl::StatusOr<Configuration> ReadConfiguration(const lri_instance_options& options) {
  const absl::string_view name = FromView(options.name);
  if (!core::IsInstanceName(name)) {
    return absl::InvalidArgumentError(
        "the instance's name must be 1 to 64 letters, digits, '-' or '_'");
  }
  auto platform = core::FindPlatform(FromView(options.product), options.on_engine != 0);
  if (!platform.ok()) return platform.status();
  auto given = Collect(options.parameters);
  if (!given.ok()) return given.status();
  if (absl::Status status = CheckAgainstPlatform(*given, **platform); !status.ok()) return status;
  if (given->certificate.empty() != given->key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(given->certificate.empty() ? "certificate" : "key",
                     " is missing: HTTPS needs both certificate and key"));
  }
  auto port = ReadPort(given->long_running_port);
  if (!port.ok()) return port.status();
  auto store_samples = ReadBoolean("store_samples", given->store_samples);
  if (!store_samples.ok()) return store_samples.status();
  auto credentials = core::Credentials::Create(given->username, given->password);
  if (!credentials.ok()) return credentials.status();
  auto duplication_key = core::DuplicationKey::Create(given->duplication_key);
  if (!duplication_key.ok()) return duplication_key.status();
  auto mirroring = core::Mirroring::Create(given->mirror_direction, given->mirror_tags,
                                           given->mirror_instance, name);
  if (!mirroring.ok()) return mirroring.status();
  auto ticket = NewTicket();
  if (!ticket.ok()) return ticket.status();

  Configuration configuration{.name = std::string(name),
                              .platform = *platform,
                              .platform_url = std::string(FromView(options.platform_url)),
                              .incident_type = std::string(given->incident_type),
                              .listen_port = *port,
                              .store_samples = *store_samples,
                              .credentials = *std::move(credentials),
                              .duplication_key = *std::move(duplication_key),
                              .mirroring = *std::move(mirroring),
                              .webhook_url = {},
                              .listen_url = {},
                              .warnings = {},
                              .ticket = *ticket};
  if (!configuration.credentials.required()) {
    configuration.warnings.push_back(
        "no credentials are set: unexpected requests can create incidents; set username and "
        "password");
  }
  if (absl::Status status = AddUrls(configuration); !status.ok()) return status;
  return configuration;
}

}  // namespace webhook::runtime
