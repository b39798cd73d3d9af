// An HTTP/1.1 server on one address and port, over shared threads; plain or TLS.
//
// Transport only. What it refuses by itself (RFC 9110, RFC 9112 and webhook::Limits):
//   400 malformed or ambiguous heads and bodies   408 too slow        413 body too long
//   414 request line too long                     417 unknown Expect  431 header section too long
//   501 unknown transfer coding                   503 too many bytes in flight (Retry-After: 1)
//   504 no answer in time                         505 not HTTP/1.0 or 1.1
// Connections past Limits::connections or connections_from_one_address are closed unanswered; so
// are those that would take the last file descriptors (of those that the process may have when the
// server begins to listen).
#ifndef PLUGIN_HTTP_SERVER_H_
#define PLUGIN_HTTP_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plugin/http/handler.h"
#include "plugin/http/io_threads.h"
#include "plugin/http/tls_context.h"
#include "plugin/limits/limits.h"

namespace webhook::http {

class Server;

// What requests and their answers hold in memory, all of them together: bodies, heads past a
// connection's usual buffer, and answers that their readers do not take.
struct BytesInFlight {
  std::atomic<int64_t> bytes{0};
};

struct ServerOptions {
  std::string address = "127.0.0.1";  // an IPv4 or IPv6 address, no name
  uint16_t port = 0;                  // 0: the system chooses; see Server::port
  Limits limits;
  std::shared_ptr<const TlsContext> tls;  // null: plain HTTP

  // Servers with the same one share Limits::bytes_in_flight; null: the limit is this server's
  // alone.
  std::shared_ptr<BytesInFlight> bytes_in_flight;

  // Peers (as RequestHead::peer) that Limits::connections_from_one_address does not count.
  std::vector<std::string> trusted_peers;

  // False: the port is bound and connections queue in the kernel until StartAccepting, so that
  // an update can be prepared and still be given up.
  bool accept_at_once = true;

  // A server that has the port, and gives it up once this one accepts: null, or needed only during
  // Listen. This one is bound beside it (SO_REUSEPORT), and listens from StartAccepting on.
  const Server* takes_over_from = nullptr;

  // Called at most once, on one of the pool's threads, when the listening socket itself has failed
  // for good: nothing is accepted any more, open connections go on. Must not block or throw.
  std::function<void(const absl::Status&)> on_listener_failed;

  // How long a body may be slower than Limits::body_least_bytes_per_second at its beginning.
  absl::Duration least_rate_grace = absl::Seconds(5);
};

class Server {
 public:
  // [any thread] Binds and listens. `threads` and `handler` must outlive the server.
  // ALREADY_EXISTS "port 8000 of 127.0.0.1 is in use"; PERMISSION_DENIED for a privileged port;
  // INVALID_ARGUMENT for an address that is none or not of this machine.
  static absl::StatusOr<std::unique_ptr<Server>> Listen(ServerOptions options, IoThreads& threads,
                                                        Handler& handler);

  // [a thread outside the pool] Drains with no time left. May wait for a handler call that is
  // running. Exchanges not yet answered stay valid until their Respond, after the server too.
  ~Server();

  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // [any thread] Where it listens; the port is the real one if 0 was asked for.
  const std::string& address() const;
  uint16_t port() const;

  // [any thread] Begins to accept; needed only with `accept_at_once` false.
  void StartAccepting();

  // [any thread] Connections accepted from now on use this context (null: plain); those that are
  // open keep theirs.
  void SetTls(std::shared_ptr<const TlsContext> tls);

  // [any thread] Open connections.
  int64_t connections() const;

  // Stops accepting, closes idle connections, answers what is in flight with `Connection: close`;
  // when `deadline` has passed, closes the rest (with OnAbandoned). `done(clean)` runs once, on
  // one of the pool's threads: from then on the handler is not called any more. `clean`: nothing
  // had to be cut off. Connections that queue in the kernel are taken, and have a moment, as those
  // that have not yet asked anything, to send their request. [any thread] A second call may only
  // shorten the deadline of the first.
  void Drain(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done);

  // [any thread] As Drain, for a server whose senders go on elsewhere and know nothing of it: idle
  // connections stay open for one more request, as long as the deadline permits. Drain may follow.
  void Retire(absl::Duration deadline, absl::AnyInvocable<void(bool clean)> done);

  // [a thread outside the pool] After Drain or Retire: returns when the listening socket is closed,
  // so that another server may bind the port.
  void AwaitPortFree();

  // [a thread outside the pool] The same as the other Drain, waiting.
  bool Drain(absl::Duration deadline);

 private:
  class Core;
  explicit Server(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_SERVER_H_
