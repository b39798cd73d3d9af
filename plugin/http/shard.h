// A server's connections on one thread, and what all shards of a server share.
#ifndef PLUGIN_HTTP_SHARD_H_
#define PLUGIN_HTTP_SHARD_H_

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "plugin/http/io_threads_internal.h"
#include "plugin/http/response_format.h"
#include "plugin/http/server.h"
#include "plugin/http/socket_events.h"

namespace webhook::http {

class Connection;

// Milliseconds of a clock that never goes back; cheap, and coarse by a few of them.
int64_t CoarseNowMs();

// What the shards of a server share. [any thread]
class ServerState {
 public:
  ServerState(ServerOptions options, Handler& handler);

  const Limits& limits() const { return options_.limits; }
  const ServerOptions& options() const { return options_; }
  Handler& handler() { return handler_; }

  std::shared_ptr<const TlsContext> tls() const;
  void SetTls(std::shared_ptr<const TlsContext> tls);

  // Counts a connection in, unless a limit is reached; then false. Each admitted one is released
  // once. Taken when connections come and go, never by a request.
  bool Admit(const std::string& peer);
  void Release(const std::string& peer);
  int64_t connections() const { return connections_.load(std::memory_order_relaxed); }

  // Reserves bytes of memory, unless Limits::bytes_in_flight would be passed; then false.
  bool ReserveBytes(int64_t bytes);
  // Counts what is there already and cannot be refused; others are, for as long as it lasts.
  void CountBytes(int64_t bytes);
  void ReleaseBytes(int64_t bytes) { CountBytes(-bytes); }

 private:
  const ServerOptions options_;
  Handler& handler_;
  const absl::flat_hash_set<std::string> trusted_peers_;
  const int64_t most_bytes_in_flight_;
  std::atomic<int64_t> connections_{0};
  const std::shared_ptr<BytesInFlight> bytes_in_flight_;
  // Not absl::Mutex: the system's Abseil is opaque to the thread sanitizer.
  mutable std::mutex mutex_;  // guards the two below
  // Not one of Abseil: those are broken by an allocation that fails.
  std::map<std::string, int64_t> peers_;
  std::shared_ptr<const TlsContext> tls_;
};

// All functions run on the loop's thread. Lives as long as a connection of it, so that an
// exchange may be answered after its server is gone.
class Shard : public std::enable_shared_from_this<Shard> {
 public:
  Shard(std::shared_ptr<ServerState> state, Loop& loop);
  ~Shard();

  ServerState& state() { return *state_; }
  const Limits& limits() const { return limits_; }
  Loop& loop() { return loop_; }
  bool draining() const { return draining_; }
  bool patient() const { return patient_; }
  absl::string_view date() { return date_.At(std::time(nullptr)); }

  // Takes an admitted connection.
  void Adopt(Socket socket, std::string peer);

  // Closes idle connections, unless `patient`; the others end with their answer. `emptied` runs
  // once no connection is open any more, at once if none is.
  void Drain(bool patient, std::function<void()> emptied);
  void EndPatience();

  // Closes all; before that `cut_off` runs if a request or an answer is lost by it.
  void Cut(const std::function<void()>& cut_off);

  // For Connection: it is no longer open; it may be deleted.
  void OnClosed(Connection& connection);
  void Delete(Connection& connection);

 private:
  template <typename Action>
  void ForEach(Action action);
  void ScheduleSweep();
  void Sweep();
  void Unlink(Connection& connection);

  const std::shared_ptr<ServerState> state_;
  const Limits& limits_;
  Loop& loop_;
  const int64_t sweep_ms_;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                    boost::asio::wait_traits<std::chrono::steady_clock>,
                                    boost::asio::io_context::executor_type>
      timer_;
  DateText date_;
  Connection* first_ = nullptr;
  int64_t open_ = 0;
  bool sweep_scheduled_ = false;
  bool draining_ = false;
  bool patient_ = false;
  bool walking_ = false;  // the list must keep its shape
  Connection* doomed_ = nullptr;
  std::function<void()> emptied_;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_SHARD_H_
