// How the client commands reach a host, and how they end.
#ifndef HOST_STUB_CLI_CONNECTION_H_
#define HOST_STUB_CLI_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace CLI {
class App;
}
namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc

namespace host_stub {

// Exit codes of every command.
constexpr int kDone = 0;
constexpr int kRefused = 1;   // the host was asked, and the answer is no
constexpr int kNotAsked = 2;  // wrong usage, or no host was reached

// Options that all client commands take.
struct ClientOptions {
  std::string connect;  // unix:PATH or HOST:PORT; empty: the default data folder's control socket
  bool json = false;
  int timeout_seconds = 30;
  // PEM files. Both `ca` and `certificate` empty: plain text.
  std::string ca;
  std::string certificate;
  std::string key;
};

// Adds --connect, --json, --timeout, --ca, --certificate and --key.
void AddClientOptions(CLI::App& command, ClientOptions& options);

// $XDG_DATA_HOME/generic-webhook or ~/.local/share/generic-webhook.
std::string DefaultDataDir();

// gRPC writes to standard error of its own accord: only where GRPC_VERBOSITY asks for it.
void SilenceGrpcLog();

// Holds gRPC's library for the life of the process. Without it the end of the last server lets the
// library shut down, which waits for its poller: up to ten seconds after everything has drained.
// The process ends right after, so nothing is lost by not shutting down.
void KeepGrpcUntilExit();

class Connection {
 public:
  // Connects. The error is one line that tells what to start or to change.
  static absl::StatusOr<Connection> Open(const ClientOptions& options);

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Sets the deadline of a call.
  void Prepare(grpc::ClientContext& context) const;

  // Prints one line for a call that failed, and returns the exit code.
  int Report(const grpc::Status& status) const;

 private:
  std::string target_;
  int timeout_seconds_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
};

// Prints "host_stub: MESSAGE" to standard error, on one line.
void PrintError(const std::string& message);

}  // namespace host_stub

#endif  // HOST_STUB_CLI_CONNECTION_H_
