#include "host_stub/engine/hosted_instance.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/clock/monotonic_clock.h"
#include "host_stub/engine/abi_answer.h"
#include "host_stub/engine/guarded.h"
#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/plugin_core.h"

namespace host_stub {
namespace {

// After the deadline of a stop: for the calls that were cancelled then, and for a plugin that does
// not look at the clock.
constexpr absl::Duration kGrace = absl::Seconds(1);

int64_t ToMonotonic(absl::Time deadline) {
  const absl::Duration left = deadline - absl::Now();
  if (left <= absl::ZeroDuration()) return 0;  // no waiting
  return MonotonicNanoseconds() + absl::ToInt64Nanoseconds(std::min(left, absl::Hours(24 * 365)));
}

// The calls that did not return in time run on with it, so it owns what they use.
struct StopCall {
  int32_t code = LRI_OK;
  ErrorText error;
  std::string thrown;
  bool returned_normally = false;
};

}  // namespace

HostedInstance::HostedInstance(std::shared_ptr<HostedPlugin> plugin, PluginCore& core,
                               std::unique_ptr<InstanceRecord> record)
    : plugin_(std::move(plugin)), core_(core), record_(std::move(record)) {}

HostedInstance::~HostedInstance() {
  absl::MutexLock lock(&control_);
  if (state_ == State::kServing) StopLocked(absl::Now()).IgnoreError();
  // One that never served may still read its context.
  if (state_ != State::kHopeless && record_->in_flight()) {
    AwaitLastReturns(absl::Now() + kGrace).IgnoreError();
  }
  if (state_ == State::kServing || state_ == State::kHopeless || record_->in_flight()) {
    core_.StayForever(absl::StrCat("its instance \"", record_->name, "\" cannot be drained"));
    static_cast<void>(record_.release());
    return;
  }
  int32_t code = LRI_OK;
  std::string thrown;
  const auto call = [&] {
    core_.table().destroy(record_->instance);
    return LRI_OK;
  };
  if (CallGuarded("destroy", call, &code, &thrown)) return;
  core_.StayForever(thrown);
  static_cast<void>(record_.release());
}

void HostedInstance::LetGo(HostedInstance* instance) {
  std::unique_ptr<HostedInstance> owned(instance);
  const auto end = std::move(owned->end_);
  if (end) end(std::move(owned));
}

const std::string& HostedInstance::uid() const { return record_->uid; }
const std::string& HostedInstance::name() const { return record_->name; }
InstanceHealth HostedInstance::health() const { return record_->health(); }
InstanceCounts HostedInstance::counts() const { return record_->counts(); }

absl::Status HostedInstance::Start() {
  absl::MutexLock lock(&control_);
  if (state_ == State::kHopeless) {
    return absl::FailedPreconditionError("the instance could not be stopped; make a new one");
  }
  ErrorText error;
  int32_t code = LRI_OK;
  std::string thrown;
  const auto call = [&] { return core_.table().start(record_->instance, error.abi()); };
  if (!CallGuarded("start", call, &code, &thrown)) {
    record_->Fault(thrown, /*broken=*/true);
    state_ = State::kServing;  // nobody knows how far it came, so it is stopped before it ends
    return absl::InternalError(thrown);
  }
  if (code != LRI_OK) return error.ToStatus(code, "the plugin could not start the instance");
  state_ = State::kServing;
  return absl::OkStatus();
}

absl::Status HostedInstance::Stop(absl::Time deadline) {
  absl::MutexLock lock(&control_);
  return StopLocked(deadline);
}

absl::Status HostedInstance::StopLocked(absl::Time deadline) {
  if (state_ == State::kNew || state_ == State::kStopped) return absl::OkStatus();
  if (state_ == State::kHopeless) return absl::InternalError("the instance cannot be stopped");
  absl::Status status = CallStop(deadline);
  // The calls in flight were cancelled; most plugins complete them now.
  if (absl::IsDeadlineExceeded(status)) status = CallStop(absl::Now() + kGrace);
  if (status.ok()) status = AwaitLastReturns(std::max(deadline, absl::Now()) + kGrace);
  if (status.ok()) {
    state_ = State::kStopped;
    return status;
  }
  const PlainAnswer answer(503, "The webhook was stopped before it answered.\n");
  Answer held = answer.answer();
  held.request_is_held = true;
  core_.host.calls().AbandonAll(*record_, held);
  return status;
}

// One stop of the plugin, which is left behind where it does not return.
absl::Status HostedInstance::CallStop(absl::Time deadline) {
  auto stop = std::make_shared<StopCall>();
  const auto run = [stop, table = &core_.table(), instance = record_->instance,
                    deadline_mono_ns = ToMonotonic(deadline)] {
    const auto call = [&] { return table->stop(instance, deadline_mono_ns, stop->error.abi()); };
    stop->returned_normally = CallGuarded("stop", call, &stop->code, &stop->thrown);
  };
  if (!RunUntil(std::max(deadline, absl::Now()) + kGrace, run)) {
    state_ = State::kHopeless;
    record_->Fault("the plugin's function stop does not return", /*broken=*/true);
    return absl::DeadlineExceededError("the plugin's function stop does not return");
  }
  if (!stop->returned_normally) {
    state_ = State::kHopeless;
    record_->Fault(stop->thrown, /*broken=*/true);
    return absl::InternalError(stop->thrown);
  }
  if (stop->code == LRI_OK) return absl::OkStatus();
  return stop->error.ToStatus(stop->code, "the plugin could not stop the instance");
}

// After the plugin's stop its last callbacks may still be returning on other threads.
absl::Status HostedInstance::AwaitLastReturns(absl::Time deadline) {
  while (record_->in_flight()) {
    if (absl::Now() >= deadline) {
      state_ = State::kHopeless;
      const InstanceCounts now = record_->counts();
      const std::string fault =
          absl::StrCat("the plugin says that it stopped, but never answered ", now.calls_in_flight,
                       " calls and left ", now.batches_in_flight, " batches of incidents behind");
      record_->Fault(fault, /*broken=*/true);
      return absl::InternalError(fault);
    }
    absl::SleepFor(absl::Microseconds(100));
  }
  return absl::OkStatus();
}

}  // namespace host_stub
