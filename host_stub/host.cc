#include "host_stub/host.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <future>
#include <new>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/front/front.h"
#include "host_stub/instances/instance_manager.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/service/addresses.h"
#include "host_stub/service/grpc_server.h"
#include "host_stub/store/memory_store.h"
#include "host_stub/store/sqlite/sqlite_store.h"
#include "plugin/http/io_threads.h"
#include "plugin/http/server.h"

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

absl::Status MakeDataDir(const std::string& data_dir) {
  if (mkdir(data_dir.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("data folder ", data_dir, " cannot be made: ", std::strerror(errno)));
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
  if (options.keep_in_memory) return NewMemoryStore({.limits = limits});
  return OpenSqliteStore({.data_dir = options.data_dir, .vfs = {}, .limits = limits});
}

}  // namespace

void EndWithOneLineOnExceptions() { std::set_terminate(&EndWithOneLine); }

// Members are destroyed from the last to the first: each before those that it calls.
class Host::Parts {
 public:
  explicit Parts(HostOptions options) : options_(std::move(options)) {}

  absl::Status Start();
  absl::Status Drain(absl::Duration time);
  absl::Status Reload(const Configuration& configuration) {
    return manager_->Reload(configuration);
  }

  const std::string& http_address() const { return http_address_; }
  const GrpcServer& grpc() const { return *grpc_; }

 private:
  absl::Status StartEngine();
  absl::Status StartInstances();
  absl::Status StartFront();
  absl::Status StartGrpc();

  HostOptions options_;
  std::shared_ptr<Store> store_;
  std::shared_ptr<http::IoThreads> threads_;
  std::shared_ptr<HostedPlugin> plugin_;
  std::shared_ptr<PublishedInstances> instances_ = std::make_shared<PublishedInstances>();
  std::unique_ptr<Front> front_;
  std::shared_ptr<InstanceManager> manager_;
  std::unique_ptr<http::Server> server_;
  std::string http_address_;
  std::unique_ptr<GrpcServer> grpc_;
  bool drained_ = false;
};

absl::Status Host::Parts::Start() {
  if (options_.keep_in_memory) {  // else the store makes it, and makes its name durable
    if (absl::Status status = MakeDataDir(options_.data_dir); !status.ok()) return status;
  }
  if (absl::Status status = StartEngine(); !status.ok()) return status;
  if (absl::Status status = StartInstances(); !status.ok()) return status;
  WipeSecrets(options_.configuration);
  if (absl::Status status = StartFront(); !status.ok()) return status;
  return StartGrpc();
}

absl::Status Host::Parts::StartEngine() {
  auto store = OpenStore(options_);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  auto threads = http::IoThreads::Start(
      static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, kMostIoThreads)));
  if (!threads.ok()) return threads.status();
  threads_ = *std::move(threads);
  auto plugin = HostedPlugin::Load(options_.plugin_file,
                                   {.io_threads = 0, .limits = options_.configuration.limits_set},
                                   {.store = store_,
                                    .state = store_,
                                    .logger = options_.logger,
                                    .threads = CompletionsOn(threads_),
                                    .limits = options_.configuration.limits});
  if (!plugin.ok()) return plugin.status();
  plugin_ = *std::move(plugin);
  return absl::OkStatus();
}

absl::Status Host::Parts::StartInstances() {
  front_ = std::make_unique<Front>(instances_, *threads_,
                                   options_.configuration.limits.answer_timeout_ms);
  auto manager = InstanceManager::Start({.plugin = plugin_,
                                         .published = instances_,
                                         .store = store_,
                                         .logger = options_.logger,
                                         .on_publish = [this] { front_->RefreshThreads(); }},
                                        options_.configuration);
  if (!manager.ok()) return manager.status();
  manager_ = *std::move(manager);
  return absl::OkStatus();
}

absl::Status Host::Parts::StartFront() {
  auto address = ParseHostPort(options_.http_address);
  if (!address.ok()) return In("--http", address.status());
  auto server =
      http::Server::Listen({.address = address->host == "localhost" ? "127.0.0.1" : address->host,
                            .port = static_cast<uint16_t>(address->port),
                            .limits = options_.configuration.limits},
                           *threads_, *front_);
  if (!server.ok()) return In("--http", server.status());
  server_ = *std::move(server);
  http_address_ = FormatHostPort(server_->address(), server_->port());
  manager_->SetFrontUrl(absl::StrCat("http://", http_address_));
  return absl::OkStatus();
}

absl::Status Host::Parts::StartGrpc() {
  auto grpc = GrpcServer::Start(
      {.address = options_.grpc_address,
       .insecure_on_any_address = options_.grpc_insecure_on_any_address,
       .tls = options_.grpc_tls,
       .control_path = absl::StrCat(options_.data_dir, "/control.sock"),
       .limits = options_.configuration.limits},
      {.plugin = plugin_->info(), .instances = instances_, .store = store_, .manager = manager_});
  if (!grpc.ok()) return grpc.status();
  grpc_ = *std::move(grpc);
  return absl::OkStatus();
}

absl::Status Host::Parts::Drain(absl::Duration time) {
  if (std::exchange(drained_, true)) return absl::OkStatus();
  const absl::Time deadline = absl::Now() + time;
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
  server_.reset();
  // Runs what was posted last, which still uses the front.
  if (threads_ != nullptr) threads_->Stop();
  return result;
}

absl::StatusOr<std::unique_ptr<Host>> Host::Start(HostOptions options) {
  auto parts = std::make_unique<Parts>(std::move(options));
  if (absl::Status status = parts->Start(); !status.ok()) {
    parts->Drain(absl::ZeroDuration()).IgnoreError();
    return status;
  }
  return std::unique_ptr<Host>(new Host(std::move(parts)));
}

Host::Host(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Host::~Host() { Drain(absl::ZeroDuration()).IgnoreError(); }

const std::string& Host::http_address() const { return parts_->http_address(); }
const std::string& Host::grpc_address() const { return parts_->grpc().address(); }
const std::string& Host::control_path() const { return parts_->grpc().control_path(); }

absl::Status Host::Drain(absl::Duration time) { return parts_->Drain(time); }
absl::Status Host::Reload(const Configuration& configuration) {
  return parts_->Reload(configuration);
}

}  // namespace host_stub
