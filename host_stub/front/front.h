// The host's HTTP front: forwards each request to the instance that its path names.
#ifndef HOST_STUB_FRONT_FRONT_H_
#define HOST_STUB_FRONT_FRONT_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "host_stub/engine/hosted_plugin.h"
#include "host_stub/instances/snapshot.h"
#include "host_stub/observe/traffic.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/handler.h"

namespace host_stub {

// Every method is forwarded, with the query and with what follows the name in the path, because the
// plugin decides about them. The front itself answers 404 (no such instance) and 403 (the instance
// is not opened to the outside).
class Front : public webhook::http::Handler {
 public:
  // `threads` are those of the server that calls the front; they outlive it. The instances may
  // change at any time: a request is forwarded by the snapshot that holds when its head is read.
  // `answer_timeout_ms`: what is not begun by then is not begun at all, because its sender got a
  // 504.
  Front(std::shared_ptr<const PublishedInstances> instances, webhook::http::IoThreads& threads,
        std::shared_ptr<Traffic> traffic, int64_t answer_timeout_ms);
  ~Front() override;

  webhook::http::HeadVerdict OnHead(webhook::http::Exchange& exchange) override;
  void OnRequest(webhook::http::Exchange& exchange) override;
  void OnAbandoned(webhook::http::Exchange& exchange) override;
  void OnDropped(webhook::http::Exchange& exchange) override;
  void OnAnswered(const webhook::http::Answered& answered) noexcept override;

  // Requests that have a head and no answer yet. Any thread.
  int64_t active_requests() const;

  // Makes every thread take the current snapshot soon, also one without requests, so that it lets
  // go of the earlier one. Any thread; while the I/O threads run.
  void RefreshThreads();

 private:
  class Call;

  // Calls are reused on the thread that they belong to, so that a warm front allocates nothing.
  struct alignas(64) Thread {
    std::vector<std::unique_ptr<Call>> idle;
    PublishedInstances::Reader instances;
    // Written by the thread alone.
    std::atomic<int64_t> begun{0};
    std::atomic<int64_t> ended{0};
  };

  // The current snapshot, valid until the thread's next call.
  const InstanceSnapshot& InstancesOf(int thread);
  std::atomic<int64_t>* BytesOf(const webhook::http::RequestHead& head,
                                const InstanceEntry& instance);
  Call* Take(int thread);
  void GiveBack(Call* call) noexcept;

  const std::shared_ptr<const PublishedInstances> instances_;
  webhook::http::IoThreads& threads_;
  const std::shared_ptr<Traffic> traffic_;
  const int64_t answer_timeout_ms_;
  // What the requests of each instance hold, by its number: a counter outlives its instance, and
  // then serves the next one of that number. Of more than 4,096 instances some share a counter.
  std::array<std::atomic<int64_t>, 4'096> instance_bytes_{};
  std::vector<Thread> per_thread_;
};

// The server's threads, as the engine uses them for completions: a request that came in on one of
// them is completed on the same, so its answer is written where its connection lives.
std::shared_ptr<CompletionThreads> CompletionsOn(std::shared_ptr<webhook::http::IoThreads> threads);

}  // namespace host_stub

#endif  // HOST_STUB_FRONT_FRONT_H_
