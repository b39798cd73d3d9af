// What the host knows of an instance while the plugin may still speak of it: the plugin holds a
// pointer to it as its lri_host_instance. Private to the engine.
#ifndef HOST_STUB_ENGINE_INSTANCE_RECORD_H_
#define HOST_STUB_ENGINE_INSTANCE_RECORD_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "host_stub/engine/hosted_instance.h"
#include "host_stub/observe/logger.h"
#include "host_stub/observe/traffic.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// Any thread. A call and a batch are counted when they begin and when they end. The counts are in
// different cache lines, because beginnings and ends come from different threads. Their difference
// is what is in flight.
struct InstanceRecord {
  InstanceRecord(std::string uid_in, std::string name_in, std::string source_brand_in,
                 Logger& logger_in, Traffic* traffic = nullptr);

  lri_host_instance* abi() { return reinterpret_cast<lri_host_instance*>(this); }
  static InstanceRecord* From(lri_host_instance* instance) {
    return reinterpret_cast<InstanceRecord*>(instance);
  }

  // As the plugin reports it; logged when the state changes.
  void SetHealth(HealthState state, absl::string_view message);

  // The plugin did what it must not do: logged and counted. `broken`: it cannot be trusted to serve
  // any longer, so the instance is unhealthy.
  void Fault(absl::string_view what, bool broken);

  // Hands the plugin's answer, to a call or to a head, to `take`; in place of one that is not
  // usable, an answer 500.
  void TakeAnswer(const lri_answer* given, absl::FunctionRef<void(const Answer&)> take);

  // What became of a request or a connection, at any door.
  void OnAnswered(const lri_answered& answered);
  const TrafficCounts& traffic() const { return traffic_counts_; }

  InstanceHealth health() const;
  InstanceCounts counts() const;
  bool in_flight() const;

  const std::string uid;
  const std::string name;
  const std::string source_brand;
  Logger& logger;
  lri_instance* instance = nullptr;  // the plugin's; set once, before any request

  alignas(64) std::atomic<int64_t> calls_begun{0};
  std::atomic<int64_t> batches_begun{0};
  std::atomic<int64_t> contexts_begun{0};  // reads and writes of the instance's context
  alignas(64) std::atomic<int64_t> calls_ended{0};
  std::atomic<int64_t> batches_ended{0};
  std::atomic<int64_t> contexts_ended{0};
  std::atomic<int64_t> incidents_created{0};
  std::atomic<int64_t> incidents_duplicate{0};
  alignas(64) std::atomic<int64_t> abandoned{0};
  std::atomic<int64_t> heads_answered{0};  // without a call
  std::atomic<int64_t> listen_requests{0};
  std::atomic<int64_t> incidents_hidden{0};
  std::atomic<int64_t> keys_forgotten_early{0};
  std::atomic<int64_t> faults{0};

 private:
  void SetHealthLocked(HealthState state, absl::string_view message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Traffic* const traffic_;  // null: nobody is told
  alignas(64) TrafficCounts traffic_counts_;

  mutable absl::Mutex mutex_;
  InstanceHealth health_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_INSTANCE_RECORD_H_
