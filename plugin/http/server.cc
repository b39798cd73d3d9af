#include "plugin/http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <future>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "plugin/http/response_format.h"
#include "plugin/http/shard.h"

namespace webhook::http {
namespace {

// Without descriptors or memory, to accept again at once would only waste processor time.
constexpr int64_t kPauseAfterFailureMs = 100;

constexpr Refusal kNoDescriptors = {503, "the process has no more file descriptors (ulimit -n)",
                                    LRI_REASON_TOO_MANY_CONNECTIONS};

constexpr absl::string_view kUnixPrefix = "unix:";

// As many connections as the kernel queues for a listening socket, and more.
constexpr int kMostQueued = 4096;

struct Endpoint {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
};

// "fe80::1%eth0", "fe80::1%2": an interface's name or number (RFC 4007 section 11).
bool ReadScope(const std::string& text, sockaddr_in6& address) {
  address.sin6_scope_id = if_nametoindex(text.c_str());
  return address.sin6_scope_id != 0 || absl::SimpleAtoi(text, &address.sin6_scope_id);
}

std::optional<Endpoint> ReadEndpoint(const std::string& text, uint16_t port) {
  Endpoint endpoint;
  if (absl::StartsWith(text, kUnixPrefix)) {
    auto& local = reinterpret_cast<sockaddr_un&>(endpoint.address);
    local.sun_family = AF_UNIX;
    endpoint.size = sizeof local;
    if (text.copy(local.sun_path, sizeof local.sun_path, kUnixPrefix.size()) ==
        sizeof local.sun_path) {
      return {};  // no room for the zero at its end
    }
    return endpoint;
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(endpoint.address);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    endpoint.size = sizeof v4;
    return endpoint;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(endpoint.address);
  const size_t percent = text.find('%');
  if (inet_pton(AF_INET6, text.substr(0, percent).c_str(), &v6.sin6_addr) != 1) return {};
  if (percent != std::string::npos && !ReadScope(text.substr(percent + 1), v6)) return {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  endpoint.size = sizeof v6;
  return endpoint;
}

// An IPv4 peer of an IPv6 socket gets its IPv4 address.
std::string PeerText(Endpoint& peer) {
  if (peer.address.ss_family == AF_UNIX) return "unix";
  auto& v6 = reinterpret_cast<sockaddr_in6&>(peer.address);
  if (v6.sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
    std::memcpy(&peer.address, &v4, sizeof v4);
    peer.size = sizeof v4;
  }
  char text[NI_MAXHOST] = "";
  getnameinfo(peer.get(), peer.size, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  return text;
}

absl::Status Explain(int error, const std::string& address, uint16_t port) {
  const std::string where = absl::StrCat("port ", port, " of ", address);
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(absl::StrCat(where, " is in use"));
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(where, " needs more rights"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(absl::StrCat(address, " is no address of this machine"));
    default:
      return absl::UnavailableError(
          absl::StrCat(where, ": ", std::generic_category().message(error)));
  }
}

bool SetOption(const Descriptor& socket, int option) {
  const int yes = 1;
  return setsockopt(socket.get(), SOL_SOCKET, option, &yes, sizeof yes) == 0;
}

// A socket that is bound to an IPv4 or IPv6 address and listens. `port` 0: the system chooses one,
// which is then in `port`. `beside`: a listening socket of ours on the same port that will be
// closed, or null. With one, the new socket does not listen yet: see Server::StartAccepting.
// ALREADY_EXISTS: the port is in use; PERMISSION_DENIED; INVALID_ARGUMENT: no address of this
// machine; UNAVAILABLE.
absl::StatusOr<Descriptor> BindSocket(const std::string& address, uint16_t& port,
                                      const Descriptor* beside) {
  std::optional<Endpoint> endpoint = ReadEndpoint(address, port);
  if (!endpoint.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" is no IPv4 or IPv6 address"));
  }
  Descriptor socket(
      ::socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // SO_REUSEADDR: a restart must not wait until old connections have timed out. SO_REUSEPORT only
  // beside a socket that will be closed: otherwise a port that is in use must be an error. If the
  // new one listened there, it would get connections at once, which the other has to answer.
  const bool bound = socket.is_open() && SetOption(socket, SO_REUSEADDR) &&
                     (beside == nullptr ||
                      (SetOption(*beside, SO_REUSEPORT) && SetOption(socket, SO_REUSEPORT))) &&
                     ::bind(socket.get(), endpoint->get(), endpoint->size) == 0 &&
                     (beside != nullptr || ::listen(socket.get(), SOMAXCONN) == 0);
  endpoint->size = sizeof endpoint->address;
  if (!bound || getsockname(socket.get(), endpoint->get(), &endpoint->size) != 0) {
    return Explain(errno, address, port);
  }
  // The port is at the same place for both families; a path has none.
  if (endpoint->address.ss_family != AF_UNIX)
    port = ntohs(reinterpret_cast<const sockaddr_in&>(endpoint->address).sin_port);
  return socket;
}

// Accepts a connection that waits; `peer` is then who made it. If there is none, the result
// is not open and errno is that of accept(2).
Descriptor AcceptFrom(const Descriptor& socket, Peer& peer) {
  for (;;) {
    Endpoint endpoint;
    Descriptor accepted(
        accept4(socket.get(), endpoint.get(), &endpoint.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted.is_open() && errno == EINTR) continue;
    if (accepted.is_open()) {
      peer.address = Address::Of(endpoint.address);
      peer.text = PeerText(endpoint);
    }
    return accepted;
  }
}

}  // namespace

// Connections leave the last descriptors to the rest of the process: its files, its control socket.
int FirstSpareDescriptor() {
  rlimit descriptors = {};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return INT_MAX;
  const auto most = static_cast<int>(std::min<rlim_t>(descriptors.rlim_cur, INT_MAX));
  return most - std::min(most / 8, 64);
}

Server::Server(ServerOptions options, IoThreads& threads, Handler& handler)
    : state_(std::make_shared<ServerState>(std::move(options), handler)),
      home_(threads.NextHome().events) {
  for (const auto& loop : threads.loops()) {
    shards_.push_back(std::make_shared<Shard>(state_, *loop));
  }
}

absl::StatusOr<std::shared_ptr<Server>> Server::Listen(ServerOptions options, IoThreads& threads,
                                                       Handler& handler) {
  const bool accept_at_once = options.accept_at_once;
  Server* const before = std::exchange(options.takes_over_from, nullptr);
  const std::shared_ptr<Server> self(new Server(std::move(options), threads, handler));
  if (absl::Status status = self->Open(before); !status.ok()) return status;
  if (accept_at_once) self->StartAccepting();
  // Tasks on the pool's threads own it for a moment, too, and must not wait for the drain.
  return std::shared_ptr<Server>(self.get(),
                                 [self](Server*) { self->Drain(absl::ZeroDuration()); });
}

// Locks the other server only; no other thread knows this one yet.
absl::Status Server::Open(Server* before) {
  const ServerOptions& options = state_->options();
  const std::unique_lock<std::mutex> lock =
      before == nullptr ? std::unique_lock<std::mutex>() : std::unique_lock(before->mutex_);
  const bool beside =
      before != nullptr && before->socket_.is_open() && before->port_ == options.port;
  port_ = options.port;
  auto socket = BindSocket(options.address, port_, beside ? &before->socket_ : nullptr);
  if (!socket.ok()) return socket.status();
  socket_ = *std::move(socket);
  listens_late_ = beside;
  return absl::OkStatus();
}

template <typename Action>
void Server::AtShards(Action action) {
  for (const std::shared_ptr<Shard>& shard : shards_) {
    shard->loop().events.Post(
        [self = shared_from_this(), shard, action] { action(*self, *shard); });
  }
}

const std::string& Server::address() const { return state_->options().address; }

void Server::SetTls(std::shared_ptr<const TlsContext> tls) {
  state_->SetTls(std::move(tls));
  AtShards([](Server&, Shard& shard) { shard.OnTlsChanged(); });
}

void Server::SetProxies(Proxies proxies) { state_->SetProxies(std::move(proxies)); }

int64_t Server::connections() const { return state_->connections(); }
int64_t Server::bytes_in_flight() const { return state_->bytes_in_flight(); }

void Server::StartAccepting() {
  {
    // Not on the home thread, so that the server that has the port may close it once this returns.
    // If it fails, accept tells.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::exchange(listens_late_, false) && socket_.is_open())
      ::listen(socket_.get(), SOMAXCONN);
  }
  home_.Post([self = shared_from_this()] {
    if (!std::exchange(self->accepting_, true) && !self->draining_) self->Accept();
  });
}

void Server::BeginDrain(absl::Duration deadline, bool patient,
                        absl::AnyInvocable<void(bool)> done) {
  home_.Post([self = shared_from_this(), deadline, patient, done = std::move(done)]() mutable {
    self->DrainAtHome(deadline, patient, std::move(done));
  });
}

void Server::Drain(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done) {
  BeginDrain(deadline, /*patient=*/false, std::move(done));
}

bool Server::Drain(absl::Duration deadline) {
  std::promise<bool> over;
  Drain(deadline, [&over](bool clean) { over.set_value(clean); });
  return over.get_future().get();
}

void Server::Retire(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done) {
  BeginDrain(deadline, /*patient=*/true, std::move(done));
}

// In a task that was posted before, the home thread closes the socket and posts to the shards.
void Server::AwaitPortFree() {
  const auto await = [](EventLoop& loop) {
    std::promise<void> done;
    loop.Post([&done] { done.set_value(); });
    done.get_future().wait();
  };
  await(home_);
  for (const std::shared_ptr<Shard>& shard : shards_) await(shard->loop().events);
}

// The kernel may have no memory for it; then later.
void Server::Accept() {
  if (!home_.Watch(socket_, *this, EPOLLIN)) {
    home_.Arm(*this, home_.now_ms() + kPauseAfterFailureMs);
  }
}

void Server::PauseAccepting() {
  home_.Unwatch(socket_, *this);
  home_.Arm(*this, home_.now_ms() + kPauseAfterFailureMs);
}

// False: no connection waits, and errno tells why.
bool Server::AcceptOne() {
  Peer peer;
  Descriptor connection = AcceptFrom(socket_, peer);
  if (!connection.is_open()) return false;
  Admit(std::move(connection), std::move(peer));
  return true;
}

// If more connections wait, the loop calls again.
void Server::OnEvents(uint32_t) {
  try {
    if (!AcceptOne()) OnAcceptFailed(errno);
  } catch (const std::exception&) {
    // No memory for this one; those after it must still be accepted.
    PauseAccepting();
  }
}

void Server::OnAcceptFailed(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK || error == ECONNABORTED) return;
  // accept also reports errors of the network and of single connections (accept(2)), which pass.
  if (error != EBADF && error != EINVAL && error != ENOTSOCK) return PauseAccepting();
  CloseSocket();  // gives the port back
  const auto& report = state_->options().on_listener_failed;
  if (report) report(absl::UnavailableError(std::generic_category().message(error)));
}

void Server::Admit(Descriptor connection, Peer peer) {
  // The kernel gives the lowest free descriptor, so a high one means that few are left. A refusal
  // tells the peer; in the kernel's queue the connection would wait.
  if (connection.get() >= state_->options().first_spare_descriptor) {
    state_->LetOneGiveWay();  // for the next one
    return Refuse(std::move(connection), std::move(peer), kNoDescriptors);
  }
  Place* place = nullptr;
  const Refusal refusal = state_->Admit(peer, &place);
  if (refusal.reason == LRI_REASON_ADDRESS) {
    // What it speaks is not known, so it is told nothing.
    return state_->handler().OnAnswered(
        {.peer = peer.text, .reason = refusal.reason, .detail = refusal.text});
  }
  if (refusal.status != 0) return Refuse(std::move(connection), std::move(peer), refusal);
  HandOver(std::move(connection), std::move(peer), place, refusal);
}

// The answer is written without anything being read. A few connections are kept until the peer has
// read it; to the others it may be lost.
void Server::Refuse(Descriptor connection, Peer peer, const Refusal& refusal) {
  peer.proxies = nullptr;  // nothing is read
  const bool plain = state_->tls() == nullptr && !state_->options().take;
  if (plain && connection.get() < state_->options().first_spare_descriptor) {
    if (Place* const place = state_->AdmitForRefusal()) {
      return HandOver(std::move(connection), std::move(peer), place, refusal);
    }
  }
  const bool sent = plain && send(connection.get(), kUnreadRefusal.data(), kUnreadRefusal.size(),
                                  MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
  state_->handler().OnAnswered(
      {.peer = peer.text,
       .status = sent ? refusal.status : 0,
       .reason = refusal.reason,
       .detail = refusal.text,
       .bytes_out = sent ? static_cast<int64_t>(kUnreadRefusal.size()) : 0});
}

void Server::HandOver(Descriptor connection, Peer peer, Place* place, const Refusal& refusal) {
  if (const auto& take = state_->options().take; take) {
    absl::Cleanup release = [state = state_, place] { state->Release(place); };
    auto held = std::make_shared<decltype(release)>(std::move(release));
    return take(home_, std::move(connection), std::move(peer.text), std::move(held));
  }
  const std::shared_ptr<Shard>& shard = shards_[next_shard_++ % shards_.size()];
  EventLoop& events = shard->loop().events;
  if (&events == &home_) {
    return shard->Adopt(std::move(connection), std::move(peer), place, refusal);
  }
  absl::Cleanup release = [this, place] { state_->Release(place); };
  events.Post([shard, connection = std::move(connection), peer = std::move(peer), place,
               refusal]() mutable {
    shard->Adopt(std::move(connection), std::move(peer), place, refusal);
  });
  std::move(release).Cancel();
}

// Closing the socket would reset the connections that wait in the kernel.
void Server::TakeQueued() {
  if (!accepting_ || !socket_.is_open()) return;
  try {
    for (int i = 0; i < kMostQueued && AcceptOne(); ++i) {
    }
  } catch (const std::exception&) {
    // No memory for the rest.
  }
}

void Server::CloseSocket() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!socket_.is_open()) return;
  home_.Unwatch(socket_, *this);
  socket_.Close();
}

void Server::DrainAtHome(absl::Duration deadline, bool patient,
                         absl::AnyInvocable<void(bool)> done) {
  const bool first = !std::exchange(draining_, true);
  if (!first && shards_busy_ == 0) return done(!cut_);
  done_.push_back(std::move(done));
  if (!first) {
    if (!patient && std::exchange(patient_, false)) {
      AtShards([](Server&, Shard& shard) { shard.EndPatience(); });
    }
    return ShortenDeadline(deadline);
  }
  patient_ = patient;
  home_.Disarm(*this);
  shards_busy_ = shards_.size();
  if (deadline > absl::ZeroDuration()) TakeQueued();
  CloseSocket();
  AtShards([patient](Server& server, Shard& shard) {
    shard.Drain(patient, [self = server.shared_from_this()] {
      self->home_.Post([self] { self->OnShardEmpty(); });
    });
  });
  ShortenDeadline(deadline);
}

void Server::ShortenDeadline(absl::Duration deadline) {
  // A day stands for "as long as it takes".
  const int64_t time_ms = absl::ToInt64Milliseconds(std::min(deadline, absl::Hours(24)));
  const int64_t until_ms = home_.now_ms() + time_ms;
  if (until_ms >= drain_until_ms_) return;
  drain_until_ms_ = until_ms;
  if (time_ms <= 0) return Cut();
  home_.Arm(*this, until_ms);
}

void Server::Cut() {
  if (shards_busy_ == 0) return;
  AtShards([](Server& server, Shard& shard) { shard.Cut([&server] { server.cut_ = true; }); });
}

void Server::OnShardEmpty() {
  if (--shards_busy_ > 0) return;
  home_.Disarm(*this);
  std::vector<absl::AnyInvocable<void(bool)>> done;
  done.swap(done_);
  for (auto& one : done) one(!cut_);
}

}  // namespace webhook::http
