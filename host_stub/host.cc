#include "host_stub/host.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <new>
#include <thread>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "host_stub/front/front.h"
#include "host_stub/observe/process.h"
#include "host_stub/observe/traffic.h"
#include "host_stub/service/addresses.h"
#include "host_stub/store/memory_store.h"
#include "host_stub/store/postgres/postgres_store.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/server.h"
#include "plugin/limits/limits.h"

namespace host_stub {
namespace {

namespace http = webhook::http;

// More threads do not help, because the store has one writer.
constexpr unsigned kMostIoThreads = 8;

constexpr absl::Duration kLeastStopTime = absl::Seconds(1);

// Prefixes the message, so that it says which part could not start.
absl::Status In(absl::string_view what, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

// Moves a result to where it belongs, or returns why there is none.
template <typename Result, typename Place>
absl::Status Take(absl::StatusOr<Result> result, Place& place) {
  if (result.ok()) place = *std::move(result);
  return result.status();
}

[[noreturn]] void EndWithOneLine() noexcept {
  const char* what = "it was asked to end";
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    what = "out of memory";
  } catch (const std::exception& exception) {
    what = exception.what();
  } catch (...) {
    what = "an unknown exception";
  }
  std::fprintf(stderr, "host_stub: %s; the host ends. What was acknowledged is on disk\n", what);
  std::abort();
}

absl::StatusOr<std::shared_ptr<Store>> OpenStore(const HostOptions& options) {
  const webhook::Limits& limits = options.configuration.limits;
  const Retention& retention = options.configuration.retention;
  const StoreConfiguration& shared = options.configuration.store;
  if (options.keep_in_memory) return NewMemoryStore({.limits = limits, .retention = retention});
  if (!shared.url.empty()) {
    return OpenPostgresStore({.url = shared.url,
                              .limits = limits,
                              .retention = retention,
                              .allow_asynchronous = shared.allow_asynchronous_commit,
                              .secrets_keys = shared.secrets_keys});
  }
  return OpenSqliteStore({.data_dir = options.data_dir, .limits = limits, .retention = retention});
}

// What a reload changes beside the instances and their platform, for the audit.
std::vector<std::string> ChangedNames(const Configuration& before, const Configuration& after) {
  std::vector<std::string> names;
  const auto add = [&names](const char* name, bool same) {
    if (!same) names.push_back(name);
  };
  const auto is_same = [](const http::Network& one, const http::Network& other) {
    return one.base == other.base && one.bits == other.bits;
  };
  add("trusted_proxies", absl::c_equal(before.proxies.networks, after.proxies.networks, is_same));
  add("forwarding_header", before.proxies.header == after.proxies.header);
  add("proxy_protocol", before.proxies.proxy_protocol == after.proxies.proxy_protocol);
  add("retention", before.retention.days == after.retention.days &&
                       before.retention.bytes == after.retention.bytes);
  return names;
}

}  // namespace

void EndWithOneLineOnExceptions() { std::set_terminate(&EndWithOneLine); }

Host::Host(HostOptions options) : options_(std::move(options)) {}

Host::~Host() { Drain(absl::ZeroDuration()).IgnoreError(); }

absl::StatusOr<std::unique_ptr<Host>> Host::Start(HostOptions options) {
  std::unique_ptr<Host> host(new Host(std::move(options)));
  if (absl::Status status = host->StartEngine(); !status.ok()) return status;
  if (absl::Status status = host->StartInstances(); !status.ok()) return status;
  WipeSecrets(host->options_.configuration);
  host->last_reload_s_ = absl::ToUnixSeconds(absl::Now());
  if (absl::Status status = host->StartFront(); !status.ok()) return status;
  if (absl::Status status = host->StartGrpc(); !status.ok()) return status;
  if (absl::Status status = host->StartAdmin(); !status.ok()) return In("--admin", status);
  host->started_ = true;
  host->LogStart();
  return host;
}

absl::Status Host::StartEngine() {
  traffic_ = std::make_shared<Traffic>(options_.configuration.limits.refusals, options_.logger,
                                       options_.access_log);
  if (absl::Status status = Take(OpenStore(options_), store_); !status.ok()) return status;
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, kMostIoThreads);
  absl::Status status = Take(http::IoThreads::Start(static_cast<int>(threads)), threads_);
  if (!status.ok()) return status;
  return Take(HostedPlugin::Load(options_.plugin_file,
                                 {.io_threads = 0, .limits = options_.configuration.limits_set},
                                 {.store = store_,
                                  .state = store_,
                                  .logger = options_.logger,
                                  .traffic = traffic_,
                                  .threads = CompletionsOn(threads_),
                                  .limits = options_.configuration.limits}),
              plugin_);
}

absl::Status Host::StartInstances() {
  front_ = std::make_unique<Front>(instances_, *threads_, traffic_,
                                   options_.configuration.limits.answer_timeout_ms);
  return Take(InstanceManager::Start({.plugin = plugin_,
                                      .published = instances_,
                                      .store = store_,
                                      .logger = options_.logger,
                                      .on_publish = [this] { front_->RefreshThreads(); }},
                                     options_.configuration),
              manager_);
}

absl::Status Host::StartFront() {
  auto address = ParseHostPort(options_.http_address);
  if (!address.ok()) return In("--http", address.status());
  auto server =
      http::Server::Listen({.address = address->host == "localhost" ? "127.0.0.1" : address->host,
                            .port = static_cast<uint16_t>(address->port),
                            .limits = options_.configuration.limits,
                            .proxies = options_.configuration.proxies},
                           *threads_, *front_);
  if (!server.ok()) return In("--http", server.status());
  server_ = *std::move(server);
  http_address_ = FormatHostPort(server_->address(), server_->port());
  manager_->SetFrontUrl(absl::StrCat("http://", http_address_));
  return absl::OkStatus();
}

absl::Status Host::StartGrpc() {
  options_.grpc.control_path = absl::StrCat(options_.data_dir, "/control.sock");
  options_.grpc.limits = options_.configuration.limits;
  return Take(GrpcServer::Start(options_.grpc, {.plugin = plugin_->info(),
                                                .instances = instances_,
                                                .store = store_,
                                                .audit = store_,
                                                .manager = manager_,
                                                .logger = options_.logger,
                                                .traffic = traffic_,
                                                .state = [this] { return State(); },
                                                .warnings = [this] { return Warnings(); },
                                                .io_threads = threads_.get()}),
              grpc_);
}

absl::Status Host::StartAdmin() {
  if (options_.admin.address == kAdminOff) return absl::OkStatus();
  absl::Status status = Take(Admin::Start(options_.admin, {.traffic = traffic_,
                                                           .instances = instances_,
                                                           .store = store_,
                                                           .logger = options_.logger,
                                                           .state = [this] { return State(); },
                                                           .limits = options_.configuration.limits,
                                                           .version = plugin_->info().version}),
                             admin_);
  options_.admin = {};  // it holds secrets
  if (status.ok()) admin_address_ = admin_->address();
  return status;
}

// What an operator who reads the log later must know of this host.
void Host::LogStart() {
  options_.logger->Log(
      Severity::kInfo, "",
      absl::StrCat("version ", plugin_->info().version, " with ",
                   base::Counted(instances_->current()->entries().size(), "instance", "instances"),
                   " serves http ", http_address_, ", grpc ", grpc_address(),
                   ", control unix:", control_path(), ", admin ", admin_address()));
  if (const std::string durability = store_->durability(); !durability.empty()) {
    options_.logger->Log(Severity::kInfo, "", absl::StrCat("PostgreSQL: ", durability));
  }
  std::vector<std::string> changed;
  for (const webhook::LimitDescription& limit : webhook::DescribeLimits()) {
    const int64_t value = options_.configuration.limits.*limit.member;
    if (value == limit.default_value) continue;
    changed.push_back(absl::StrCat(limit.name, " ", value, " (default ", limit.default_value, ")"));
  }
  if (changed.empty()) return;
  options_.logger->Log(
      Severity::kInfo, "",
      absl::StrCat("limits that differ from their defaults: ", absl::StrJoin(changed, ", ")));
}

HostState Host::State() {
  if (!started_) return {};  // a call over gRPC, which starts before the rest
  return {.draining = draining_,
          .last_reload = absl::FromUnixSeconds(last_reload_s_),
          .last_reload_succeeded = last_reload_succeeded_,
          .front_connections = server_->connections(),
          .front_active_requests = front_->active_requests(),
          .front_bytes_in_flight = server_->bytes_in_flight(),
          .http_address = http_address_,
          .grpc_address = grpc_->address(),
          .admin_address = admin_address(),
          .clock_steps = clock_steps_};
}

absl::Status Host::Reload(const absl::StatusOr<Configuration>& configuration) {
  AuditEntry audit;
  audit.who = "SIGHUP";
  audit.what = "reload";
  absl::Status status = configuration.status();
  if (status.ok()) {
    AuditEntry change = audit;
    change.parameters = ChangedNames(options_.configuration, *configuration);
    status = manager_->Reload(*configuration, std::move(change));
  }
  last_reload_succeeded_ = status.ok();
  if (!status.ok()) {
    manager_->AuditNoChange(std::move(audit), status).IgnoreError();  // the log tells of it
    return status;
  }
  options_.configuration.proxies = configuration->proxies;
  options_.configuration.retention = configuration->retention;
  server_->SetProxies(configuration->proxies);
  store_->SetRetention(configuration->retention);
  last_reload_s_ = absl::ToUnixSeconds(absl::Now());
  return status;
}

std::vector<std::string> Host::Warnings() const {
  std::vector<std::string> warnings;
  if (std::string warning = store_->warning(); !warning.empty()) {
    warnings.push_back(std::move(warning));
  }
  const webhook::Limits& limits = options_.configuration.limits;
  const int64_t free_bytes = store_->statistics().free_disk_bytes;
  if (free_bytes >= 0 && free_bytes < limits.disk_warning_bytes) {
    warnings.push_back(absl::StrCat("less than disk_warning_bytes (", limits.disk_warning_bytes,
                                    ") is left on the file system of ", options_.data_dir));
  }
  if (ResidentBytes() > limits.memory_soft_limit) {
    warnings.push_back(absl::StrCat("the process has more memory than memory_soft_limit (",
                                    limits.memory_soft_limit, "): connections of gRPC are closed"));
  }
  return warnings;
}

void Host::Watch() {
  const std::vector<std::string> warnings = Warnings();
  const auto tell = [&](const std::vector<std::string>& of, const std::vector<std::string>& not_in,
                        Severity severity, absl::string_view prefix) {
    for (const std::string& warning : of) {
      if (absl::c_linear_search(not_in, warning)) continue;
      options_.logger->Log(severity, "", absl::StrCat(prefix, warning));
    }
  };
  tell(told_warnings_, warnings, Severity::kInfo, "this is over: ");
  tell(warnings, told_warnings_, Severity::kWarning, "");
  told_warnings_ = warnings;

  constexpr absl::Duration kLeastStep = absl::Seconds(1);
  // Unlike CLOCK_MONOTONIC it goes on while the machine sleeps.
  const absl::Duration offset =
      absl::Now() - absl::UnixEpoch() - absl::Nanoseconds(base::NanosecondsOf(CLOCK_BOOTTIME));
  const absl::Duration step = offset - clock_offset_.value_or(offset);
  clock_offset_ = offset;
  if (absl::AbsDuration(step) < kLeastStep) return;
  ++clock_steps_;
  options_.logger->Log(Severity::kWarning, "",
                       absl::StrCat("the clock was set by ",
                                    absl::FormatDuration(absl::Trunc(step, absl::Milliseconds(1))),
                                    ": times that are signed are judged by it"));
}

absl::Status Host::Drain(absl::Duration time) {
  if (std::exchange(drained_, true)) return absl::OkStatus();
  const absl::Time deadline = absl::Now() + time;
  FailReadiness();
  absl::Status result;
  // Both at once, under one deadline: neither uses up the other's time, and neither accepts new
  // requests while the other still answers.
  if (grpc_ != nullptr) grpc_->BeginDrain();
  std::future<bool> http_drained;
  if (server_ != nullptr) {
    std::promise<bool> drained;
    http_drained = drained.get_future();
    server_->Drain(
        time, [drained = std::move(drained)](bool clean) mutable { drained.set_value(clean); });
  }
  if (grpc_ != nullptr) result.Update(grpc_->Drain(deadline));
  if (http_drained.valid() && !http_drained.get()) {
    result.Update(absl::DeadlineExceededError("HTTP requests were cut off at the deadline"));
  }
  // Instances get a little time even where their callers took it all.
  if (manager_ != nullptr) {
    result.Update(manager_->Stop(std::max(deadline, absl::Now() + kLeastStopTime)));
  }
  if (store_ != nullptr) store_->Close();
  admin_.reset();  // answers until now
  server_.reset();
  // Runs what was posted last, which still uses the front.
  if (threads_ != nullptr) threads_->Stop();
  return result;
}

}  // namespace host_stub
