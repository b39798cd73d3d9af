#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "host_stub/cli/arguments.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/process.h"
#include "host_stub/cli/text.h"
#include "host_stub/config/configuration.h"
#include "host_stub/host.h"
#include "host_stub/observe/access_log.h"
#include "host_stub/observe/logger.h"
#include "plugin/base/clock.h"

namespace host_stub {
namespace {

// A little more than answer_timeout_ms by default, so that requests in flight are answered.
constexpr absl::Duration kDrainTime = absl::Seconds(15);

// The plugin beside the binary, or where the build puts it. Empty if it is in neither place.
std::string FindPlugin() {
  std::error_code error;
  const std::filesystem::path binary = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const char* place : {"webhook_plugin.so", "../plugin/webhook_plugin.so"}) {
    const std::filesystem::path file = (binary.parent_path() / place).lexically_normal();
    if (!error && std::filesystem::exists(file, error)) return file;
  }
  return "";
}

// File descriptors of the store, the plugin, gRPC and the threads.
constexpr int64_t kOwnDescriptors = 128;

// Debian's Abseil is built with detection of deadlocks, a tool for development: each lock of a
// mutex, including gRPC's many, takes one lock of the whole process. Sanitized builds keep it.
void DisableDeadlockDetection() {
#ifndef __SANITIZE_ADDRESS__
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

// A line that a library would print by itself. The libraries take plain functions, so the logger is
// the process's own. A stranger can cause any number of them: one a minute is told of each library.
std::atomic<Logger*> library_logger{nullptr};

void LogOfLibrary(const char* library, absl::string_view message, std::atomic<int64_t>& next_s) {
  Logger* const logger = library_logger.load();
  const int64_t now_s = base::CoarseMonotonicMilliseconds() / 1'000;  // never set back
  int64_t due_s = next_s.load();
  if (logger == nullptr || now_s < due_s || !next_s.compare_exchange_strong(due_s, now_s + 60)) {
    return;
  }
  logger->Log(
      Severity::kWarning, "",
      absl::StrCat(library, ": ", message, " (more of its lines are left out for a minute)"));
}

// From now on the libraries' lines go to the logger, which stays until the process ends.
void TakeLibraryLogs(const std::shared_ptr<Logger>& logger) {
  static const auto* const kept = new std::shared_ptr<Logger>(logger);
  library_logger = kept->get();
  google::protobuf::SetLogHandler(
      [](google::protobuf::LogLevel, const char*, int, const std::string& message) {
        static std::atomic<int64_t> next_s{0};
        LogOfLibrary("protobuf", message, next_s);
      });
  if (::getenv("GRPC_VERBOSITY") != nullptr) return;  // the operator wants to see them all
  ::gpr_set_log_function([](gpr_log_func_args* line) {
    static std::atomic<int64_t> next_s{0};
    if (line->severity == GPR_LOG_SEVERITY_ERROR) LogOfLibrary("gRPC", line->message, next_s);
  });
}

absl::StatusOr<std::optional<GrpcTls>> ReadGrpcTls(const ServeOptions& options) {
  if (options.grpc_certificate.empty() && options.grpc_key.empty() &&
      options.grpc_client_ca.empty() && options.grpc_client_crl.empty()) {
    return std::nullopt;
  }
  if (options.grpc_certificate.empty() || options.grpc_key.empty()) {
    return absl::InvalidArgumentError("gRPC over TLS needs --grpc-certificate and --grpc-key");
  }
  if (options.grpc_client_ca.empty() && !options.grpc_client_crl.empty()) {
    return absl::InvalidArgumentError("--grpc-client-crl needs --grpc-client-ca");
  }
  GrpcTls tls;
  tls.client_crl_file = options.grpc_client_crl;
  absl::Status status = ReadPem(options.grpc_certificate, /*secret=*/false, tls.certificate_chain);
  status.Update(ReadPem(options.grpc_key, /*secret=*/true, tls.private_key));
  status.Update(ReadPem(options.grpc_client_ca, /*secret=*/false, tls.client_ca));
  if (!status.ok()) return status;
  return tls;
}

absl::StatusOr<AdminOptions> ReadAdminOptions(const ServeOptions& options) {
  AdminOptions admin{.address = options.admin, .names = options.admin_names};
  absl::Status status =
      ReadPem(options.admin_certificate, /*secret=*/false, admin.certificate_chain);
  status.Update(ReadPem(options.admin_key, /*secret=*/true, admin.private_key));
  status.Update(ReadPem(options.admin_client_ca, /*secret=*/false, admin.client_ca));
  for (const std::string& file : options.admin_token_files) {
    std::string token;
    status.Update(ReadToken(file, token));
    admin.tokens.push_back(std::move(token));
  }
  if (!status.ok()) return status;
  return admin;
}

absl::StatusOr<HostOptions> MakeHostOptions(const ServeOptions& options) {
  HostOptions host;
  host.plugin_file = options.plugin.empty() ? FindPlugin() : options.plugin;
  if (host.plugin_file.empty()) {
    return absl::NotFoundError(
        "webhook_plugin.so was not found beside this program; give --plugin FILE.so");
  }
  std::error_code error;
  const bool is_default = options.data_dir.empty();
  const std::filesystem::path data_dir =
      std::filesystem::absolute(is_default ? DefaultDataDir() : options.data_dir, error);
  if (is_default) std::filesystem::create_directories(data_dir.parent_path(), error);
  host.data_dir = data_dir.lexically_normal();
  absl::StatusOr<Configuration> configuration = LoadConfiguration(options.config);
  if (!configuration.ok()) return configuration.status();
  host.configuration = *std::move(configuration);
  host.http_address = options.http;
  host.grpc.address = options.grpc;
  host.keep_in_memory = options.store == "memory";
  StoreConfiguration& store = host.configuration.store;
  if (options.store == "postgresql" && store.url.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--store postgresql needs \"store\": {\"url_file\": ...} in ", options.config));
  }
  if (options.store == "sqlite") store = {};
  absl::StatusOr<std::optional<GrpcTls>> tls = ReadGrpcTls(options);
  if (!tls.ok()) return tls.status();
  host.grpc.tls = *std::move(tls);
  absl::StatusOr<AdminOptions> admin = ReadAdminOptions(options);
  if (!admin.ok()) return admin.status();
  host.admin = *std::move(admin);
  const LogFormat format = options.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  const webhook::Limits& limits = host.configuration.limits;
  host.logger =
      NewFileDescriptorLogger(STDERR_FILENO, format, Severity::kInfo, limits.log_lines_per_second);
  if (options.access_log == "off") return host;
  auto access_log = AccessLog::Open({.path = options.access_log,
                                     .format = format,
                                     .buffer_bytes = limits.access_log_buffer_bytes},
                                    host.logger);
  if (!access_log.ok()) {
    return absl::Status(access_log.status().code(),
                        absl::StrCat("--access-log: ", access_log.status().message()));
  }
  host.access_log = *std::move(access_log);
  return host;
}

// Runs on SIGHUP. A configuration that is refused changes nothing.
void Reload(const std::string& file, Host& host, Logger& logger) {
  absl::StatusOr<Configuration> configuration = LoadConfiguration(file);
  const absl::Status status = host.Reload(configuration);
  if (configuration.ok()) {
    for (const std::string& warning : configuration->warnings) {
      logger.Log(Severity::kWarning, "", warning);
    }
    WipeSecrets(*configuration);
  }
  if (status.ok()) {
    logger.Log(Severity::kInfo, "", absl::StrCat("took over the configuration from ", file));
  } else {
    logger.Log(Severity::kError, "",
               absl::StrCat("the configuration stays as it was: ", status.message()));
  }
}

}  // namespace

int Serve(const ServeOptions& options) {
  EndWithOneLineOnExceptions();
  HardenProcess();
  DisableDeadlockDetection();
  SilenceLibraries();
  StopSignals signals;  // before any thread, so that all threads inherit its mask
  // Keeps gRPC's library until the process exits. Otherwise the end of the last server would shut
  // the library down, which waits for its poller: up to ten seconds after everything has drained.
  ::grpc_init();
  absl::StatusOr<HostOptions> host_options = MakeHostOptions(options);
  if (!host_options.ok()) return Fail(host_options.status().message(), kNotAsked);
  const std::shared_ptr<Logger> logger = host_options->logger;
  const std::shared_ptr<AccessLog> access_log = host_options->access_log;
  TakeLibraryLogs(logger);
  std::vector<std::string> warnings = host_options->configuration.warnings;
  const int64_t connections = host_options->configuration.limits.connections;
  if (const int64_t most = RaiseDescriptorLimit(); most < connections + kOwnDescriptors) {
    warnings.push_back(absl::StrCat("limits: connections: ", connections,
                                    " connections need more file descriptors than the ", most,
                                    " that the system permits (ulimit -Hn)"));
  }
  const absl::StatusOr<std::unique_ptr<Host>> host = Host::Start(*std::move(host_options));
  if (!host.ok()) return Fail(host.status().message(), kRefused);
  for (const std::string& warning : warnings) logger->Log(Severity::kWarning, "", warning);
  std::printf("ready http=%s grpc=%s control=unix:%s admin=%s\n", (*host)->http_address().c_str(),
              (*host)->grpc_address().c_str(), (*host)->control_path().c_str(),
              (*host)->admin_address().c_str());
  std::fflush(stdout);

  IdleTrim trim;
  for (;;) {
    const std::optional<StopSignals::Wish> wish = signals.AwaitFor(IdleTrim::kInterval);
    if (wish == StopSignals::Wish::kStop) break;
    if (wish == StopSignals::Wish::kReload) Reload(options.config, **host, *logger);
    if (wish == StopSignals::Wish::kReopen && access_log != nullptr) access_log->Reopen();
    trim.Tick();
    (*host)->Watch();
  }
  logger->Log(Severity::kInfo, "", "stopping; a second signal stops at once");
  if (options.drain_delay_seconds > 0) {
    (*host)->FailReadiness();
    absl::SleepFor(absl::Seconds(options.drain_delay_seconds));  // a second signal ends it
  }
  const absl::Status drained = (*host)->Drain(kDrainTime);
  if (!drained.ok()) logger->Log(Severity::kWarning, "", drained.message());
  if (access_log != nullptr) access_log->Close();
  return kDone;
}

}  // namespace host_stub
