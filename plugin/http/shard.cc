#include "plugin/http/shard.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "plugin/base/clock.h"
#include "plugin/http/connection.h"

namespace webhook::http {
namespace {

// Connections that are asked to give way are counted until they have. More than so many past a
// limit there are never.
constexpr int64_t kMostGivingWay = 64;

// Connections that wait until their peers have read why they are refused.
constexpr int64_t kMostRefusals = 64;

// How many connections are looked at in search of an idle one, if one of them is idle; and how long
// nobody searches again if none of many was.
constexpr int kSearched = 256;
constexpr int64_t kSearchPauseMs = 10;

constexpr size_t kKeptOutputBytes = 64 * 1024;  // larger output buffers are given back

// Deadlines are checked this often: a fraction of the shortest timeout, but rarely enough that
// thousands of idle connections cost nothing.
int64_t SweepMs(const Limits& limits) {
  const int64_t shortest = std::min({limits.head_timeout_ms, limits.body_timeout_ms,
                                     limits.write_timeout_ms, limits.first_byte_timeout_ms,
                                     limits.idle_timeout_ms, limits.drain_request_timeout_ms,
                                     limits.tls_handshake_timeout_ms, limits.answer_timeout_ms,
                                     limits.linger_timeout_ms, limits.proxy_header_timeout_ms});
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

ServerState::ServerState(ServerOptions options, Handler& handler)
    : options_(std::move(options)),
      handler_(handler),
      bytes_in_flight_(options_.bytes_in_flight != nullptr ? options_.bytes_in_flight
                                                           : std::make_shared<BytesInFlight>()),
      shares_(options_.limits),
      proxies_(std::make_shared<const Proxies>(options_.proxies)),
      tls_(options_.tls) {
  bytes_of_refusals_.share = shares_.all;
  refusals_.bytes = &bytes_of_refusals_;
}

std::shared_ptr<const TlsContext> ServerState::tls() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tls_;
}

void ServerState::SetTls(std::shared_ptr<const TlsContext> tls) {
  const std::lock_guard<std::mutex> lock(mutex_);
  tls_.swap(tls);
  if (!TlsContext::IsSamePolicy(tls_.get(), tls.get())) {
    policy_.fetch_add(1, std::memory_order_release);
  }
}

void ServerState::SetProxies(Proxies proxies) {
  auto next = std::make_shared<const Proxies>(std::move(proxies));
  const std::lock_guard<std::mutex> lock(mutex_);
  proxies_.swap(next);
}

Place& ServerState::PlaceOf(const Address& address, bool is_proxy) {
  const Address network = address.Network();
  Place& place = places_.try_emplace(network, Place{.network = network}).first->second;
  if (place.bytes == nullptr) place.bytes = &TakeBytes(address, is_proxy);
  return place;
}

// Whether one more connection has room there and altogether, perhaps when an idle one gives way.
Refusal ServerState::MakeRoom(const Place& place, const Address& address, bool is_proxy) {
  const bool is_local = address == Address();  // a unix socket
  const int64_t most = is_local   ? limits().connections
                       : is_proxy ? limits().connections_from_one_proxy
                                  : limits().connections_from_one_address;
  // Those that only wait for their peers to read a refusal take nobody's place.
  const int64_t all = connections_.load(std::memory_order_relaxed) - refusals_.connections;
  if (place.connections >= most) {
    if (place.connections >= most + kMostGivingWay || !GivesWay(FindIdle(place))) {
      return {503,
              is_proxy ? "the limit connections_from_one_proxy is reached"
                       : "the limit connections_from_one_address is reached",
              LRI_REASON_TOO_MANY_FROM_ADDRESS};
    }
  } else if (all >= limits().connections) {
    if (all >= limits().connections + kMostGivingWay || !GivesWay(FindIdle())) {
      return {503, "the limit connections is reached", LRI_REASON_TOO_MANY_CONNECTIONS};
    }
  }
  return {};
}

Refusal ServerState::Admit(Peer& peer, Place** place) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool is_proxy = IsIn(peer.address, proxies_->networks);
  if (is_proxy) {
    peer.proxies = proxies_;
  } else if (proxies_->proxy_protocol) {
    return {0, "only trusted_proxies may connect, as proxy_protocol is on", LRI_REASON_ADDRESS};
  }
  Place& mine = PlaceOf(peer.address, is_proxy);
  absl::Cleanup refused = [this, &mine] { EraseUnused(&mine); };
  if (const Refusal refusal = MakeRoom(mine, peer.address, is_proxy); refusal.status != 0) {
    return refusal;
  }
  std::move(refused).Cancel();
  ++mine.connections;
  ++mine.objects;
  connections_.fetch_add(1, std::memory_order_relaxed);
  *place = &mine;
  return {};
}

Refusal ServerState::Move(Connection& connection, const Address& address, bool is_proxy) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Place* const before = connection.place_;
  Place& after = PlaceOf(address, is_proxy);
  if (&after == before) return {};
  // It is counted among all already.
  connections_.fetch_sub(1, std::memory_order_relaxed);
  const Refusal refusal = MakeRoom(after, address, is_proxy);
  connections_.fetch_add(1, std::memory_order_relaxed);
  if (refusal.status != 0) {
    EraseUnused(&after);
    return refusal;
  }
  LeavePlace(connection);
  --before->connections;
  --before->objects;
  ++after.connections;
  ++after.objects;
  connection.place_ = &after;
  connection.budget_.MoveTo(*after.bytes);
  EnterPlace(connection);
  EraseUnused(before);
  return {};
}

Place* ServerState::AdmitForRefusal() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (refusals_.connections >= kMostRefusals) return nullptr;
  ++refusals_.connections;
  ++refusals_.objects;
  connections_.fetch_add(1, std::memory_order_relaxed);
  return &refusals_;
}

void ServerState::OnClosed(Place* place) {
  const std::lock_guard<std::mutex> lock(mutex_);
  connections_.fetch_sub(1, std::memory_order_relaxed);
  --place->connections;
}

void ServerState::OnDeleted(Place* place) {
  const std::lock_guard<std::mutex> lock(mutex_);
  --place->objects;
  EraseUnused(place);
}

void ServerState::Release(Place* place) {
  OnClosed(place);
  OnDeleted(place);
}

void ServerState::EraseUnused(Place* place) {
  if (place->objects > 0 || place == &refusals_) return;
  bytes_in_flight_->Give(place->bytes);
  places_.erase(Address(place->network));
}

void ServerState::LetOneGiveWay() {
  const std::lock_guard<std::mutex> lock(mutex_);
  GivesWay(FindIdle());
}

void ServerState::Enter(Connection& connection) {
  const std::lock_guard<std::mutex> lock(mutex_);
  EnterPlace(connection);
}

void ServerState::Leave(Connection& connection) {
  const std::lock_guard<std::mutex> lock(mutex_);
  LeavePlace(connection);
}

void ServerState::EnterPlace(Connection& connection) {
  Connection*& first = connection.place_->first;
  connection.next_of_place_ = first;
  connection.previous_of_place_ = nullptr;
  if (first != nullptr) first->previous_of_place_ = &connection;
  first = &connection;
}

void ServerState::LeavePlace(Connection& connection) {
  Connection* const next = connection.next_of_place_;
  Connection* const previous = connection.previous_of_place_;
  if (next != nullptr) next->previous_of_place_ = previous;
  (previous == nullptr ? connection.place_->first : previous->next_of_place_) = next;
}

// The connection is deleted by a task that is posted after Leave, and so after this one.
bool ServerState::GivesWay(Connection* connection) {
  if (connection == nullptr) return false;
  connection->AskToGiveWay();
  return true;
}

// With the lock: the connection of the place that should give way first, or null.
Connection* ServerState::FindIdle(const Place& place) {
  Connection* found = nullptr;
  for (Connection* one = place.first; one != nullptr; one = one->next_of_place_) {
    const int64_t rank = one->idle_rank();
    // Of two, the older one, which is further down.
    if (rank != Connection::kBusy && (found == nullptr || rank <= found->idle_rank())) found = one;
  }
  return found;
}

// Goes on where the last search ended, because among very many connections not all are looked at.
Connection* ServerState::FindIdle() {
  const int64_t now_ms = base::CoarseMonotonicMilliseconds();
  if (now_ms < search_again_ms_ || places_.empty()) return nullptr;
  Connection* found = nullptr;
  int64_t searched = 0;
  auto at = places_.upper_bound(last_searched_);
  for (size_t i = 0; i < places_.size() && (found == nullptr || searched < kSearched); ++i, ++at) {
    if (at == places_.end()) at = places_.begin();
    searched += at->second.connections;
    last_searched_ = at->first;
    Connection* const one = FindIdle(at->second);
    if (one == nullptr) continue;
    if (found == nullptr || one->idle_rank() < found->idle_rank()) found = one;
  }
  if (found == nullptr && searched > kSearched) search_again_ms_ = now_ms + kSearchPauseMs;
  return found;
}

Shard::Shard(std::shared_ptr<ServerState> state, Loop& loop)
    : state_(std::move(state)),
      limits_(state_->limits()),
      loop_(loop),
      sweep_ms_(SweepMs(limits_)) {}

void Shard::Adopt(Descriptor socket, Peer peer, Place* place, const Refusal& refusal) {
  absl::Cleanup release = [this, place] { state_->Release(place); };
  if (draining_) {
    return state_->handler().OnAnswered({.peer = peer.text, .reason = LRI_REASON_STOPPING});
  }
  const uint32_t policy = state_->policy();  // never newer than the TLS
  Connection* const connection =
      new Connection(shared_from_this(), std::move(socket), std::move(peer), place,
                     refusal.status == 0 ? state_->tls() : nullptr, policy);
  std::move(release).Cancel();
  connection->next_ = first_;
  if (first_ != nullptr) first_->previous_ = connection;
  first_ = connection;
  if (++open_ == 1) loop_.events.Arm(*this, loop_.events.now_ms() + sweep_ms_);
  state_->Enter(*connection);
  connection->Start(refusal);
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
  ForEach([](Connection& connection) { connection.OnTlsChanged(); });
}

void Shard::Cut(const std::function<void()>& cut_off) {
  ForEach([&cut_off](Connection& connection) {
    if (connection.busy()) cut_off();
    connection.Cut();
  });
}

void Shard::OnClosed(Connection& connection) {
  state_->Leave(connection);
  state_->OnClosed(connection.place_);
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
  Place* const place = connection.place_;
  delete &connection;
  state_->OnDeleted(place);
}

}  // namespace webhook::http
