#include "plugin/runtime/listener.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace webhook::runtime {
namespace {

// Senders that a broken listener has still connections with get as long as any request may take.
absl::Duration TimeOfRequest(const Limits& limits) {
  return absl::Milliseconds(limits.head_timeout_ms + limits.body_timeout_ms +
                            limits.answer_timeout_ms + limits.write_timeout_ms);
}

// The server speaks of addresses and ports; a person knows the parameters.
absl::Status Named(const absl::Status& status) {
  const char* const parameter =
      absl::IsInvalidArgument(status) ? "bind_address: " : "longRunningPort: ";
  return absl::Status(status.code(), absl::StrCat(parameter, status.message()));
}

}  // namespace

class Listener::Core : public std::enable_shared_from_this<Listener::Core> {
 public:
  Core(http::ServerOptions options, ListenerEnvironment environment)
      : environment_(std::move(environment)), options_(std::move(options)) {}

  absl::Status Bind(Core* before) {
    if (before == nullptr) return BindAfter(nullptr);
    // So that its server stays where it is meanwhile.
    const std::lock_guard lock(before->mutex_);
    return BindAfter(before->server_.get());
  }

  void StartAccepting() {
    const std::lock_guard lock(mutex_);
    if (server_ != nullptr) server_->StartAccepting();
  }

  void SetTls(std::shared_ptr<const http::TlsContext> tls) {
    const std::lock_guard lock(mutex_);
    options_.tls = tls;
    if (server_ != nullptr) server_->SetTls(std::move(tls));
  }

  absl::Status status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void Retire(absl::Duration time) {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (server_ != nullptr) RetireServer(time);
  }

  void BeginDrain(absl::Duration time) {
    Retire(time);
    const std::lock_guard lock(mutex_);
    for (const Retired& one : retired_) one.server->Drain(time, [](bool) {});
  }

  bool drained() const {
    const std::lock_guard lock(mutex_);
    return ended_ && std::all_of(retired_.begin(), retired_.end(),
                                 [](const Retired& one) { return one.over->load(); });
  }

  void Drain(absl::Duration time) {
    BeginDrain(time);
    std::vector<Retired> retired;
    {
      const std::lock_guard lock(mutex_);
      retired.swap(retired_);
    }
    // Without the lock: an I/O thread that wants it must not be waited for.
    for (const Retired& one : retired) one.server->Drain(time);
  }

 private:
  struct Retired {
    std::unique_ptr<http::Server> server;
    std::shared_ptr<std::atomic<bool>> over;
  };

  absl::Status BindAfter(const http::Server* before) {
    // Weak: a server's last call must not keep alive what waits for that server.
    options_.on_listener_failed = [weak = weak_from_this()](const absl::Status& status) {
      if (const auto self = weak.lock()) self->OnFailed(status);
    };
    options_.accept_at_once = false;
    options_.takes_over_from = before;
    auto server = http::Server::Listen(options_, *environment_.threads, *environment_.handler);
    if (!server.ok()) return Named(server.status());
    server_ = *std::move(server);
    options_.port = server_->port();
    options_.accept_at_once = true;
    options_.takes_over_from = nullptr;
    return absl::OkStatus();
  }

  // On an I/O thread.
  void OnFailed(const absl::Status& error) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    const bool at_once = environment_.timers->Now() - begun_ >= kLongestPause;
    if (at_once) pause_ = absl::ZeroDuration();
    Plan(error.message());
  }

  // Tells of the failure and tries later.
  void Plan(absl::string_view error) {
    status_ = absl::UnavailableError(absl::StrCat(
        "longRunningPort: port ", options_.port, " of ", options_.address, " does not listen (",
        error, "); trying again in ", absl::FormatDuration(pause_)));
    environment_.report(status_);
    environment_.timers->RunAfter(pause_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->TryAgain();
    });
    pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
  }

  void TryAgain() {
    std::vector<Retired> over;  // destroyed without the lock, as it may take a moment
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    auto server = http::Server::Listen(options_, *environment_.threads, *environment_.handler);
    if (!server.ok()) return Plan(server.status().message());
    for (Retired& one : retired_) {
      if (one.over->load()) over.push_back(std::move(one));
    }
    std::erase_if(retired_, [](const Retired& one) { return one.server == nullptr; });
    RetireServer(TimeOfRequest(options_.limits));
    server_ = *std::move(server);
    begun_ = environment_.timers->Now();
    status_ = absl::OkStatus();
    environment_.report(status_);
  }

  void RetireServer(absl::Duration time) {
    auto over = std::make_shared<std::atomic<bool>>(false);
    server_->Retire(time, [over](bool) { over->store(true); });
    retired_.push_back({std::move(server_), std::move(over)});
  }

  const ListenerEnvironment environment_;
  mutable std::mutex mutex_;  // guards all below
  http::ServerOptions options_;
  std::unique_ptr<http::Server> server_;  // null once a drain has begun
  std::vector<Retired> retired_;
  bool ended_ = false;
  absl::Status status_;
  absl::Duration pause_;                              // before the next try
  absl::Duration begun_ = -absl::InfiniteDuration();  // when it was put up again last
};

absl::StatusOr<std::unique_ptr<Listener>> Listener::Bind(http::ServerOptions options,
                                                         ListenerEnvironment environment,
                                                         Listener* before) {
  auto core = std::make_shared<Core>(std::move(options), std::move(environment));
  absl::Status status = core->Bind(before == nullptr ? nullptr : before->core_.get());
  if (!status.ok()) return status;
  return std::unique_ptr<Listener>(new Listener(std::move(core)));
}

Listener::~Listener() { core_->Drain(absl::ZeroDuration()); }

void Listener::StartAccepting() { core_->StartAccepting(); }

void Listener::SetTls(std::shared_ptr<const http::TlsContext> tls) {
  core_->SetTls(std::move(tls));
}

absl::Status Listener::status() const { return core_->status(); }

void Listener::BeginDrain(absl::Duration time) { core_->BeginDrain(time); }

void Listener::Retire(absl::Duration time) { core_->Retire(time); }

bool Listener::drained() const { return core_->drained(); }

void Listener::Drain(absl::Duration time) { core_->Drain(time); }

}  // namespace webhook::runtime
