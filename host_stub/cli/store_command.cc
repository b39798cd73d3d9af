// The database that several hosts share: made, upgraded, looked at. These commands ask the
// database, not a host.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"
#include "host_stub/config/configuration.h"
#include "host_stub/store/postgres/connection.h"
#include "host_stub/store/postgres/schema.h"
#include "host_stub/store/postgres/sealing.h"
#include "host_stub/store/postgres/server_check.h"

namespace host_stub {
namespace {

// An upgrade of large tables takes its time.
constexpr absl::Duration kStatementTimeout = absl::Hours(1);

absl::StatusOr<std::unique_ptr<PostgresConnection>> Connect(
    const StoreOptions& options, std::optional<Sealing>* sealing = nullptr) {
  std::string url = options.url;
  if (url.empty() == options.config.empty()) {
    return absl::InvalidArgumentError("give either --config FILE.json or --store URL");
  }
  if (url.empty()) {
    absl::StatusOr<Configuration> configuration = LoadConfiguration(options.config);
    if (!configuration.ok()) return configuration.status();
    url = configuration->store.url;
    if (sealing != nullptr) sealing->emplace(configuration->store.secrets_keys);
    WipeSecrets(*configuration);
    if (url.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(options.config, ": store: is missing; add {\"url_file\": ...}"));
    }
  }
  return PostgresConnection::Open({.url = url,
                                   .application = "host_stub store",
                                   .statement_timeout = kStatementTimeout,
                                   .lock_timeout = absl::Seconds(30)});
}

}  // namespace

int UpgradeStore(const StoreOptions& options) {
  const auto connection = Connect(options);
  if (!connection.ok()) return Fail(connection.status().message(), kNotAsked);
  const absl::Status status = UpgradePostgresSchema(**connection, options.host_role);
  if (!status.ok()) return Fail(status.message(), kRefused);
  std::printf("the tables have schema version %d\n", static_cast<int>(kPostgresSchemaVersion));
  return kDone;
}

int CheckStore(const StoreOptions& options) {
  const auto connection = Connect(options);
  if (!connection.ok()) return Fail(connection.status().message(), kNotAsked);
  const absl::StatusOr<std::vector<Finding>> findings = CheckServer(**connection);
  if (!findings.ok()) return Fail(findings.status().message(), kRefused);
  int faults = 0;
  for (const Finding& finding : *findings) {
    faults += finding.is_fault;
    std::printf("%s  %s\n", finding.is_fault ? "FAULT" : "ok   ",
                EscapeForTerminal(finding.text, false).c_str());
  }
  return faults == 0 ? kDone : kRefused;
}

int RekeyStore(const StoreOptions& options) {
  std::optional<Sealing> sealing;
  const auto connection = Connect(options, &sealing);
  if (!connection.ok()) return Fail(connection.status().message(), kNotAsked);
  if (!sealing->has_key()) {
    return Fail(absl::StrCat(options.config, ": store: needs secrets_key_files"), kNotAsked);
  }
  const absl::StatusOr<Rekeyed> rekeyed = RekeyInstances(**connection, *sealing);
  if (!rekeyed.ok()) return Fail(rekeyed.status().message(), kRefused);
  std::printf("sealed with the first key: %d\n", rekeyed->instances);
  for (const std::string& fault : rekeyed->faults) {
    std::fprintf(stderr, "%s\n", EscapeForTerminal(fault, false).c_str());
  }
  return rekeyed->faults.empty() ? kDone : kRefused;
}

}  // namespace host_stub
