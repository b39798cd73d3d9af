#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/connection.h"
#include "host_stub/cli/hardening.h"
#include "host_stub/cli/idle_trim.h"
#include "host_stub/cli/pem_file.h"
#include "host_stub/cli/stop_signals.h"
#include "host_stub/config/configuration.h"
#include "host_stub/engine/logger.h"
#include "host_stub/host.h"

namespace host_stub {
namespace {

// A little more than answer_timeout_ms: who waits for an answer gets it.
constexpr absl::Duration kDrainTime = absl::Seconds(15);

struct ServeOptions {
  std::string plugin;
  std::string config;
  std::string data_dir;
  std::string http = "127.0.0.1:8080";
  std::string grpc = "127.0.0.1:50051";
  std::string store = "sqlite";
  bool grpc_insecure_on_any_address = false;
  std::string grpc_certificate;
  std::string grpc_key;
  std::string grpc_client_ca;
};

// Beside the binary, or where the build puts it; empty where it is in neither place.
std::string FindPlugin() {
  std::error_code error;
  const std::filesystem::path binary = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const char* place : {"webhook_plugin.so", "../plugin/webhook_plugin.so"}) {
    const std::filesystem::path file = (binary.parent_path() / place).lexically_normal();
    if (!error && std::filesystem::exists(file, error)) return file;
  }
  return "";
}

// Each connection needs a descriptor; a shell's usual soft limit of 1,024 is for programs that use
// select(2). Returns how many there may be.
int64_t RaiseDescriptorLimit() {
  rlimit descriptors = {};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return INT64_MAX;
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  return static_cast<int64_t>(std::min<rlim_t>(descriptors.rlim_cur, INT64_MAX));
}

// Of the store, the plugin, gRPC and the threads.
constexpr int64_t kOwnDescriptors = 128;

// Debian builds Abseil with its search for deadlocks, a tool for who writes a program: each lock of
// a mutex, of gRPC's many as well, goes through one lock of the whole process. Sanitized builds
// keep it.
void StopSearchForDeadlocks() {
#ifndef __SANITIZE_ADDRESS__
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

absl::StatusOr<std::optional<GrpcTls>> ReadGrpcTls(const ServeOptions& options) {
  if (options.grpc_certificate.empty() && options.grpc_key.empty() &&
      options.grpc_client_ca.empty()) {
    return std::nullopt;
  }
  if (options.grpc_certificate.empty() || options.grpc_key.empty()) {
    return absl::InvalidArgumentError("gRPC over TLS needs --grpc-certificate and --grpc-key");
  }
  GrpcTls tls;
  absl::StatusOr<std::string> text = ReadPem(options.grpc_certificate, /*secret=*/false);
  if (!text.ok()) return text.status();
  tls.certificate_chain = *std::move(text);
  if (text = ReadPem(options.grpc_key, /*secret=*/true); !text.ok()) return text.status();
  tls.private_key = *std::move(text);
  if (options.grpc_client_ca.empty()) return tls;
  if (text = ReadPem(options.grpc_client_ca, /*secret=*/false); !text.ok()) return text.status();
  tls.client_ca = *std::move(text);
  return tls;
}

absl::StatusOr<HostOptions> MakeHostOptions(const ServeOptions& options) {
  HostOptions host;
  host.plugin_file = options.plugin.empty() ? FindPlugin() : options.plugin;
  if (host.plugin_file.empty()) {
    return absl::NotFoundError(
        "webhook_plugin.so is not beside this program; say --plugin FILE.so");
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
  host.grpc_address = options.grpc;
  host.keep_in_memory = options.store == "memory";
  host.grpc_insecure_on_any_address = options.grpc_insecure_on_any_address;
  absl::StatusOr<std::optional<GrpcTls>> tls = ReadGrpcTls(options);
  if (!tls.ok()) return tls.status();
  host.grpc_tls = *std::move(tls);
  host.logger = NewFileDescriptorLogger(STDERR_FILENO, Severity::kInfo,
                                        host.configuration.limits.log_lines_per_second);
  return host;
}

// On SIGHUP. A file that cannot be taken changes nothing.
void Reload(const std::string& file, Host& host, Logger& logger) {
  absl::StatusOr<Configuration> configuration = LoadConfiguration(file);
  absl::Status status = configuration.status();
  if (status.ok()) {
    status = host.Reload(*configuration);
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

int Serve(const ServeOptions& options) {
  EndWithOneLineOnExceptions();
  HardenProcess();
  StopSearchForDeadlocks();
  SilenceGrpcLog();
  StopSignals signals;  // before any thread, so that all inherit its mask
  KeepGrpcUntilExit();
  absl::StatusOr<HostOptions> host_options = MakeHostOptions(options);
  if (!host_options.ok()) {
    PrintError(std::string(host_options.status().message()));
    return kNotAsked;
  }
  const std::shared_ptr<Logger> logger = host_options->logger;
  std::vector<std::string> warnings = host_options->configuration.warnings;
  const int64_t connections = host_options->configuration.limits.connections;
  if (const int64_t most = RaiseDescriptorLimit(); most < connections + kOwnDescriptors) {
    warnings.push_back(absl::StrCat("limits: connections: ", connections,
                                    " connections need more file descriptors than the ", most,
                                    " that the system permits (ulimit -Hn)"));
  }
  const absl::StatusOr<std::unique_ptr<Host>> host = Host::Start(*std::move(host_options));
  if (!host.ok()) {
    PrintError(std::string(host.status().message()));
    return kRefused;
  }
  for (const std::string& warning : warnings) logger->Log(Severity::kWarning, "", warning);
  std::printf("ready http=%s grpc=%s control=unix:%s\n", (*host)->http_address().c_str(),
              (*host)->grpc_address().c_str(), (*host)->control_path().c_str());
  std::fflush(stdout);

  IdleTrim trim;
  for (;;) {
    const std::optional<StopSignals::Wish> wish = signals.AwaitFor(IdleTrim::kInterval);
    if (wish == StopSignals::Wish::kStop) break;
    if (wish == StopSignals::Wish::kReload) Reload(options.config, **host, *logger);
    trim.Tick();
  }
  logger->Log(Severity::kInfo, "", "stopping; a second signal stops at once");
  const absl::Status drained = (*host)->Drain(kDrainTime);
  if (!drained.ok()) logger->Log(Severity::kWarning, "", drained.message());
  return kDone;
}

}  // namespace

void AddServeCommand(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand(
      "serve", "Run a host until SIGTERM or SIGINT; SIGHUP reads the configuration again");
  command->add_option("--config", options->config, "The configuration")
      ->type_name("FILE.json")
      ->required();
  command
      ->add_option("--plugin", options->plugin,
                   "The integration (default: webhook_plugin.so beside this program)")
      ->type_name("FILE.so");
  command
      ->add_option("--data-dir", options->data_dir,
                   "Where incidents are kept (default: " + DefaultDataDir() + ")")
      ->type_name("DIR");
  command->add_option("--http", options->http, "Where webhooks are received; port 0: a free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command->add_option("--grpc", options->grpc, "Where gRPC is served; port 0: a free one")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command->add_option("--store", options->store, "memory: incidents are gone when the host ends")
      ->type_name("sqlite|memory")
      ->check(CLI::IsMember({"sqlite", "memory"}))
      ->capture_default_str();
  command->add_flag("--grpc-insecure-on-any-address", options->grpc_insecure_on_any_address,
                    "Let --grpc be an address that others reach, unencrypted");
  command
      ->add_option("--grpc-certificate", options->grpc_certificate,
                   "Serve --grpc over TLS with this certificate chain")
      ->type_name("FILE.pem");
  command
      ->add_option("--grpc-key", options->grpc_key,
                   "Its private key; refused where other users can read it")
      ->type_name("FILE.pem");
  command
      ->add_option("--grpc-client-ca", options->grpc_client_ca,
                   "Take only clients with a certificate of this CA, and serve them everything")
      ->type_name("FILE.pem");
  command->footer("Example:\n  host_stub serve --config host.json --http 127.0.0.1:8080");
  command->callback([options, &exit_code] { exit_code = Serve(*options); });
}

}  // namespace host_stub
