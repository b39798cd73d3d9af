#include "plugin/http/listening_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace webhook::http {
namespace {

using boost::asio::ip::tcp;
using Error = boost::system::error_code;

Error SetReusePort(int socket) {
  const int yes = 1;
  if (setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) == 0) return {};
  return Error(errno, boost::system::system_category());
}

}  // namespace

absl::Status ExplainBind(const Error& error, const ServerOptions& options) {
  const std::string where = absl::StrCat("port ", options.port, " of ", options.address);
  if (error == boost::asio::error::address_in_use) {
    return absl::AlreadyExistsError(absl::StrCat(where, " is in use"));
  }
  if (error == boost::asio::error::access_denied) {
    return absl::PermissionDeniedError(absl::StrCat(where, " needs more rights"));
  }
  if (error == boost::system::errc::address_not_available) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.address, " is no address of this machine"));
  }
  return absl::UnavailableError(absl::StrCat(where, ": ", error.message()));
}

absl::Status Bind(const ServerOptions& options, int beside, Acceptor& acceptor) {
  Error error;
  const boost::asio::ip::address address = boost::asio::ip::make_address(options.address, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", options.address, "\" is no IPv4 or IPv6 address"));
  }
  const tcp::endpoint endpoint(address, options.port);
  const int socket =
      ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  if (socket < 0) {
    error = Error(errno, boost::system::system_category());
  } else if (acceptor.assign(endpoint.protocol(), socket, error); error) {
    ::close(socket);
  }
  // Restarting must not wait for old connections to fade. Not SO_REUSEPORT, unless the one who has
  // the port gives it up to us: a port that is in use is to be an error.
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && beside >= 0) error = SetReusePort(beside);
  if (!error && beside >= 0) error = SetReusePort(acceptor.native_handle());
  if (!error) acceptor.bind(endpoint, error);
  // Beside the other it would at once get connections that the other has to answer.
  if (!error && beside < 0) {
    acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
  }
  if (!error) acceptor.non_blocking(true, error);
  return error ? ExplainBind(error, options) : absl::OkStatus();
}

}  // namespace webhook::http
