// The host's HTTP front: forwards requests to the instance that their path names.
#ifndef HOST_STUB_FRONT_FRONT_H_
#define HOST_STUB_FRONT_FRONT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "host_stub/front/routes.h"
#include "plugin/http/handler.h"
#include "plugin/http/io_threads.h"

namespace host_stub {

class ForwardedCall;

// Every method is forwarded, the query as it is, and what follows the name: the plugin decides.
// The front itself answers 404 (no such instance) and 403 (not opened to the outside).
class Front : public webhook::http::Handler {
 public:
  // `threads` are those of the server that calls the front; they outlive it.
  Front(Routes routes, webhook::http::IoThreads& threads);
  ~Front() override;

  webhook::http::HeadVerdict OnHead(webhook::http::Exchange& exchange) override;
  void OnRequest(webhook::http::Exchange& exchange) override;
  void OnAbandoned(webhook::http::Exchange& exchange) override;
  void OnDropped(webhook::http::Exchange& exchange) override;

 private:
  friend class ForwardedCall;

  // Calls are used again on the thread they belong to, so that a warm front allocates nothing.
  struct alignas(64) Thread {
    std::vector<std::unique_ptr<ForwardedCall>> idle;
    uint64_t next_request = 0;
  };

  ForwardedCall* Take(int thread);
  void GiveBack(ForwardedCall* call);

  const Routes routes_;
  webhook::http::IoThreads& threads_;
  std::vector<Thread> per_thread_;
};

}  // namespace host_stub

#endif  // HOST_STUB_FRONT_FRONT_H_
