// A listening socket: bound, or why it could not be. Internal to the server.
#ifndef PLUGIN_HTTP_LISTENING_SOCKET_H_
#define PLUGIN_HTTP_LISTENING_SOCKET_H_

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "absl/status/status.h"
#include "plugin/http/server.h"

namespace webhook::http {

using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp,
                                                    boost::asio::io_context::executor_type>;

// Opens the acceptor on the options' address and port. `beside` is a listening socket of ours on
// the same port that gives it up, -1: there is none. Beside one it does not listen yet.
// ALREADY_EXISTS: the port is in use; PERMISSION_DENIED; INVALID_ARGUMENT: no address of this
// machine; UNAVAILABLE.
absl::Status Bind(const ServerOptions& options, int beside, Acceptor& acceptor);

// The same errors, of what the system said.
absl::Status ExplainBind(const boost::system::error_code& error, const ServerOptions& options);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_LISTENING_SOCKET_H_
