#include "plugin/http/server.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <future>
#include <mutex>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "plugin/http/io_threads_internal.h"
#include "plugin/http/listening_socket.h"
#include "plugin/http/operation_slot.h"
#include "plugin/http/shard.h"

namespace webhook::http {
namespace {

using boost::asio::ip::tcp;
using Executor = boost::asio::io_context::executor_type;
using Timer = boost::asio::basic_waitable_timer<
    std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Error = boost::system::error_code;

// Without descriptors or memory, accepting at once again would only burn the processor.
constexpr auto kPauseAfterFailure = std::chrono::milliseconds(100);

// Is the listening socket itself no longer one? Linux hands errors of the network and of single
// connections to accept, too (accept(2)); those pass.
bool IsDead(const Error& error) {
  return error == boost::asio::error::bad_descriptor ||
         error == boost::asio::error::invalid_argument || error == boost::asio::error::not_socket;
}

// Connections leave these to the rest of the process: its files, its control socket.
int FirstSpareDescriptor() {
  rlimit descriptors = {};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return INT_MAX;
  const auto most = static_cast<int>(std::min<rlim_t>(descriptors.rlim_cur, INT_MAX));
  return most - std::min(most / 8, 64);
}

std::string PeerText(const tcp::endpoint& endpoint) {
  boost::asio::ip::address address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
  }
  return address.to_string();
}

}  // namespace

class Server::Core : public std::enable_shared_from_this<Server::Core> {
 public:
  Core(ServerOptions options, IoThreads& threads, Handler& handler)
      : state_(std::make_shared<ServerState>(std::move(options), handler)),
        loops_(threads.loops()),
        home_(*loops_.loops[loops_.next_home.fetch_add(1) % loops_.loops.size()]),
        acceptor_(home_.context),
        timer_(home_.context) {
    for (auto& loop : loops_.loops) shards_.push_back(std::make_shared<Shard>(state_, *loop));
  }

  absl::Status Open(Core* before) {
    const std::lock_guard lock(acceptor_mutex_);
    absl::Status status =
        before == nullptr ? Bind(state_->options(), -1, acceptor_) : OpenAfter(*before);
    if (!status.ok()) return status;
    Error error;
    port_ = acceptor_.local_endpoint(error).port();
    return error ? absl::InternalError(error.message()) : absl::OkStatus();
  }

  ServerState& state() { return *state_; }
  uint16_t port() const { return port_; }

  void StartAccepting() {
    // At once, so that whoever has the port may go when this has returned.
    ListenLate();
    boost::asio::post(home_.context, [self = shared_from_this()] {
      if (std::exchange(self->accepting_, true) || self->draining_) return;
      self->Accept();
    });
  }

  void Drain(absl::Duration deadline, bool patient, absl::AnyInvocable<void(bool)> done) {
    boost::asio::post(home_.context, [self = shared_from_this(), deadline, patient,
                                      done = std::move(done)]() mutable {
      self->DrainAtHome(deadline, patient, std::move(done));
    });
  }

  // Waits until the home thread has done what was posted to it before.
  void AwaitHome() {
    std::promise<void> done;
    boost::asio::post(home_.context, [&done] { done.set_value(); });
    done.get_future().wait();
  }

 private:
  absl::Status OpenAfter(Core& before);
  void ListenLate();

  // All below run on the home thread.
  struct AcceptAgain;
  void CloseAcceptor();
  void TakeQueued();
  void DrainShards();
  struct AcceptNow;
  void Accept();
  void AcceptLater();
  Socket AcceptOne(Error& error);
  void Admit(Socket socket);
  void OnReadable(Error error);
  void OnAccepted(const Error& error, Socket socket);
  void DrainAtHome(absl::Duration deadline, bool patient, absl::AnyInvocable<void(bool)> done);
  void ShortenDeadline(absl::Duration deadline);
  void Cut();
  void OnShardEmpty();

  const std::shared_ptr<ServerState> state_;
  const int first_spare_descriptor_ = FirstSpareDescriptor();
  IoThreads::Loops& loops_;
  Loop& home_;
  // Guards opening and closing of the acceptor, which another server may look at, and the next two.
  std::mutex acceptor_mutex_;
  Acceptor acceptor_;
  std::shared_ptr<char> socket_use_ = std::make_shared<char>();  // held by all who share the socket
  bool beside_ = false;                                          // bound, and does not listen yet
  OperationSlot accept_slot_;
  OperationSlot pause_slot_;
  Timer timer_;  // pauses accepting, later the drain's deadline
  std::vector<std::shared_ptr<Shard>> shards_;
  tcp::endpoint peer_;
  uint16_t port_ = 0;
  size_t next_ = 0;
  bool accepting_ = false;
  bool draining_ = false;
  bool patient_ = false;
  std::chrono::steady_clock::time_point drain_until_;
  size_t shards_busy_ = 0;
  std::atomic<bool> cut_{false};
  std::vector<absl::AnyInvocable<void(bool)>> done_;
};

// Waits in memory of the core's own, so that it can be relied on when there is no other.
struct Server::Core::AcceptAgain {
  using allocator_type = SlotAllocator<char>;

  explicit AcceptAgain(std::shared_ptr<Core> core)
      : self(std::move(core)), slot(&self->pause_slot_) {}

  std::shared_ptr<Core> self;
  OperationSlot* slot;  // asked for also after the rest was moved away

  allocator_type get_allocator() const noexcept { return allocator_type(*slot); }
  void operator()(const Error&) const {
    if (!self->draining_) self->Accept();
  }
};

// The same, when a connection waits.
struct Server::Core::AcceptNow {
  using allocator_type = SlotAllocator<char>;

  explicit AcceptNow(std::shared_ptr<Core> core)
      : self(std::move(core)), slot(&self->accept_slot_) {}

  std::shared_ptr<Core> self;
  OperationSlot* slot;

  allocator_type get_allocator() const noexcept { return allocator_type(*slot); }
  void operator()(const Error& error) const { self->OnReadable(error); }
};

// With our own lock held. Nobody else knows this core yet, so no two wait for each other.
absl::Status Server::Core::OpenAfter(Core& before) {
  const std::lock_guard lock(before.acceptor_mutex_);
  const ServerOptions& options = state_->options();
  if (!before.acceptor_.is_open() || before.port_ != options.port) {
    return Bind(options, -1, acceptor_);
  }
  Error error;
  const boost::asio::ip::address address = boost::asio::ip::make_address(options.address, error);
  const tcp::endpoint theirs = before.acceptor_.local_endpoint(error);
  if (error || theirs.address() != address) {
    beside_ = true;
    return Bind(options, before.acceptor_.native_handle(), acceptor_);
  }
  const int shared = fcntl(before.acceptor_.native_handle(), F_DUPFD_CLOEXEC, 0);
  if (shared < 0) error = Error(errno, boost::system::system_category());
  if (!error) acceptor_.assign(theirs.protocol(), shared, error);
  if (!error) acceptor_.non_blocking(true, error);
  if (error) {
    if (shared >= 0) ::close(shared);
    return ExplainBind(error, options);
  }
  socket_use_ = before.socket_use_;
  return absl::OkStatus();
}

void Server::Core::ListenLate() {
  const std::lock_guard lock(acceptor_mutex_);
  if (!std::exchange(beside_, false) || !acceptor_.is_open()) return;
  Error told_by_accept;
  acceptor_.listen(boost::asio::socket_base::max_listen_connections, told_by_accept);
}

// Not by close: of a socket that is shared the kernel would go on telling the event loop.
void Server::Core::CloseAcceptor() {
  const std::lock_guard lock(acceptor_mutex_);
  if (!acceptor_.is_open()) return;
  Error error;
  const int socket = acceptor_.release(error);
  if (!error) ::close(socket);
  socket_use_.reset();
}

// The kernel would reset the connections that it has made and that nobody accepted.
void Server::Core::TakeQueued() {
  if (!accepting_ || !acceptor_.is_open()) return;
  {
    const std::lock_guard lock(acceptor_mutex_);
    if (socket_use_.use_count() > 1) return;  // another server accepts them
  }
  Error error;
  for (int i = 0; !error && i < boost::asio::socket_base::max_listen_connections; ++i) {
    try {
      Socket socket = AcceptOne(error);
      if (!error) Admit(std::move(socket));
    } catch (const std::exception&) {
      return;
    }
  }
}

void Server::Core::AcceptLater() try {
  timer_.expires_after(kPauseAfterFailure);
  timer_.async_wait(AcceptAgain(shared_from_this()));
} catch (const std::exception&) {
  // No room among the timers either: at once is better than never.
  Accept();
}

// Waits, and accepts by itself: async_accept registers the new socket before it calls its handler,
// so without memory the handler would never be called, and nothing be accepted any more.
void Server::Core::Accept() {
  acceptor_.async_wait(Acceptor::wait_read, AcceptNow(shared_from_this()));
}

void Server::Core::OnReadable(Error error) {
  if (draining_) return;
  try {
    Socket socket;
    if (!error) socket = AcceptOne(error);
    OnAccepted(error, std::move(socket));
  } catch (const std::exception&) {
    // No memory for this one; those after it must still be accepted.
    AcceptLater();
  }
}

// Not by Boost.Asio, which would have the new socket watched by an event loop as well.
Socket Server::Core::AcceptOne(Error& error) {
  for (;;) {
    auto size = static_cast<socklen_t>(peer_.capacity());
    Socket socket(
        accept4(acceptor_.native_handle(), peer_.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    const bool accepted = socket.descriptor() >= 0;
    if (!accepted && errno == EINTR) continue;
    error = accepted ? Error() : Error(errno, boost::system::system_category());
    if (accepted) peer_.resize(size);
    return socket;
  }
}

void Server::Core::OnAccepted(const Error& error, Socket socket) {
  if (error == boost::asio::error::connection_aborted || error == boost::asio::error::would_block) {
    return Accept();
  }
  if (IsDead(error)) {
    CloseAcceptor();  // gives the port back
    const auto& report = state_->options().on_listener_failed;
    if (report) report(absl::UnavailableError(error.message()));
    return;
  }
  if (error) return AcceptLater();
  Admit(std::move(socket));
  Accept();
}

void Server::Core::Admit(Socket socket) {
  // Descriptors are given out from the lowest on, so a high one tells that few are left, whoever
  // has the others. A closed connection is told so; one in the kernel's queue would wait.
  if (socket.descriptor() >= first_spare_descriptor_) return;
  const std::string peer = PeerText(peer_);
  if (!state_->Admit(peer)) return;
  const std::shared_ptr<Shard>& shard = shards_[next_++ % shards_.size()];
  if (&shard->loop() == &home_) return shard->Adopt(std::move(socket), peer);
  absl::Cleanup release = [this, &peer] { state_->Release(peer); };
  boost::asio::post(shard->loop().context, [shard, socket = std::move(socket), peer]() mutable {
    shard->Adopt(std::move(socket), std::move(peer));
  });
  std::move(release).Cancel();
}

void Server::Core::DrainAtHome(absl::Duration deadline, bool patient,
                               absl::AnyInvocable<void(bool)> done) {
  const bool first = !std::exchange(draining_, true);
  if (!first && shards_busy_ == 0) return done(!cut_);
  done_.push_back(std::move(done));
  if (!first) {
    if (!patient && std::exchange(patient_, false)) {
      for (const std::shared_ptr<Shard>& shard : shards_) {
        boost::asio::post(shard->loop().context, [shard] { shard->EndPatience(); });
      }
    }
    return ShortenDeadline(deadline);
  }
  patient_ = patient;
  timer_.cancel();
  drain_until_ = std::chrono::steady_clock::time_point::max();
  shards_busy_ = shards_.size();
  if (deadline > absl::ZeroDuration()) TakeQueued();
  CloseAcceptor();
  DrainShards();
  ShortenDeadline(deadline);
}

void Server::Core::DrainShards() {
  for (const std::shared_ptr<Shard>& shard : shards_) {
    boost::asio::post(shard->loop().context,
                      [self = shared_from_this(), shard, patient = patient_] {
                        shard->Drain(patient, [self] {
                          boost::asio::post(self->home_.context, [self] { self->OnShardEmpty(); });
                        });
                      });
  }
}

void Server::Core::ShortenDeadline(absl::Duration deadline) {
  const auto now = std::chrono::steady_clock::now();
  // A day stands for "as long as it takes"; larger values would overflow the clock.
  const auto until = now + absl::ToChronoMilliseconds(std::min(deadline, absl::Hours(24)));
  if (until >= drain_until_) return;
  drain_until_ = until;
  if (until <= now) return Cut();
  timer_.expires_at(until);
  timer_.async_wait([self = shared_from_this()](const Error& error) {
    if (!error) self->Cut();
  });
}

void Server::Core::Cut() {
  if (shards_busy_ == 0) return;
  for (const std::shared_ptr<Shard>& shard : shards_) {
    boost::asio::post(shard->loop().context, [self = shared_from_this(), shard] {
      shard->Cut([self] { self->cut_ = true; });
    });
  }
}

void Server::Core::OnShardEmpty() {
  if (--shards_busy_ > 0) return;
  timer_.cancel();
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
