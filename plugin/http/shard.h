// A server's connections on one thread, what they share there, and what all shards of a server
// share.
#ifndef PLUGIN_HTTP_SHARD_H_
#define PLUGIN_HTTP_SHARD_H_

#include <atomic>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "plugin/http/address.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/request_reader.h"
#include "plugin/http/response_format.h"
#include "plugin/http/server.h"

namespace webhook::http {

class Connection;

// The memory that a connection needs only while it is at work. An idle connection has none: with
// thousands of them that is the difference between 1 KiB and 20 KiB each.
struct Workspace {
  static constexpr size_t kCipherBytes = 16 * 1024;

  RequestReader reader;
  ByteBlock cipher;         // TLS: what was read from the socket
  std::string out;          // answers on their way out
  std::string handed_over;  // an answer formatted by another thread
  std::string detail;       // and what Response::detail said

  // Empties an output buffer, and gives its memory back if a large answer made it grow.
  static void Empty(std::string& output);
};

// Not synchronized: each thread has its own.
class WorkspacePool {
 public:
  WorkspacePool() { free_.reserve(kPooled); }

  // Null when there is no memory.
  std::unique_ptr<Workspace> Take(const Limits& limits, ByteBudget& budget);
  void Give(std::unique_ptr<Workspace> workspace);

 private:
  static constexpr size_t kPooled = 64;

  std::vector<std::unique_ptr<Workspace>> free_;
};

// A thread of IoThreads, and what its connections share. But for what EventLoop says, only the
// thread itself touches the members.
struct Loop {
  EventLoop events;
  WorkspacePool workspaces;
  char scratch[16 * 1024];  // bytes that nobody will look at are read into this
  int index = 0;
  uint64_t requests = 0;  // heads that were read; Exchange::number
  std::thread thread;
};

// Who made a connection.
struct Peer {
  Address address;
  std::string text;  // the address, with the interface of a link-local one
  // Set if the address is one of them.
  std::shared_ptr<const Proxies> proxies;
};

// The connections of one Address::Network. Guarded by ServerState's mutex, but for `bytes`.
struct Place {
  Address network;
  AddressBytes* bytes = nullptr;
  int64_t connections = 0;      // that are open
  int64_t objects = 0;          // that have not been deleted
  Connection* first = nullptr;  // of those that may be asked to give way
};

// What the shards of a server share. [any thread]
class ServerState {
 public:
  ServerState(ServerOptions options, Handler& handler);

  const Limits& limits() const { return options_.limits; }
  const ServerOptions& options() const { return options_; }
  Handler& handler() { return handler_; }
  ByteBudget BudgetOf(const Place& place) {
    return ByteBudget(*bytes_in_flight_, *place.bytes, shares_);
  }
  std::atomic<int64_t>& instance_bytes() { return instance_bytes_; }

  std::shared_ptr<const TlsContext> tls() const;
  // Another number for each policy (see TlsContext) that tls() has had; it changes after tls().
  uint32_t policy() const { return policy_.load(std::memory_order_acquire); }
  void SetTls(std::shared_ptr<const TlsContext> tls);

  void SetProxies(Proxies proxies);

  // Counts a connection at `*place`, and sets peer.proxies. Where a limit is reached, an idle
  // connection is closed for it; the refusal (status 503) says that there is none.
  Refusal Admit(Peer& peer, Place** place);
  // Counts an open connection at the address that a proxy stated for it; is_proxy: that is one of
  // Proxies, too. After a refusal nothing has changed. On the connection's thread.
  Refusal Move(Connection& connection, const Address& address, bool is_proxy);
  // Counts bytes for the sender whom a proxy stated for a request. Give follows.
  AddressBytes& TakeBytes(const Address& sender, bool is_proxy) {
    return *bytes_in_flight_->Take(sender.Network(), is_proxy,
                                   is_proxy ? shares_.for_large : shares_.of_address);
  }
  void GiveBytes(AddressBytes& bytes) { bytes_in_flight_->Give(&bytes); }
  // Counts one that will be refused. Null: there are too many of these.
  Place* AdmitForRefusal();
  // Each admitted connection is first closed, then deleted.
  void OnClosed(Place* place);
  void OnDeleted(Place* place);
  // Both, for one that never became a Connection.
  void Release(Place* place);
  // An idle connection, if there is one, is closed.
  void LetOneGiveWay();
  // From Enter to Leave it may be asked to give way.
  void Enter(Connection& connection);
  void Leave(Connection& connection);
  int64_t connections() const { return connections_.load(std::memory_order_relaxed); }
  int64_t bytes_in_flight() const {
    return bytes_in_flight_->bytes.load(std::memory_order_relaxed);
  }

 private:
  // With the lock.
  Place& PlaceOf(const Address& address, bool is_proxy);
  Refusal MakeRoom(const Place& place, const Address& address, bool is_proxy);
  void EnterPlace(Connection& connection);
  void LeavePlace(Connection& connection);
  void EraseUnused(Place* place);
  bool GivesWay(Connection* connection);
  Connection* FindIdle();
  static Connection* FindIdle(const Place& place);

  const ServerOptions options_;
  Handler& handler_;
  std::atomic<int64_t> connections_{0};
  const std::shared_ptr<BytesInFlight> bytes_in_flight_;
  const ByteShares shares_;
  std::atomic<int64_t> instance_bytes_{0};
  AddressBytes bytes_of_refusals_;
  // Not absl::Mutex: the system's Abseil is opaque to the thread sanitizer.
  mutable std::mutex mutex_;  // guards all below
  std::map<Address, Place> places_;
  Place refusals_;
  Address last_searched_;
  int64_t search_again_ms_ = 0;
  std::shared_ptr<const Proxies> proxies_;
  std::shared_ptr<const TlsContext> tls_;
  std::atomic<uint32_t> policy_{0};
};

// All functions run on the loop's thread. Lives as long as a connection of it, so that an
// exchange may be answered after its server is gone.
class Shard final : public std::enable_shared_from_this<Shard>, private EventLoop::Timer {
 public:
  Shard(std::shared_ptr<ServerState> state, Loop& loop);

  ServerState& state() { return *state_; }
  const Limits& limits() const { return limits_; }
  Loop& loop() { return loop_; }
  bool draining() const { return draining_; }
  bool patient() const { return patient_; }
  absl::string_view date() { return date_.At(std::time(nullptr)); }

  // Takes an admitted connection, or one that is to be refused.
  void Adopt(Descriptor socket, Peer peer, Place* place, const Refusal& refusal);

  // Closes idle connections, unless `patient`; the others end with their answer. `emptied` runs
  // once no connection is open any more, at once if none is.
  void Drain(bool patient, std::function<void()> emptied);
  void EndPatience();

  // Ends connections that were made under another policy than that of the server's present TLS.
  void OnTlsChanged();

  // Closes all; before that `cut_off` runs if a request or an answer is lost by it.
  void Cut(const std::function<void()>& cut_off);

  // Called by a connection: it is not open any more; it is to be deleted.
  void OnClosed(Connection& connection);
  void Delete(Connection& connection);

 private:
  // An action may close any connection: it is deleted later, so the list does not change.
  template <typename Action>
  void ForEach(Action action);
  void OnTimer() override;

  const std::shared_ptr<ServerState> state_;
  const Limits& limits_;
  Loop& loop_;
  const int64_t sweep_ms_;
  DateText date_;
  Connection* first_ = nullptr;
  int64_t open_ = 0;  // connections; the timer is armed while there are some
  bool draining_ = false;
  bool patient_ = false;
  std::function<void()> emptied_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_SHARD_H_
