// The threads that all servers share.
//
// Each thread runs an event loop of its own. A connection stays on one thread for its whole life,
// so a request takes no lock. Many servers (a thousand listen ports) share one pool.
#ifndef PLUGIN_HTTP_IO_THREADS_H_
#define PLUGIN_HTTP_IO_THREADS_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"

namespace webhook::http {

struct Loop;

class IoThreads {
 public:
  // Starts `threads` of them (at least 1). They block every signal, so that signals reach the
  // process's own threads. RESOURCE_EXHAUSTED when the system gives no more threads.
  static absl::StatusOr<std::unique_ptr<IoThreads>> Start(int threads);

  // [a thread outside the pool] Stops. Every Server on these threads must be gone and every
  // Exchange answered before.
  ~IoThreads();

  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  // [any thread] How many threads there are.
  int size() const;

  // [any thread] The index of the calling thread in this pool, from 0; -1 on any other thread.
  int current() const;

  // [any thread] Runs `work` on that thread (0 <= thread < size()) after what was posted before,
  // never inside this call. `work` must not block. It is dropped after Stop.
  void Post(int thread, absl::AnyInvocable<void()> work);

  // [a thread outside the pool] Runs what was posted before, then joins. Further calls do nothing.
  void Stop();

  // For plugin/http alone.
  const std::vector<std::unique_ptr<Loop>>& loops() const { return loops_; }
  // The thread for the next listening socket, in turn.
  Loop& NextHome() { return *loops_[next_home_.fetch_add(1) % loops_.size()]; }

 private:
  IoThreads();

  std::vector<std::unique_ptr<Loop>> loops_;
  std::atomic<unsigned> next_home_{0};
  bool stopped_ = false;
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_IO_THREADS_H_
