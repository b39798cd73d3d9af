#include "host_stub/engine/hosted_instance.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host_stub/engine/border.h"
#include "host_stub/engine/instance_record.h"
#include "host_stub/engine/plugin_core.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"

namespace host_stub {
namespace {

// After the deadline of a stop: for the calls that were cancelled then, and for a plugin that does
// not look at the clock.
constexpr absl::Duration kGrace = absl::Seconds(1);

int64_t ToMonotonic(absl::Time deadline) {
  const absl::Duration left = deadline - absl::Now();
  if (left <= absl::ZeroDuration()) return 0;  // no waiting
  return base::MonotonicNanoseconds() +
         absl::ToInt64Nanoseconds(std::min(left, absl::Hours(24 * 365)));
}

// A call of the plugin's stop. One that does not return in time goes on, so it owns what it uses.
struct StopCall {
  int32_t code = LRI_OK;
  ErrorText error;
};

absl::Status NotTaken(int32_t code) {
  if (code == LRI_UNAVAILABLE) {
    return absl::UnavailableError("the instance is stopping, or too much is in flight");
  }
  // Whatever the code, the plugin has not begun (the ABI says so): no code that stands for
  // "unknown".
  return absl::InternalError(
      absl::StrCat("the plugin refused the request with code ", code, "; nothing was done"));
}

// Waits within check_head for the plugin's answer.
struct HeadSink {
  HeadAnswerReceiver* receiver;
  InstanceRecord* record;
  bool called = false;

  static void OnAnswer(void* context, const lri_answer* given) noexcept {
    HeadSink& sink = *static_cast<HeadSink*>(context);
    if (sink.called) {
      return sink.record->Fault("the plugin gave two answers to one head", /*broken=*/false);
    }
    sink.called = true;
    sink.record->heads_answered.fetch_add(1, std::memory_order_relaxed);
    sink.record->TakeAnswer(given,
                            [&sink](const Answer& answer) { sink.receiver->OnHeadAnswer(answer); });
  }
};

struct DescriptionSink {
  InstanceDescription description;
  bool called = false;

  static absl::Time EndOf(int64_t unix_s) {
    return unix_s == 0 ? absl::InfiniteFuture() : absl::FromUnixSeconds(unix_s);
  }

  static void OnDescription(void* context, const lri_description* given) noexcept {
    DescriptionSink& sink = *static_cast<DescriptionSink*>(context);
    if (given == nullptr || !LRI_HAS(given, warnings)) return;
    sink.called = true;
    InstanceDescription& description = sink.description;
    description.external_key_needed = given->external_key_needed != 0;
    description.path_prefix = std::string(ToStringView(given->path_prefix));
    description.webhook_url = std::string(ToStringView(given->webhook_url));
    description.listen_url = std::string(ToStringView(given->listen_url));
    description.record_noun = std::string(ToStringView(given->record_noun));
    description.warnings = ToStrings(given->warnings);
    if (LRI_HAS(given, rules) && given->rule_counts != nullptr) {
      description.rule_counts.assign(given->rule_counts, given->rule_counts + given->rules);
    }
    if (!LRI_HAS(given, is_signed)) return;
    description.token_header = std::string(ToStringView(given->token_header.name));
    description.token_prefix = std::string(ToStringView(given->token_header.value));
    description.token_parameter = std::string(ToStringView(given->token_parameter));
    description.is_signed = given->is_signed != 0;
    if (!LRI_HAS(given, passwords_end_s)) return;
    description.certificate_end = EndOf(given->certificate_end_s);
    description.passwords_end = EndOf(given->passwords_end_s);
    if (!LRI_HAS(given, events_dropped)) return;
    description.tls_handshakes = given->tls_handshakes;
    description.events_dropped = given->events_dropped;
  }
};

}  // namespace

HostedInstance::HostedInstance(std::shared_ptr<HostedPlugin> plugin, PluginCore& core,
                               std::unique_ptr<InstanceRecord> record)
    : plugin_(std::move(plugin)), core_(core), record_(std::move(record)) {}

HostedInstance::~HostedInstance() {
  absl::MutexLock lock(&control_);
  if (state_ == State::kServing) StopLocked(absl::Now()).IgnoreError();
  // One that never served may still be reading its context.
  if (state_ != State::kHopeless && record_->in_flight()) {
    AwaitLastReturns(absl::Now() + kGrace).IgnoreError();
  }
  if (state_ == State::kServing || state_ == State::kHopeless || record_->in_flight()) {
    core_.LeakPermanently(absl::StrCat("its instance \"", record_->name, "\" cannot be drained"));
    static_cast<void>(record_.release());
    return;
  }
  core_.Call("destroy", [&] { core_.table().destroy(record_->instance); });
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

const TrafficCounts& HostedInstance::traffic() const { return record_->traffic(); }
void HostedInstance::OnAnswered(const lri_answered& answered) { record_->OnAnswered(answered); }

// Starting and stopping.

absl::Status HostedInstance::Start() {
  absl::MutexLock lock(&control_);
  if (state_ == State::kHopeless) {
    return absl::FailedPreconditionError("the instance could not be stopped; make a new one");
  }
  ErrorText error;
  const int32_t code =
      core_.Call("start", [&] { return core_.table().start(record_->instance, error.abi()); });
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
  Answer answer = PlainAnswer(503, LRI_REASON_INSTANCE_STOPPED,
                              "The webhook was stopped before it answered.\n");
  answer.request_is_held = true;
  core_.calls().AbandonAll(*record_, answer);
  return status;
}

// One call of the plugin's stop, which is left behind where it does not return.
absl::Status HostedInstance::CallStop(absl::Time deadline) {
  auto stop = std::make_shared<StopCall>();
  const auto run = [stop, &core = core_, instance = record_->instance,
                    deadline_mono_ns = ToMonotonic(deadline)] {
    stop->code = core.Call(
        "stop", [&] { return core.table().stop(instance, deadline_mono_ns, stop->error.abi()); });
  };
  if (!RunUntil(std::max(deadline, absl::Now()) + kGrace, run)) {
    state_ = State::kHopeless;
    record_->Fault("the plugin's function stop does not return", /*broken=*/true);
    return absl::DeadlineExceededError("the plugin's function stop does not return");
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
      const std::string fault = absl::StrCat(
          "the plugin says that it stopped, but never answered ",
          base::Counted(now.calls_in_flight, "call", "calls"), " and left ",
          base::Counted(now.batches_in_flight, "batch", "batches"), " of incidents behind");
      record_->Fault(fault, /*broken=*/true);
      return absl::InternalError(fault);
    }
    absl::SleepFor(absl::Microseconds(100));
  }
  return absl::OkStatus();
}

// The way of a request.

absl::Status HostedInstance::CheckHead(const RequestHead& head, HeadAnswerReceiver* receiver,
                                       HeadVerdict* verdict) {
  lri_request_head abi_head;
  ToAbi(head, &abi_head);
  lri_head_verdict abi_verdict = {};
  abi_verdict.struct_size = sizeof(abi_verdict);
  HeadSink sink{receiver, record_.get()};
  const int32_t code = core_.Call("check_head", [&] {
    return core_.table().check_head(record_->instance, &abi_head, &HeadSink::OnAnswer, &sink,
                                    &abi_verdict);
  });
  // Whatever else the plugin says, a head that was answered once is not answered again.
  if (sink.called) {
    verdict->refused = true;
    return absl::OkStatus();
  }
  if (code != LRI_OK) return NotTaken(code);
  if (abi_verdict.refused != 0) {
    record_->Fault("the plugin refused a head without an answer", /*broken=*/false);
    return absl::InternalError("the plugin refused a head without an answer");
  }
  verdict->refused = false;
  verdict->body_limit_bytes = abi_verdict.body_limit_bytes;
  verdict->ticket = abi_verdict.ticket;
  return absl::OkStatus();
}

absl::Status HostedInstance::Execute(const Request& request, AnswerReceiver* receiver,
                                     CallHandle* call_handle) {
  PendingCalls& calls = core_.calls();
  const lri_request* abi_request = calls.Begin(request, *record_, receiver);
  if (abi_request == nullptr) return absl::UnavailableError("too many calls are in flight");
  // From the moment that execute is called the slot may be another call's.
  const CallHandle call = PendingCalls::FromAbi(abi_request->call);
  *call_handle = call;
  const int32_t code =
      core_.Call("execute", [&] { return core_.table().execute(record_->instance, abi_request); });
  if (code == LRI_OK) return absl::OkStatus();
  if (!calls.Withdraw(call)) {
    record_->Fault("the plugin answered a call and then refused it", /*broken=*/false);
    return absl::OkStatus();  // the answer counts
  }
  return NotTaken(code);
}

bool HostedInstance::Abandon(CallHandle call) {
  if (!core_.calls().Abandon(call)) return false;
  record_->abandoned.fetch_add(1, std::memory_order_relaxed);
  core_.Call("cancel", [&] { core_.table().cancel(record_->instance, PendingCalls::ToAbi(call)); });
  return true;
}

// Descriptions, commands and updates.

absl::StatusOr<InstanceDescription> HostedInstance::Describe() {
  DescriptionSink sink;
  const int32_t code = core_.Call("describe", [&] {
    return core_.table().describe(record_->instance, &DescriptionSink::OnDescription, &sink);
  });
  if (code != LRI_OK) {
    return absl::Status(ToStatusCode(code), "the plugin does not describe the instance");
  }
  if (!sink.called) return absl::InternalError("the plugin described nothing");
  return std::move(sink.description);
}

absl::Status HostedInstance::RunCommand(absl::string_view name, absl::string_view arguments,
                                        CommandDone done) {
  PendingCommands& commands = core_.commands();
  void* const done_context = commands.Begin(std::move(done));
  if (done_context == nullptr) return absl::UnavailableError("too many commands are running");
  const int32_t code = core_.Call("command", [&] {
    return core_.table().command(record_->instance, ToView(name), ToView(arguments),
                                 &PendingCommands::Done, done_context);
  });
  if (code == LRI_OK) return absl::OkStatus();
  if (!commands.Withdraw(done_context)) return absl::OkStatus();  // the result counts
  const std::string shown = EscapeForLog(name, 64);
  if (code == LRI_NOT_FOUND) return absl::NotFoundError(absl::StrCat("no command ", shown));
  if (code == LRI_UNIMPLEMENTED) {
    return absl::UnimplementedError(absl::StrCat("the plugin does not yet do ", shown));
  }
  return absl::Status(ToStatusCode(code), absl::StrCat("the plugin refused to do ", shown));
}

absl::StatusOr<std::unique_ptr<InstanceUpdate>> HostedInstance::PrepareUpdate(
    const InstanceSpec& spec) {
  if (spec.uid != record_->uid || spec.name != record_->name) {
    return absl::InvalidArgumentError("an update cannot change an instance's uid or name");
  }
  absl::MutexLock lock(&control_);
  if (update_pending_) return absl::FailedPreconditionError("another update is under way");
  const std::vector<lri_pair> parameters = ToAbi(spec.parameters);
  const lri_instance_options options = ToAbi(spec, parameters, record_->abi());
  lri_update* update = nullptr;
  ErrorText error;
  const int32_t code = core_.Call("update_prepare", [&] {
    return core_.table().update_prepare(record_->instance, &options, &update, error.abi());
  });
  if (code != LRI_OK) return error.ToStatus(code, "the plugin refuses this configuration");
  if (update == nullptr) return absl::InternalError("update_prepare returned OK and no update");
  update_pending_ = true;
  return std::unique_ptr<InstanceUpdate>(new InstanceUpdate(shared_from_this(), update));
}

void HostedInstance::EndUpdate(lri_update* update, bool commit) {
  absl::MutexLock lock(&control_);
  update_pending_ = false;
  if (commit) {
    core_.Call("update_commit", [&] { core_.table().update_commit(update); });
  } else {
    core_.Call("update_abort", [&] { core_.table().update_abort(update); });
  }
}

void InstanceUpdate::Commit() {
  if (update_ != nullptr) instance_->EndUpdate(std::exchange(update_, nullptr), /*commit=*/true);
}

InstanceUpdate::~InstanceUpdate() {
  if (update_ != nullptr) instance_->EndUpdate(update_, /*commit=*/false);
}

}  // namespace host_stub
