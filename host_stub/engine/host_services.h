// What the host lends to a plugin: the incident store, the log, and threads for completions.
#ifndef HOST_STUB_ENGINE_HOST_SERVICES_H_
#define HOST_STUB_ENGINE_HOST_SERVICES_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "host_stub/engine/logger.h"
#include "host_stub/store/incident_store.h"
#include "host_stub/store/state_store.h"
#include "plugin/limits/limits.h"

namespace host_stub {

// The host's I/O threads, as far as completions need them.
class CompletionThreads {
 public:
  virtual ~CompletionThreads() = default;

  // Threads are numbered from 0.
  virtual int count() const = 0;

  // The calling thread's number, or -1 where it is none of them.
  virtual int current() const = 0;

  // Runs `function` later on that thread. Any thread; never blocks. What comes after the threads
  // have ended is dropped, so instances are stopped before.
  virtual void Post(int thread, absl::AnyInvocable<void()> function) = 0;
};

// Shared, because a plugin that refuses to stop keeps them for good.
struct HostServices {
  std::shared_ptr<IncidentStore> store;
  // Where instances' contexts are kept. Null: nowhere, and a plugin that asks gets UNIMPLEMENTED.
  std::shared_ptr<StateStore> state;
  std::shared_ptr<Logger> logger;
  // Incidents that were created from one of these threads are completed on the same thread, all of
  // one commit with one Post; those from elsewhere (a plugin's or gRPC's thread) on thread 0.
  std::shared_ptr<CompletionThreads> threads;
  webhook::Limits limits;
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_HOST_SERVICES_H_
