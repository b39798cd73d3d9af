// Shared by all instances of one plugin: the host, the limits, the pools, the threads.
#ifndef PLUGIN_RUNTIME_PLUGIN_H_
#define PLUGIN_RUNTIME_PLUGIN_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/status/statusor.h"
#include "plugin/abi/long_running_integration.h"
#include "plugin/base/line_limiter.h"
#include "plugin/base/object_pool.h"
#include "plugin/core/incidents.h"
#include "plugin/http/event_loop.h"
#include "plugin/http/server.h"
#include "plugin/limits/limits.h"
#include "plugin/runtime/head_check.h"
#include "plugin/runtime/host.h"
#include "plugin/runtime/listener.h"
#include "plugin/runtime/timers.h"

namespace webhook::runtime {

class Call;

inline constexpr char kSourceBrand[] = "Generic Webhook";

// Thread-safe. Destroyed after its instances.
class Plugin {
 public:
  // INVALID_ARGUMENT: the host's table lacks a function, or a limit is unknown or out of range.
  static absl::StatusOr<std::unique_ptr<Plugin>> Create(const lri_host* host,
                                                        const lri_plugin_options* options);
  // io_threads 0: as many as there are processors, four at most.
  Plugin(const Host& host, const Limits& limits, uint32_t io_threads = 0);
  ~Plugin();

  const Host& host() const { return host_; }
  const Limits& limits() const { return limits_; }
  base::ObjectPool<Call>& calls() { return calls_; }
  base::ObjectPool<core::IncidentParser>& parsers() { return parsers_; }
  // A request to an instance with a source holds one until its answer. Without an object: too many
  // are in flight.
  base::ObjectPool<SourceJudge>::Lease TakeJudge() {
    return judges_.Take([this] { return SourceJudge(limits_); });
  }
  void GiveBack(base::ObjectPool<SourceJudge>::Lease& judge) {
    if (judge.object != nullptr) judges_.GiveBack(std::exchange(judge, {}).index);
  }
  // For a `done` that the host may call after its test has timed out.
  base::ObjectPool<DoneSlot>& done_slots() { return done_slots_; }
  Ports& ports() { return ports_; }
  Tickets& tickets() { return tickets_; }
  WrongCredentials& wrong_credentials() { return wrong_credentials_; }

  // For lines that a sender, or a full disk, can cause at will.
  base::LineLimiter& warnings() { return warnings_; }

  // Of all listen ports together.
  const std::shared_ptr<http::BytesInFlight>& bytes_in_flight() const { return bytes_in_flight_; }

  // Counts memory for a body that was expanded, or for parsing a large one; false if all of them
  // together would exceed their limit.
  bool ReserveMemory(int64_t bytes);
  void ReleaseMemory(int64_t bytes) { reserved_bytes_.fetch_sub(bytes); }

  // Started on first use, so that instances without a listen port cost no threads.
  absl::StatusOr<http::IoThreads*> io_threads();
  // Whoever uses RunAfter starts it.
  TimerThread& timers() { return timers_; }

 private:
  const Host host_;
  const Limits limits_;
  base::ObjectPool<Call> calls_;
  // A parser is used within one function only, so there are no more than threads.
  base::ObjectPool<core::IncidentParser> parsers_;
  base::ObjectPool<SourceJudge> judges_;
  base::ObjectPool<DoneSlot> done_slots_;
  Ports ports_;
  Tickets tickets_;
  WrongCredentials wrong_credentials_;
  base::LineLimiter warnings_;
  const std::shared_ptr<http::BytesInFlight> bytes_in_flight_ =
      std::make_shared<http::BytesInFlight>();
  std::atomic<int64_t> reserved_bytes_{0};
  const int io_thread_count_;
  std::mutex starting_;  // guards io_threads_
  std::unique_ptr<http::IoThreads> io_threads_;
  TimerThread timers_;
};

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_PLUGIN_H_
