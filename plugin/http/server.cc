#include "plugin/http/server.h"

#include <errno.h>
#include <limits.h>
#include <sys/resource.h>

#include <algorithm>
#include <exception>
#include <future>
#include <mutex>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/listening_socket.h"
#include "plugin/http/shard.h"

namespace webhook::http {
namespace {

// Without descriptors or memory, to accept again at once would only waste processor time.
constexpr int64_t kPauseAfterFailureMs = 100;

// As many connections as the kernel queues for a listening socket, and more.
constexpr int kMostQueued = 4096;

// The listening socket itself has failed. accept also reports errors of the network and of single
// connections (accept(2)), which pass.
bool IsDead(int error) { return error == EBADF || error == EINVAL || error == ENOTSOCK; }

// Connections leave the last descriptors to the rest of the process: its files, its control socket.
int FirstSpareDescriptor() {
  rlimit descriptors = {};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return INT_MAX;
  const auto most = static_cast<int>(std::min<rlim_t>(descriptors.rlim_cur, INT_MAX));
  return most - std::min(most / 8, 64);
}

}  // namespace

// The listening socket and the drain live on one thread of the pool, the home thread. When a drain
// is over neither is watched nor armed any more, so that the last owner may be any thread.
class Server::Core final : public std::enable_shared_from_this<Server::Core>,
                           private EventLoop::Watcher,
                           private EventLoop::Timer {
 public:
  Core(ServerOptions options, IoThreads& threads, Handler& handler)
      : state_(std::make_shared<ServerState>(std::move(options), handler)),
        home_(threads.NextHome().events) {
    for (const auto& loop : threads.loops()) {
      shards_.push_back(std::make_shared<Shard>(state_, *loop));
    }
  }

  // Locks the other core only; no other thread knows this one yet.
  absl::Status Open(Core* before) {
    const ServerOptions& options = state_->options();
    const std::unique_lock<std::mutex> lock =
        before == nullptr ? std::unique_lock<std::mutex>() : std::unique_lock(before->mutex_);
    const bool beside =
        before != nullptr && before->socket_.is_open() && before->port_ == options.port;
    auto socket =
        ListeningSocket::Bind(options.address, options.port, beside ? &before->socket_ : nullptr);
    if (!socket.ok()) return socket.status();
    socket_ = *std::move(socket);
    port_ = socket_.port();
    listens_late_ = beside;
    return absl::OkStatus();
  }

  ServerState& state() { return *state_; }
  uint16_t port() const { return port_; }

  void StartAccepting() {
    {
      // Not on the home thread, so that the server that has the port may close it once this
      // returns.
      const std::lock_guard<std::mutex> lock(mutex_);
      if (std::exchange(listens_late_, false) && socket_.is_open()) socket_.Listen();
    }
    home_.Post([self = shared_from_this()] {
      if (!std::exchange(self->accepting_, true) && !self->draining_) self->Accept();
    });
  }

  void Drain(absl::Duration deadline, bool patient, absl::AnyInvocable<void(bool)> done) {
    home_.Post([self = shared_from_this(), deadline, patient, done = std::move(done)]() mutable {
      self->DrainAtHome(deadline, patient, std::move(done));
    });
  }

  // Waits until the home thread has done what was posted to it before.
  void AwaitHome() {
    std::promise<void> done;
    home_.Post([&done] { done.set_value(); });
    done.get_future().wait();
  }

 private:
  // All below run on the home thread.
  void OnEvents(uint32_t events) override;
  void OnTimer() override { draining_ ? Cut() : Accept(); }
  void Accept();
  void PauseAccepting();
  void OnAcceptFailed(int error);
  void Admit(Descriptor connection, const std::string& peer);
  void TakeQueued();
  void CloseSocket();
  void DrainAtHome(absl::Duration deadline, bool patient, absl::AnyInvocable<void(bool)> done);
  void DrainShards();
  void ShortenDeadline(absl::Duration deadline);
  void Cut();
  void OnShardEmpty();

  const std::shared_ptr<ServerState> state_;
  const int first_spare_descriptor_ = FirstSpareDescriptor();
  EventLoop& home_;
  std::vector<std::shared_ptr<Shard>> shards_;
  uint16_t port_ = 0;

  std::mutex mutex_;  // guards opening and closing of the socket, which another server may look at
  ListeningSocket socket_;
  bool listens_late_ = false;  // bound beside another, and does not listen yet

  size_t next_shard_ = 0;
  bool accepting_ = false;  // StartAccepting was called
  bool draining_ = false;
  bool patient_ = false;
  int64_t drain_until_ms_ = INT64_MAX;
  size_t shards_busy_ = 0;
  std::atomic<bool> cut_{false};
  std::vector<absl::AnyInvocable<void(bool)>> done_;
};

// The kernel may have no memory for it; then later.
void Server::Core::Accept() {
  if (!home_.Watch(socket_.descriptor(), *this, EPOLLIN)) {
    home_.Arm(*this, home_.now_ms() + kPauseAfterFailureMs);
  }
}

void Server::Core::PauseAccepting() {
  home_.Unwatch(socket_.descriptor(), *this);
  home_.Arm(*this, home_.now_ms() + kPauseAfterFailureMs);
}

// Accepts one connection. If more wait, the loop calls again.
void Server::Core::OnEvents(uint32_t) {
  try {
    std::string peer;
    Descriptor connection = socket_.Accept(peer);
    if (!connection.is_open()) return OnAcceptFailed(errno);
    Admit(std::move(connection), peer);
  } catch (const std::exception&) {
    // No memory for this one; those after it must still be accepted.
    PauseAccepting();
  }
}

void Server::Core::OnAcceptFailed(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK || error == ECONNABORTED) return;
  if (!IsDead(error)) return PauseAccepting();
  CloseSocket();  // gives the port back
  const auto& report = state_->options().on_listener_failed;
  if (report) report(absl::UnavailableError(std::generic_category().message(error)));
}

void Server::Core::Admit(Descriptor connection, const std::string& peer) {
  // The kernel gives the lowest free descriptor, so a high one means that few are left. Closing the
  // connection tells the peer; in the kernel's queue it would wait.
  if (connection.get() >= first_spare_descriptor_) return;
  if (!state_->Admit(peer)) return;
  const std::shared_ptr<Shard>& shard = shards_[next_shard_++ % shards_.size()];
  EventLoop& events = shard->loop().events;
  if (&events == &home_) return shard->Adopt(std::move(connection), peer);
  absl::Cleanup release = [this, &peer] { state_->Release(peer); };
  events.Post([shard, connection = std::move(connection), peer]() mutable {
    shard->Adopt(std::move(connection), std::move(peer));
  });
  std::move(release).Cancel();
}

// Closing the socket would reset the connections that wait in the kernel.
void Server::Core::TakeQueued() {
  if (!accepting_ || !socket_.is_open()) return;
  for (int i = 0; i < kMostQueued; ++i) {
    try {
      std::string peer;
      Descriptor connection = socket_.Accept(peer);
      if (!connection.is_open()) return;
      Admit(std::move(connection), peer);
    } catch (const std::exception&) {
      return;
    }
  }
}

void Server::Core::CloseSocket() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!socket_.is_open()) return;
  home_.Unwatch(socket_.descriptor(), *this);
  socket_.Close();
}

void Server::Core::DrainAtHome(absl::Duration deadline, bool patient,
                               absl::AnyInvocable<void(bool)> done) {
  const bool first = !std::exchange(draining_, true);
  if (!first && shards_busy_ == 0) return done(!cut_);
  done_.push_back(std::move(done));
  if (!first) {
    if (!patient && std::exchange(patient_, false)) {
      for (const std::shared_ptr<Shard>& shard : shards_) {
        shard->loop().events.Post([shard] { shard->EndPatience(); });
      }
    }
    return ShortenDeadline(deadline);
  }
  patient_ = patient;
  home_.Disarm(*this);
  shards_busy_ = shards_.size();
  if (deadline > absl::ZeroDuration()) TakeQueued();
  CloseSocket();
  DrainShards();
  ShortenDeadline(deadline);
}

void Server::Core::DrainShards() {
  for (const std::shared_ptr<Shard>& shard : shards_) {
    shard->loop().events.Post([self = shared_from_this(), shard, patient = patient_] {
      shard->Drain(patient, [self] { self->home_.Post([self] { self->OnShardEmpty(); }); });
    });
  }
}

void Server::Core::ShortenDeadline(absl::Duration deadline) {
  // A day stands for "as long as it takes".
  const int64_t time_ms = absl::ToInt64Milliseconds(std::min(deadline, absl::Hours(24)));
  const int64_t until_ms = home_.now_ms() + time_ms;
  if (until_ms >= drain_until_ms_) return;
  drain_until_ms_ = until_ms;
  if (time_ms <= 0) return Cut();
  home_.Arm(*this, until_ms);
}

void Server::Core::Cut() {
  if (shards_busy_ == 0) return;
  for (const std::shared_ptr<Shard>& shard : shards_) {
    shard->loop().events.Post(
        [self = shared_from_this(), shard] { shard->Cut([self] { self->cut_ = true; }); });
  }
}

void Server::Core::OnShardEmpty() {
  if (--shards_busy_ > 0) return;
  home_.Disarm(*this);
  std::vector<absl::AnyInvocable<void(bool)>> done;
  done.swap(done_);
  for (auto& one : done) one(!cut_);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Listen(ServerOptions options, IoThreads& threads,
                                                       Handler& handler) {
  const bool accept_at_once = options.accept_at_once;
  const Server* const before = std::exchange(options.takes_over_from, nullptr);
  auto core = std::make_shared<Core>(std::move(options), threads, handler);
  absl::Status status = core->Open(before == nullptr ? nullptr : before->core_.get());
  if (!status.ok()) return status;
  if (accept_at_once) core->StartAccepting();
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

Server::Server(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Server::~Server() { Drain(absl::ZeroDuration()); }

const std::string& Server::address() const { return core_->state().options().address; }

uint16_t Server::port() const { return core_->port(); }

void Server::StartAccepting() { core_->StartAccepting(); }

void Server::SetTls(std::shared_ptr<const TlsContext> tls) {
  core_->state().SetTls(std::move(tls));
}

int64_t Server::connections() const { return core_->state().connections(); }

void Server::Drain(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done) {
  core_->Drain(deadline, /*patient=*/false, std::move(done));
}

void Server::Retire(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done) {
  core_->Drain(deadline, /*patient=*/true, std::move(done));
}

void Server::AwaitPortFree() { core_->AwaitHome(); }

bool Server::Drain(absl::Duration deadline) {
  std::promise<bool> over;
  core_->Drain(deadline, /*patient=*/false, [&over](bool clean) { over.set_value(clean); });
  return over.get_future().get();
}

}  // namespace webhook::http
