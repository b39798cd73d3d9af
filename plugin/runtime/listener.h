// The listen port of an instance: a server that is started again when its socket dies, and the rule
// that no two instances have the same port.
#ifndef PLUGIN_RUNTIME_LISTENER_H_
#define PLUGIN_RUNTIME_LISTENER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plugin/http/server.h"
#include "plugin/runtime/timers.h"

namespace webhook::runtime {

class Listener;

// Which instance listens on which port, whatever the address. Thread-safe. Outlives the listeners.
class Ports {
 public:
  // Gives the port to `owner`, an address that stands for the instance; an owner may take a port
  // several times. Returns an empty string, or the name of the other instance that has the port;
  // then `waiter` tries again once that one gives it up, on the thread that does.
  std::string Take(uint16_t port, const void* owner, absl::string_view instance,
                   std::weak_ptr<Listener> waiter);

  // Once for each successful Take.
  void GiveUp(uint16_t port);

 private:
  struct Port {
    const void* owner;
    std::string instance;
    int uses = 0;
    std::vector<std::weak_ptr<Listener>> waiting;
  };

  std::mutex mutex_;
  std::map<uint16_t, Port> taken_;  // guarded by mutex_
};

// What a listener uses of its surroundings; all but `report` outlives it.
struct ListenerEnvironment {
  http::IoThreads* threads;
  http::Handler* handler;  // one for each instance
  Timers* timers;
  Ports* ports;
  std::string instance;  // its name, for messages
  // Called when the listener fails (UNAVAILABLE, one line for a person), when it could not be
  // started again, and when it serves again (OK). On any thread; must not block or call the
  // listener.
  std::function<void(const absl::Status&)> report;
};

// A listener that failed is started again at once, then after 1, 2, 4 ... 60 seconds. The pauses
// begin anew for one that served for a minute.
inline constexpr absl::Duration kFirstPause = absl::Seconds(1);
inline constexpr absl::Duration kLongestPause = absl::Seconds(60);

// Thread-safe. The last owner lets go of it on a thread outside of the pool; that drains it with no
// time left.
class Listener final : public std::enable_shared_from_this<Listener> {
 public:
  // Binds; connections wait in the kernel until StartAccepting. ALREADY_EXISTS: the port is in
  // use; INVALID_ARGUMENT, PERMISSION_DENIED: the address or port cannot be had. The message
  // begins with the parameter's name. `options` without accept_at_once, on_listener_failed and
  // takes_over_from.
  static absl::StatusOr<std::shared_ptr<Listener>> Bind(http::ServerOptions options,
                                                        ListenerEnvironment environment) {
    return Make(std::move(options), std::move(environment), nullptr, /*wait_for_port=*/false);
  }

  // As Bind, for a change of an instance that serves. `before`, which may be null, is the
  // instance's present listener, which is retired after StartAccepting; where both have the same
  // port, connections that are made meanwhile are not lost. OK also where another instance has the
  // port: this listener binds when that one gives it up.
  static absl::StatusOr<std::shared_ptr<Listener>> BindNext(http::ServerOptions options,
                                                            ListenerEnvironment environment,
                                                            Listener* before) {
    return Make(std::move(options), std::move(environment), before, /*wait_for_port=*/true);
  }

  ~Listener() { GiveUpPort(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // A listener that still waits for its port accepts as soon as it has it; if that takes longer
  // than kFirstPause, it is reported.
  void StartAccepting();

  // For connections from now on; null: plain HTTP. Those of another policy end: see Server::SetTls.
  // After Retire, too.
  void SetTls(std::shared_ptr<const http::TlsContext> tls);

  void SetProxies(http::Proxies proxies);

  // OK while it listens, else why it does not.
  absl::Status status() const;

  // [a thread outside of the pool] Closes the port: another listener may bind it when this returns.
  // Requests in flight are answered until the time is over; idle connections, whose senders do not
  // know of the change, may send one more request. Reports nothing from now on.
  void Retire(absl::Duration time);

  // [a thread outside of the pool] As Retire, but closes idle connections.
  void BeginDrain(absl::Duration time);

  // [a thread outside of the pool] As BeginDrain, and waits until the drain is over. After it the
  // handler is not called any more.
  void Drain(absl::Duration time);

  // True when a drain that was begun is over.
  bool drained() const;

  // Binds if it is to, and has not. Called when the port was given up (0), or by the timer of that
  // number, which only counts if it was set last.
  void TryAgain(int64_t timer = 0);

 private:
  struct Retired {
    std::shared_ptr<http::Server> server;
    std::shared_ptr<std::atomic<bool>> over;
  };

  static absl::StatusOr<std::shared_ptr<Listener>> Make(http::ServerOptions options,
                                                        ListenerEnvironment environment,
                                                        Listener* before, bool wait_for_port);
  Listener(http::ServerOptions options, ListenerEnvironment environment)
      : environment_(std::move(environment)), options_(std::move(options)) {}

  absl::Status Begin(Listener* before, bool wait_for_port);
  void GiveUpPort();
  void OnFailed(const absl::Status& error);
  // With the lock.
  absl::Status TakePort();
  absl::Status Listen(http::Server* before);
  void ReportFailure();
  void TryAgainLater();
  void RetireServer(absl::Duration time);

  const ListenerEnvironment environment_;
  mutable std::mutex mutex_;              // guards all below
  http::ServerOptions options_;           // accept_at_once: StartAccepting was called
  bool has_port_ = false;                 // in environment_.ports
  std::shared_ptr<http::Server> server_;  // null: it has not bound yet, or a drain has begun
  std::vector<Retired> retired_;
  bool ended_ = false;
  absl::Status status_;   // without the parameter's name
  absl::Duration pause_;  // before the next attempt
  int64_t timers_set_ = 0;
  absl::Duration begun_ = -absl::InfiniteDuration();  // when it was started again last
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_LISTENER_H_
