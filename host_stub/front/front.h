// The host's HTTP front: forwards requests to the instance that their path names.
#ifndef HOST_STUB_FRONT_FRONT_H_
#define HOST_STUB_FRONT_FRONT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "host_stub/front/route_table.h"
#include "plugin/http/handler.h"
#include "plugin/http/io_threads.h"

namespace host_stub {

class ForwardedCall;

// Every method is forwarded, the query as it is, and what follows the name: the plugin decides.
// The front itself answers 404 (no such instance) and 403 (not opened to the outside).
class Front : public webhook::http::Handler {
 public:
  // `threads` are those of the server that calls the front; they outlive it. The table may change
  // at any time: a request is judged by the routes that hold when its head is read.
  // `answer_timeout_ms`: what is not begun by then is not begun at all, for its sender got a 504.
  Front(std::shared_ptr<const RouteTable> routes, webhook::http::IoThreads& threads,
        int64_t answer_timeout_ms);
  ~Front() override;

  webhook::http::HeadVerdict OnHead(webhook::http::Exchange& exchange) override;
  void OnRequest(webhook::http::Exchange& exchange) override;
  void OnAbandoned(webhook::http::Exchange& exchange) override;
  void OnDropped(webhook::http::Exchange& exchange) override;

  // Lets every thread take up the current routes soon, also one without requests: what it kept of
  // the old ones is let go. Any thread; while the threads run.
  void RefreshThreads();

 private:
  friend class ForwardedCall;

  // Calls are used again on the thread they belong to, so that a warm front allocates nothing.
  struct alignas(64) Thread {
    std::vector<std::unique_ptr<ForwardedCall>> idle;
    uint64_t next_request = 0;
    RouteTable::Reader routes;
  };

  // The routes that hold now; for that thread.
  const Routes& RoutesOf(int thread);
  ForwardedCall* Take(int thread);
  void GiveBack(ForwardedCall* call) noexcept;
  webhook::http::HeadVerdict Judge(webhook::http::Exchange& exchange);

  const std::shared_ptr<const RouteTable> routes_;
  webhook::http::IoThreads& threads_;
  const int64_t answer_timeout_ms_;
  std::vector<Thread> per_thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_FRONT_FRONT_H_
