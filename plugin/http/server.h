// An HTTP/1.1 server on one address and port, over shared threads; plain or TLS.
//
// Transport only. It refuses by itself (RFC 9110, RFC 9112 and webhook::Limits):
//   400 malformed or ambiguous heads and bodies   408 too slow        413 body too long
//   414 request line too long                     417 unknown Expect  431 header section too long
//   501 unknown transfer coding                   503 too many bytes in flight (Retry-After: 1)
//   504 no answer in time                         505 not HTTP/1.0 or 1.1
// When Limits::connections, connections_from_one_address or connections_from_one_proxy is reached,
// an idle connection is closed for a new one: one that has sent no request yet if there is one,
// else the one that was idle for longest. If none is idle, the new one is answered 503
// (Retry-After: 1) without being read; over TLS it is closed. So is a connection that would take
// the last file descriptors of the process, whose limit is read when the server begins to listen.
#ifndef PLUGIN_HTTP_SERVER_H_
#define PLUGIN_HTTP_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plugin/http/address.h"
#include "plugin/http/byte_budget.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/handler.h"
#include "plugin/http/proxies.h"
#include "plugin/http/tls.h"
#include "plugin/limits/limits.h"

namespace webhook::http {

struct Peer;
struct Place;
class Server;
class ServerState;
class Shard;

// The number from which on descriptors are left to the rest of the process, by its limit now.
int FirstSpareDescriptor();

struct ServerOptions {
  // An IPv4 or IPv6 address, no name; or "unix:PATH", whose peers are "unix".
  std::string address = "127.0.0.1";
  uint16_t port = 0;  // 0: the system chooses; see Server::port
  Limits limits;
  std::shared_ptr<const TlsContext> tls;  // null: plain HTTP

  // Null: this server has the limit for itself.
  std::shared_ptr<BytesInFlight> bytes_in_flight;

  // Peers to whom Limits::connections_from_one_proxy applies, and who are believed when they state
  // whose connection or request they pass on. For a connection that is passed on the limits of the
  // stated address count once it is known, and for a request too.
  Proxies proxies;

  // A connection whose descriptor has this number or a higher one is closed.
  int first_spare_descriptor = FirstSpareDescriptor();

  // If set, the server only accepts, and gives each connection that its limits admit to this
  // function, on the thread of `loop`. The connection counts until `place` is destroyed. `peer`: as
  // Answered::peer.
  std::function<void(EventLoop& loop, Descriptor connection, std::string peer,
                     std::shared_ptr<void> place)>
      take;

  // False: the port is bound and connections queue in the kernel until StartAccepting, so that
  // an update can be prepared and still be given up.
  bool accept_at_once = true;

  // A server that has the port and will give it up, or null. The new server is bound beside it
  // (SO_REUSEPORT) and listens from StartAccepting on. The pointer is used during Listen only.
  Server* takes_over_from = nullptr;

  // Called at most once, on one of the pool's threads, when the listening socket itself has failed
  // for good: nothing is accepted any more, open connections go on. Must not block or throw.
  std::function<void(const absl::Status&)> on_listener_failed;

  // A body may be slower than Limits::body_least_bytes_per_second for this long at its beginning.
  absl::Duration least_rate_grace = absl::Seconds(5);
};

class Server final : public std::enable_shared_from_this<Server>,
                     private EventLoop::Watcher,
                     private EventLoop::Timer {
 public:
  // [any thread] Binds and listens. `threads` and `handler` must outlive the server.
  // ALREADY_EXISTS "port 8000 of 127.0.0.1 is in use"; PERMISSION_DENIED for a privileged port;
  // INVALID_ARGUMENT for text that is no address, and for an address of another machine.
  //
  // The last owner lets go of it on a thread outside the pool; that drains it with a deadline of
  // zero, and may wait for a handler call that is running. Exchanges that are not answered yet stay
  // valid until their Respond.
  static absl::StatusOr<std::shared_ptr<Server>> Listen(ServerOptions options, IoThreads& threads,
                                                        Handler& handler);

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // [any thread] Where it listens; the port is the real one if 0 was asked for.
  const std::string& address() const;
  uint16_t port() const { return port_; }

  // [any thread] Begins to accept. Needed only if `accept_at_once` is false.
  void StartAccepting();

  // [any thread] Connections that are accepted from now on use this context (null: plain HTTP).
  // Open connections keep theirs; but those of another policy (see TlsContext) end: idle ones at
  // once, the others with the request that they have begun.
  void SetTls(std::shared_ptr<const TlsContext> tls);

  // [any thread] For connections that are accepted from now on.
  void SetProxies(Proxies proxies);

  // [any thread] The number of open connections.
  int64_t connections() const;
  // [any thread] What Limits::bytes_in_flight bounds, of all servers that share it.
  int64_t bytes_in_flight() const;

  // [any thread] Stops accepting, closes idle connections, answers requests in flight with
  // `Connection: close`, and closes what is left at the deadline (with OnAbandoned). `done(clean)`
  // runs once, on one of the pool's threads; the handler is not called any more after that.
  // `clean`: no request or answer was lost. Connections that wait in the kernel are accepted; they,
  // and connections that have not sent a request yet, have a moment to send one. A second call can
  // only shorten the deadline.
  void Drain(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done);

  // [any thread] Like Drain, for a server that another one replaces without the senders' knowledge:
  // idle connections stay open for one more request until the deadline. Drain may follow.
  void Retire(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done);

  // [a thread outside the pool] After Drain or Retire: returns when the listening socket is closed,
  // so that another server may bind the port, and each answer from then on ends its connection.
  void AwaitPortFree();

  // [a thread outside the pool] Like the other Drain, and waits until it is done. Returns `clean`.
  bool Drain(absl::Duration deadline);

 private:
  Server(ServerOptions options, IoThreads& threads, Handler& handler);
  absl::Status Open(Server* before);
  void BeginDrain(absl::Duration deadline, bool patient, absl::AnyInvocable<void(bool)> done);

  // All below run on the home thread: the one of the pool on which the listening socket and the
  // drain live. When a drain is over neither is watched nor armed any more, so that the last owner
  // of this object may be any thread.
  void OnEvents(uint32_t events) override;
  void OnTimer() override { draining_ ? Cut() : Accept(); }
  void Accept();
  bool AcceptOne();
  void PauseAccepting();
  void OnAcceptFailed(int error);
  void Admit(Descriptor connection, Peer peer);
  void Refuse(Descriptor connection, Peer peer, const Refusal& refusal);
  void HandOver(Descriptor connection, Peer peer, Place* place, const Refusal& refusal);
  void TakeQueued();
  void CloseSocket();
  void DrainAtHome(absl::Duration deadline, bool patient, absl::AnyInvocable<void(bool)> done);
  void ShortenDeadline(absl::Duration deadline);
  void Cut();
  void OnShardEmpty();
  // Calls action(server, shard) on the thread of each shard.
  template <typename Action>
  void AtShards(Action action);

  const std::shared_ptr<ServerState> state_;
  EventLoop& home_;
  std::vector<std::shared_ptr<Shard>> shards_;
  uint16_t port_ = 0;

  std::mutex mutex_;  // guards opening and closing of the socket, which another server may look at
  Descriptor socket_;
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

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_SERVER_H_
