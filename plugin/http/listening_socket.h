// A listening socket: bound, or why it could not be. Internal to the server.
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
  // On an IPv4 or IPv6 address; port 0: the system chooses. `beside` is a listening socket of ours
  // on the same port that gives it up, null: there is none. Beside one this one does not listen
  // yet. ALREADY_EXISTS: the port is in use; PERMISSION_DENIED; INVALID_ARGUMENT: no address of
  // this machine; UNAVAILABLE.
  static absl::StatusOr<ListeningSocket> Bind(const std::string& address, uint16_t port,
                                              const ListeningSocket* beside);

  // Begins to listen, if it does not. That it cannot is told by Accept.
  void Listen();

  // A connection that waits, not blocking, and its peer's address as text. Else the socket is not
  // open, and errno tells why, as accept(2) does.
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
