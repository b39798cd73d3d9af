// A listening socket of a server.
#ifndef PLUGIN_HTTP_LISTENING_SOCKET_H_
#define PLUGIN_HTTP_LISTENING_SOCKET_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plugin/http/event_loop.h"

namespace webhook::http {

class ListeningSocket {
 public:
  // Binds to an IPv4 or IPv6 address and listens. Port 0: the system chooses one. `beside`: a
  // listening socket of ours on the same port that will be closed, or null. With one, the new
  // socket does not listen yet. ALREADY_EXISTS: the port is in use; PERMISSION_DENIED;
  // INVALID_ARGUMENT: no address of this machine; UNAVAILABLE.
  static absl::StatusOr<ListeningSocket> Bind(const std::string& address, uint16_t port,
                                              const ListeningSocket* beside);

  // Begins to listen. If that fails, Accept reports it.
  void Listen();

  // Accepts a connection that waits; `peer` is then its address as text. If there is none, the
  // result is not open and errno is that of accept(2).
  Descriptor Accept(std::string& peer);

  void Close() { socket_.Close(); }
  bool is_open() const { return socket_.is_open(); }
  const Descriptor& descriptor() const { return socket_; }
  uint16_t port() const { return port_; }

 private:
  Descriptor socket_;
  uint16_t port_ = 0;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_LISTENING_SOCKET_H_
