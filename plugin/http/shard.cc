#include "plugin/http/shard.h"

#include <arpa/inet.h>

#include <algorithm>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "plugin/http/connection.h"

namespace webhook::http {
namespace {

constexpr size_t kKeptOutputBytes = 64 * 1024;  // larger output buffers are given back

// Deadlines are checked this often: a fraction of the shortest timeout, but rarely enough that
// thousands of idle connections cost nothing.
int64_t SweepMs(const Limits& limits) {
  const int64_t shortest =
      std::min({limits.head_timeout_ms, limits.body_timeout_ms, limits.write_timeout_ms,
                limits.idle_timeout_ms, limits.tls_handshake_timeout_ms, limits.answer_timeout_ms,
                limits.linger_timeout_ms});
  return std::clamp<int64_t>(shortest / 8, 5, 250);
}

}  // namespace

void Workspace::Empty(std::string& output) {
  output.clear();
  if (output.capacity() > kKeptOutputBytes) std::string().swap(output);
}

std::unique_ptr<Workspace> WorkspacePool::Take(const Limits& limits, ByteBudget& budget) {
  std::unique_ptr<Workspace> workspace;
  if (free_.empty()) {
    workspace.reset(new (std::nothrow) Workspace);
  } else {
    workspace = std::move(free_.back());
    free_.pop_back();
  }
  if (workspace == nullptr || !workspace->reader.Begin(limits, budget)) return nullptr;
  return workspace;
}

void WorkspacePool::Give(std::unique_ptr<Workspace> workspace) {
  workspace->reader.End();
  if (free_.size() >= kPooled) return;
  Workspace::Empty(workspace->out);
  Workspace::Empty(workspace->handed_over);
  free_.push_back(std::move(workspace));
}

std::string NetworkOf(const std::string& peer) {
  in6_addr address;
  // Without the scope of a link-local address, which may follow.
  if (inet_pton(AF_INET6, peer.substr(0, peer.find('%')).c_str(), &address) != 1) return peer;
  std::string key = "[";  // no other text of a peer begins so
  key.append(reinterpret_cast<const char*>(address.s6_addr), 8);
  return key;
}

ServerState::ServerState(ServerOptions options, Handler& handler)
    : options_(std::move(options)),
      handler_(handler),
      trusted_peers_(options_.trusted_peers.begin(), options_.trusted_peers.end()),
      bytes_in_flight_(options_.bytes_in_flight != nullptr ? options_.bytes_in_flight
                                                           : std::make_shared<BytesInFlight>()),
      budget_(bytes_in_flight_->bytes,
              std::max(options_.limits.bytes_in_flight, options_.limits.body_bytes)),
      tls_(options_.tls) {}

std::shared_ptr<const TlsContext> ServerState::tls() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tls_;
}

void ServerState::SetTls(std::shared_ptr<const TlsContext> tls) {
  const std::lock_guard<std::mutex> lock(mutex_);
  tls_.swap(tls);
}

lri_reason ServerState::Admit(const std::string& peer) {
  if (connections_.fetch_add(1) >= limits().connections) {
    connections_.fetch_sub(1);
    return LRI_REASON_TOO_MANY_CONNECTIONS;
  }
  absl::Cleanup not_admitted = [this] { connections_.fetch_sub(1); };
  if (!trusted_peers_.contains(peer)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    int64_t& count = peers_[NetworkOf(peer)];
    if (count >= limits().connections_from_one_address) return LRI_REASON_TOO_MANY_FROM_ADDRESS;
    ++count;
  }
  std::move(not_admitted).Cancel();
  return LRI_REASON_ANSWERED;
}

void ServerState::Release(const std::string& peer) {
  connections_.fetch_sub(1);
  if (trusted_peers_.contains(peer)) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = peers_.find(NetworkOf(peer));
  if (found != peers_.end() && --found->second == 0) peers_.erase(found);
}

Shard::Shard(std::shared_ptr<ServerState> state, Loop& loop)
    : state_(std::move(state)),
      limits_(state_->limits()),
      loop_(loop),
      sweep_ms_(SweepMs(limits_)) {}

void Shard::Adopt(Descriptor socket, std::string peer) {
  absl::Cleanup release = [this, &peer] { state_->Release(peer); };
  if (draining_) {
    return state_->handler().OnAnswered({.peer = peer, .reason = LRI_REASON_STOPPING});
  }
  Connection* const connection =
      new Connection(shared_from_this(), std::move(socket), peer, state_->tls());
  std::move(release).Cancel();
  connection->next_ = first_;
  if (first_ != nullptr) first_->previous_ = connection;
  first_ = connection;
  if (++open_ == 1) loop_.events.Arm(*this, loop_.events.now_ms() + sweep_ms_);
  connection->Start();
}

template <typename Action>
void Shard::ForEach(Action action) {
  for (Connection* one = first_; one != nullptr; one = one->next_) action(*one);
}

// The sweep. Armed again first, because an exception must not end the checking of deadlines.
void Shard::OnTimer() {
  const int64_t now_ms = loop_.events.now_ms();
  loop_.events.Arm(*this, now_ms + sweep_ms_);
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

void Shard::OnTlsChanged() {
  const std::shared_ptr<const TlsContext> tls = state_->tls();
  ForEach([&tls](Connection& connection) { connection.OnTlsChanged(tls.get()); });
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
  loop_.events.Disarm(*this);
  if (draining_ && emptied_) std::exchange(emptied_, nullptr)();
}

void Shard::Delete(Connection& connection) {
  // The last connection may hold the last reference to the shard.
  const std::shared_ptr<Shard> self = shared_from_this();
  if (connection.previous_ != nullptr) connection.previous_->next_ = connection.next_;
  if (connection.next_ != nullptr) connection.next_->previous_ = connection.previous_;
  if (first_ == &connection) first_ = connection.next_;
  delete &connection;
}

}  // namespace webhook::http
