#include "host_stub/engine/instance_record.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/border.h"

namespace host_stub {
namespace {

// What a plugin reports of its health is kept; a line for a person is no longer than this.
constexpr size_t kMostMessageBytes = 1024;

std::string Bounded(absl::string_view text) { return EscapeForLog(text, kMostMessageBytes); }

}  // namespace

InstanceRecord::InstanceRecord(std::string uid_in, std::string name_in, std::string source_brand_in,
                               Logger& logger_in, Traffic* traffic)
    : uid(std::move(uid_in)),
      name(std::move(name_in)),
      source_brand(std::move(source_brand_in)),
      logger(logger_in),
      traffic_(traffic) {
  health_.since = absl::Now();
}

void InstanceRecord::SetHealthLocked(HealthState state, absl::string_view message) {
  if (state != health_.state) health_.since = absl::Now();
  health_.state = state;
  health_.message = Bounded(message);
  if (state == HealthState::kHealthy) return;
  health_.last_fault = health_.message;
  health_.last_fault_time = absl::Now();
}

void InstanceRecord::SetHealth(HealthState state, absl::string_view message) {
  bool changed = false;
  {
    absl::MutexLock lock(&mutex_);
    changed = state != health_.state;
    SetHealthLocked(state, message);
  }
  if (!changed) return;
  const char* const text = state == HealthState::kHealthy    ? "is healthy"
                           : state == HealthState::kDegraded ? "is degraded"
                                                             : "is unhealthy";
  logger.Log(state == HealthState::kHealthy ? Severity::kInfo : Severity::kWarning, name,
             message.empty() ? std::string(text) : absl::StrCat(text, ": ", message));
}

void InstanceRecord::Fault(absl::string_view what, bool broken) {
  faults.fetch_add(1, std::memory_order_relaxed);
  {
    absl::MutexLock lock(&mutex_);
    if (broken) {
      SetHealthLocked(HealthState::kUnhealthy, what);
    } else {
      health_.last_fault = Bounded(what);
      health_.last_fault_time = absl::Now();
    }
  }
  logger.Log(Severity::kError, name, what);
}

void InstanceRecord::TakeAnswer(const lri_answer* given,
                                absl::FunctionRef<void(const Answer&)> take) {
  Answer answer;
  const char* const fault = ValidateAnswer(given, &answer);
  if (fault == nullptr) return take(answer);
  Fault(absl::StrCat("the plugin's answer is not usable: ", fault), /*broken=*/false);
  take(PlainAnswer(500, LRI_REASON_OTHER, "The webhook's answer was not usable.\n"));
}

void InstanceRecord::OnAnswered(const lri_answered& answered) {
  if (traffic_ == nullptr) {
    traffic_counts_.Add(answered);
  } else {
    traffic_->OnAnswered(name, &traffic_counts_, answered);
  }
}

InstanceHealth InstanceRecord::health() const {
  absl::MutexLock lock(&mutex_);
  return health_;
}

InstanceCounts InstanceRecord::counts() const {
  // Ends are read before beginnings, so that a difference is never negative.
  InstanceCounts counts;
  const int64_t calls_done = calls_ended.load(std::memory_order_acquire);
  const int64_t batches_done = batches_ended.load(std::memory_order_acquire);
  counts.calls = calls_begun.load(std::memory_order_acquire);
  counts.calls_in_flight = counts.calls - calls_done;
  counts.batches_in_flight = batches_begun.load(std::memory_order_acquire) - batches_done;
  counts.calls += heads_answered.load(std::memory_order_relaxed);
  counts.abandoned = abandoned.load(std::memory_order_relaxed);
  counts.calls += listen_requests.load(std::memory_order_relaxed);
  for (const Outcome outcome :
       {Outcome::kAccepted, Outcome::kDuplicate, Outcome::kDropped, Outcome::kHandshake}) {
    counts.answers.succeeded += traffic_counts_.of(outcome);
  }
  counts.answers.refused = traffic_counts_.of(Outcome::kRefused);
  counts.answers.failed = traffic_counts_.of(Outcome::kFailed);
  counts.reasons = traffic_counts_.reasons();
  counts.incidents_created = incidents_created.load(std::memory_order_relaxed);
  counts.incidents_duplicate = incidents_duplicate.load(std::memory_order_relaxed);
  counts.incidents_hidden = incidents_hidden.load(std::memory_order_relaxed);
  counts.keys_forgotten_early = keys_forgotten_early.load(std::memory_order_relaxed);
  counts.faults = faults.load(std::memory_order_relaxed);
  return counts;
}

bool InstanceRecord::in_flight() const {
  const int64_t contexts_done = contexts_ended.load(std::memory_order_acquire);
  if (contexts_begun.load(std::memory_order_acquire) != contexts_done) return true;
  const InstanceCounts now = counts();
  return now.calls_in_flight != 0 || now.batches_in_flight != 0;
}

}  // namespace host_stub
