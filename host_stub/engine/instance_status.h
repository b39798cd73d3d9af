// What an instance reports of itself: how it is reached, its health, and its counts.
#ifndef HOST_STUB_ENGINE_INSTANCE_STATUS_H_
#define HOST_STUB_ENGINE_INSTANCE_STATUS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace host_stub {

// Answers by their status.
struct AnswerCounts {
  int64_t succeeded = 0;  // 2xx
  int64_t refused = 0;    // 4xx
  int64_t failed = 0;     // 5xx
};

// How the plugin describes an instance.
struct InstanceDescription {
  bool external_key_needed = false;  // served only with instance.execute.external.<name> = true
  std::string path_prefix;           // before the name: "/instance/execute/"
  std::string webhook_url;           // empty where the platform's URL is not known
  std::string listen_url;            // empty where there is no listen port
  std::string record_noun;           // "incident", "alert", "issue"
  std::vector<std::string> warnings;
  AnswerCounts listen_answers;  // of the listen port, since the instance was created
};

enum class HealthState { kHealthy, kDegraded, kUnhealthy };

struct InstanceHealth {
  HealthState state = HealthState::kHealthy;
  std::string message;     // empty where none was reported
  absl::Time since;        // when the state last changed
  std::string last_fault;  // what went wrong last, kept when all is well again; empty: nothing
  absl::Time last_fault_time = absl::InfinitePast();
};

// Since the instance was created, across updates. Requests to its listen port are not counted here.
struct InstanceCounts {
  int64_t calls = 0;              // that CheckHead answered or Execute accepted
  int64_t calls_in_flight = 0;    // that the plugin has not yet let go of
  int64_t abandoned = 0;          // of calls: the host gave them up
  AnswerCounts answers;           // of calls
  int64_t incidents_created = 0;  // without duplicates
  int64_t batches_in_flight = 0;  // handed to the store, not yet completed
  int64_t faults = 0;             // of the plugin: unusable or second answers, calls it forgot
};

// The result of a command: JSON text, or an error whose message is one line for a person.
using CommandDone = std::function<void(absl::StatusOr<std::string> result)>;

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_INSTANCE_STATUS_H_
