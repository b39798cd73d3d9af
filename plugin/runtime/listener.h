// The listen port of an instance: a server that is put up again when its socket dies.
#ifndef PLUGIN_RUNTIME_LISTENER_H_
#define PLUGIN_RUNTIME_LISTENER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/http/server.h"
#include "plugin/runtime/timers.h"

namespace webhook::runtime {

// What a listener needs of its surroundings; all but `report` outlives it.
struct ListenerEnvironment {
  http::IoThreads* threads;
  http::Handler* handler;
  Timers* timers;
  // Told when the listener fails (UNAVAILABLE, one line for a person), when it could not be put
  // up again, and when it serves again (OK). On any thread; must not block or call the listener.
  std::function<void(const absl::Status&)> report;
};

// Put up again at once, then after 1, 2, 4 ... 60 seconds. One that served for a minute begins
// anew.
inline constexpr absl::Duration kFirstPause = absl::Seconds(1);
inline constexpr absl::Duration kLongestPause = absl::Seconds(60);

// Thread-safe. Destroyed on a thread outside of the pool.
class Listener {
 public:
  // Binds; connections wait in the kernel until StartAccepting. ALREADY_EXISTS: the port is in
  // use; INVALID_ARGUMENT, PERMISSION_DENIED: the address or port cannot be had. The message
  // begins with the parameter's name. `options` without accept_at_once, on_listener_failed and
  // takes_over_from. `before` has the port, and is retired or drained once this one accepts; with
  // the same address no connection is lost then. Null: nothing of ours has it.
  static absl::StatusOr<std::unique_ptr<Listener>> Bind(http::ServerOptions options,
                                                        ListenerEnvironment environment,
                                                        Listener* before = nullptr);

  // Drains with no time left.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void StartAccepting();

  // For connections from now on; null: plain HTTP.
  void SetTls(std::shared_ptr<const http::TlsContext> tls);

  // OK while it listens, else what was reported last.
  absl::Status status() const;

  // Nothing is accepted any more; what is in flight is answered until the time is over. Reports
  // nothing from now on. Does not wait.
  void BeginDrain(absl::Duration time);

  // As BeginDrain, for one whose senders go on elsewhere: idle connections may ask once more.
  void Retire(absl::Duration time);

  // Is a drain that was begun over?
  bool drained() const;

  // [a thread outside of the pool] The same as BeginDrain, waiting. After it the handler is not
  // called any more.
  void Drain(absl::Duration time);

 private:
  class Core;
  explicit Listener(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  const std::shared_ptr<Core> core_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_LISTENER_H_
