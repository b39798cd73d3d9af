#include "plugin/http/shard.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "plugin/base/clock.h"
#include "plugin/http/connection.h"
#include "plugin/http/peer_network.h"

namespace webhook::http {
namespace {

// Deadlines are looked at this often: a fraction of the shortest timeout, yet seldom enough that
// thousands of idle connections cost nothing.
int64_t SweepMs(const Limits& limits) {
  const int64_t shortest =
      std::min({limits.head_timeout_ms, limits.body_timeout_ms, limits.write_timeout_ms,
                limits.idle_timeout_ms, limits.tls_handshake_timeout_ms, limits.answer_timeout_ms,
                limits.linger_timeout_ms});
  return std::clamp<int64_t>(shortest / 8, 5, 250);
}

}  // namespace

int64_t CoarseNowMs() { return base::CoarseMonotonicMilliseconds(); }

ServerState::ServerState(ServerOptions options, Handler& handler)
    : options_(std::move(options)),
      handler_(handler),
      trusted_peers_(options_.trusted_peers.begin(), options_.trusted_peers.end()),
      most_bytes_in_flight_(std::max(options_.limits.bytes_in_flight, options_.limits.body_bytes)),
      bytes_in_flight_(options_.bytes_in_flight != nullptr ? options_.bytes_in_flight
                                                           : std::make_shared<BytesInFlight>()),
      tls_(options_.tls) {}

std::shared_ptr<const TlsContext> ServerState::tls() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tls_;
}

void ServerState::SetTls(std::shared_ptr<const TlsContext> tls) {
  const std::lock_guard<std::mutex> lock(mutex_);
  tls_.swap(tls);
}

bool ServerState::Admit(const std::string& peer) {
  if (connections_.fetch_add(1) >= limits().connections) {
    connections_.fetch_sub(1);
    return false;
  }
  absl::Cleanup not_admitted = [this] { connections_.fetch_sub(1); };
  if (!trusted_peers_.contains(peer)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    int64_t& count = peers_[NetworkOf(peer)];
    if (count >= limits().connections_from_one_address) return false;
    ++count;
  }
  std::move(not_admitted).Cancel();
  return true;
}

void ServerState::Release(const std::string& peer) {
  connections_.fetch_sub(1);
  if (trusted_peers_.contains(peer)) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = peers_.find(NetworkOf(peer));
  if (found != peers_.end() && --found->second == 0) peers_.erase(found);
}

bool ServerState::ReserveBytes(int64_t bytes) {
  if (bytes_in_flight_->bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes <=
      most_bytes_in_flight_) {
    return true;
  }
  ReleaseBytes(bytes);
  return false;
}

void ServerState::CountBytes(int64_t bytes) {
  bytes_in_flight_->bytes.fetch_add(bytes, std::memory_order_relaxed);
}

Shard::Shard(std::shared_ptr<ServerState> state, Loop& loop)
    : state_(std::move(state)),
      limits_(state_->limits()),
      loop_(loop),
      sweep_ms_(SweepMs(limits_)),
      timer_(loop.context) {}

Shard::~Shard() = default;

void Shard::Adopt(Socket socket, std::string peer) {
  absl::Cleanup release = [this, &peer] { state_->Release(peer); };
  if (draining_) return;
  // First, for it may find no memory, and a connection must not be without a deadline.
  ScheduleSweep();
  Connection* connection =
      new Connection(shared_from_this(), std::move(socket), peer, state_->tls());
  std::move(release).Cancel();
  connection->next_ = first_;
  if (first_ != nullptr) first_->previous_ = connection;
  first_ = connection;
  ++open_;
  connection->Start();
}

template <typename Action>
void Shard::ForEach(Action action) {
  // An action may close any connection (through a handler that answers another exchange); memory
  // and links stay until the walk is over.
  {
    walking_ = true;
    const absl::Cleanup walked = [this] { walking_ = false; };
    for (Connection* one = first_; one != nullptr; one = one->next_) action(*one);
  }
  while (doomed_ != nullptr) {
    Connection* const one = doomed_;
    doomed_ = one->next_doomed_;
    Delete(*one);
  }
}

void Shard::ScheduleSweep() {
  if (sweep_scheduled_) return;
  timer_.expires_after(std::chrono::milliseconds(sweep_ms_));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code&) {
    self->sweep_scheduled_ = false;
    self->Sweep();
  });
  sweep_scheduled_ = true;
}

void Shard::Sweep() {
  // First, as an exception below must not end all deadlines.
  if (open_ > 0) ScheduleSweep();
  const int64_t now_ms = CoarseNowMs();
  ForEach([now_ms](Connection& connection) { connection.OnSweep(now_ms); });
}

void Shard::Drain(bool patient, std::function<void()> emptied) {
  draining_ = true;
  patient_ = patient;
  emptied_ = std::move(emptied);
  if (!patient) ForEach([](Connection& connection) { connection.OnDrain(); });
  if (open_ == 0 && emptied_) std::exchange(emptied_, nullptr)();
}

void Shard::EndPatience() {
  patient_ = false;
  ForEach([](Connection& connection) { connection.OnDrain(); });
}

void Shard::Cut(const std::function<void()>& cut_off) {
  ForEach([&cut_off](Connection& connection) {
    if (connection.busy()) cut_off();
    connection.Cut();
  });
}

void Shard::OnClosed(Connection& connection) {
  state_->Release(connection.peer());
  if (--open_ > 0) return;
  if (draining_ && sweep_scheduled_) timer_.cancel();
  if (draining_ && emptied_) std::exchange(emptied_, nullptr)();
}

void Shard::Delete(Connection& connection) {
  if (walking_) {
    connection.next_doomed_ = doomed_;
    doomed_ = &connection;
    return;
  }
  Unlink(connection);
  delete &connection;
}

void Shard::Unlink(Connection& connection) {
  if (connection.previous_ != nullptr) connection.previous_->next_ = connection.next_;
  if (connection.next_ != nullptr) connection.next_->previous_ = connection.previous_;
  if (first_ == &connection) first_ = connection.next_;
}

}  // namespace webhook::http
