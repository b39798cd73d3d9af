#include "plugin/runtime/listener.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace webhook::runtime {
namespace {

// Senders that still have connections to a broken listener get as long as any request may take.
absl::Duration TimeOfRequest(const Limits& limits) {
  return absl::Milliseconds(limits.head_timeout_ms + limits.body_timeout_ms +
                            limits.answer_timeout_ms + limits.write_timeout_ms);
}

// The server speaks of addresses and ports; an operator knows the parameters.
absl::Status Named(const absl::Status& status) {
  const char* const parameter =
      absl::IsInvalidArgument(status) ? "bind_address: " : "longRunningPort: ";
  return absl::Status(status.code(), absl::StrCat(parameter, status.message()));
}

}  // namespace

std::string Ports::Take(uint16_t port, const void* owner, absl::string_view instance,
                        std::weak_ptr<Listener> waiter) {
  const std::lock_guard lock(mutex_);
  Port& taken = taken_.try_emplace(port, Port{owner, std::string(instance), 0, {}}).first->second;
  if (taken.owner == owner) {
    ++taken.uses;
    return "";
  }
  // A waiter that asks again is listed once.
  std::erase_if(taken.waiting, [&](const auto& one) {
    return one.expired() || (!one.owner_before(waiter) && !waiter.owner_before(one));
  });
  taken.waiting.push_back(std::move(waiter));
  return taken.instance;
}

void Ports::GiveUp(uint16_t port) {
  std::vector<std::weak_ptr<Listener>> waiting;
  {
    const std::lock_guard lock(mutex_);
    const auto taken = taken_.find(port);
    if (--taken->second.uses > 0) return;
    waiting = std::move(taken->second.waiting);
    taken_.erase(taken);
  }
  for (const std::weak_ptr<Listener>& one : waiting) {
    if (const std::shared_ptr<Listener> waiter = one.lock()) waiter->TryAgain();
  }
}

absl::StatusOr<std::shared_ptr<Listener>> Listener::Make(http::ServerOptions options,
                                                         ListenerEnvironment environment,
                                                         Listener* before, bool wait_for_port) {
  options.accept_at_once = false;
  const std::shared_ptr<Listener> self(new Listener(std::move(options), std::move(environment)));
  if (absl::Status status = self->Begin(before, wait_for_port); !status.ok()) return status;
  // Callbacks may own it for a moment, too, on threads that must not wait for the drain.
  return std::shared_ptr<Listener>(self.get(),
                                   [self](Listener*) { self->Drain(absl::ZeroDuration()); });
}

absl::Status Listener::Begin(Listener* before, bool wait_for_port) {
  const std::lock_guard lock(mutex_);
  // Weak: the callback must not keep the listener alive, which owns the server.
  options_.on_listener_failed = [weak = weak_from_this()](const absl::Status& status) {
    if (const auto self = weak.lock()) self->OnFailed(status);
  };
  status_ = TakePort();
  if (!status_.ok()) return wait_for_port ? absl::OkStatus() : Named(status_);
  if (before == nullptr) {
    status_ = Listen(nullptr);
  } else {
    // The lock keeps its server from being replaced meanwhile.
    const std::lock_guard lock_of_before(before->mutex_);
    status_ = Listen(before->server_.get());
  }
  return status_.ok() ? status_ : Named(status_);
}

void Listener::StartAccepting() {
  const std::lock_guard lock(mutex_);
  options_.accept_at_once = true;
  if (server_ != nullptr) {
    server_->StartAccepting();
  } else if (!ended_) {
    // The instance that has the port usually gives it up within the same change.
    pause_ = kFirstPause;
    TryAgainLater();
  }
}

void Listener::SetTls(std::shared_ptr<const http::TlsContext> tls) {
  const std::lock_guard lock(mutex_);
  options_.tls = tls;
  for (const Retired& one : retired_) one.server->SetTls(tls);
  if (server_ != nullptr) server_->SetTls(std::move(tls));
}

void Listener::SetProxies(http::Proxies proxies) {
  const std::lock_guard lock(mutex_);
  options_.proxies = proxies;
  if (server_ != nullptr) server_->SetProxies(std::move(proxies));
}

absl::Status Listener::status() const {
  const std::lock_guard lock(mutex_);
  return status_.ok() ? status_ : Named(status_);
}

void Listener::Retire(absl::Duration time) {
  std::shared_ptr<http::Server> server;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    server = server_;
    if (server != nullptr) RetireServer(time);
  }
  // Without the lock: the I/O thread that closes the port may wait for it.
  if (server != nullptr) server->AwaitPortFree();
  GiveUpPort();
}

void Listener::BeginDrain(absl::Duration time) {
  Retire(time);
  const std::lock_guard lock(mutex_);
  for (const Retired& one : retired_) one.server->Drain(time, [](bool) {});
}

bool Listener::drained() const {
  const std::lock_guard lock(mutex_);
  return ended_ && std::all_of(retired_.begin(), retired_.end(),
                               [](const Retired& one) { return one.over->load(); });
}

void Listener::Drain(absl::Duration time) {
  BeginDrain(time);
  std::vector<Retired> retired;
  {
    const std::lock_guard lock(mutex_);
    retired.swap(retired_);
  }
  // Without the lock: an I/O thread that wants it must not be waited for.
  for (const Retired& one : retired) one.server->Drain(time);
}

// ALREADY_EXISTS: another instance has the port; TryAgain is called when it gives it up.
absl::Status Listener::TakePort() {
  if (options_.port == 0 || has_port_) return absl::OkStatus();
  const std::string other = environment_.ports->Take(options_.port, environment_.handler,
                                                     environment_.instance, weak_from_this());
  has_port_ = other.empty();
  if (has_port_) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("port ", options_.port, " is that of instance ",
                                               other, " already; each instance needs its own"));
}

// Without the lock: it calls other listeners, which wait for the port.
void Listener::GiveUpPort() {
  uint16_t port = 0;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(has_port_, false)) port = options_.port;
  }
  if (port != 0) environment_.ports->GiveUp(port);
}

absl::Status Listener::Listen(http::Server* before) {
  http::ServerOptions options = options_;
  options.takes_over_from = before;
  auto server =
      http::Server::Listen(std::move(options), *environment_.threads, *environment_.handler);
  if (!server.ok()) return server.status();
  if (server_ != nullptr) RetireServer(TimeOfRequest(options_.limits));
  server_ = *std::move(server);
  options_.port = server_->port();
  return absl::OkStatus();
}

// On an I/O thread.
void Listener::OnFailed(const absl::Status& error) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  const bool at_once = environment_.timers->Now() - begun_ >= kLongestPause;
  if (at_once) pause_ = absl::ZeroDuration();
  status_ = error;
  ReportFailure();
}

// Reports why it does not listen, and tries again later.
void Listener::ReportFailure() {
  status_ = absl::UnavailableError(
      absl::StrCat("port ", options_.port, " of ", options_.address, " does not listen (",
                   status_.message(), "); trying again in ", absl::FormatDuration(pause_)));
  environment_.report(Named(status_));
  TryAgainLater();
}

void Listener::TryAgainLater() {
  environment_.timers->RunAfter(pause_, [weak = weak_from_this(), timer = ++timers_set_] {
    if (const auto self = weak.lock()) self->TryAgain(timer);
  });
  pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
}

void Listener::TryAgain(int64_t timer) {
  std::vector<Retired> over;  // destroyed without the lock, as it may take a moment
  const std::lock_guard lock(mutex_);
  if (ended_ || status_.ok() || (timer != 0 && timer != timers_set_)) return;
  status_ = TakePort();
  if (status_.ok()) status_ = Listen(nullptr);
  if (!status_.ok()) {
    // One that does not accept yet is only prepared; nobody needs to know.
    if (options_.accept_at_once) ReportFailure();
    return;
  }
  for (Retired& one : retired_) {
    if (one.over->load()) over.push_back(std::move(one));
  }
  std::erase_if(retired_, [](const Retired& one) { return one.server == nullptr; });
  begun_ = environment_.timers->Now();
  if (options_.accept_at_once) environment_.report(status_);
}

void Listener::RetireServer(absl::Duration time) {
  auto over = std::make_shared<std::atomic<bool>>(false);
  server_->Retire(time, [over](bool) { over->store(true); });
  retired_.push_back({std::move(server_), std::move(over)});
}

}  // namespace webhook::runtime
