#include "plugin/runtime/instance.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "plugin/base/clock.h"
#include "plugin/base/counted.h"
#include "plugin/base/json_text.h"
#include "plugin/core/occurred.h"
#include "plugin/runtime/head_check.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {
namespace {

void Tell(lri_command_done done, void* done_context, absl::StatusCode code,
          absl::string_view text) {
  CallHost("done of command", done, done_context, static_cast<int32_t>(code), ToView(text));
}

bool SamePlace(const Configuration& one, const Configuration& other) {
  return one.listen_port == other.listen_port && one.bind_address == other.bind_address;
}

absl::Duration UntilTime(absl::Time deadline) {
  return std::max(deadline - absl::Now(), absl::ZeroDuration());
}

// "ok", or an object if there are warnings.
std::string TestAnswer(const std::vector<std::string>& warnings) {
  if (warnings.empty()) return "\"ok\"";
  return absl::StrCat(R"({"result":"ok","warnings":[)",
                      absl::StrJoin(warnings, ",", base::AppendJsonString), "]}");
}

// How long a host may take for a test.
constexpr absl::Duration kProbeTime = absl::Seconds(5);

// Tests that the host can create incidents by a dry run: everything but the writing. Tells the
// outcome exactly once. Shared by the host, which has the batch, and the timer.
class Probe : public std::enable_shared_from_this<Probe> {
 public:
  // `gate` was entered for the probe, which leaves it at its end. `answer` is that of a success.
  Probe(Plugin& plugin, base::Gate& gate, std::string answer, lri_command_done done,
        void* done_context)
      : plugin_(plugin),
        gate_(gate),
        answer_(std::move(answer)),
        done_(done),
        done_context_(done_context),
        occurred_(core::TriggerTimes().Format(plugin.host().Now())) {
    incident_.name = ToView("Test of the connection to the host");
    incident_.occurred = ToView(occurred_.text());
    incident_.details = {&details_, 1, sizeof(lri_view)};
    incident_.warnings = {nullptr, 0, sizeof(lri_view)};
    batch_.struct_size = sizeof batch_;
    batch_.dry_run = 1;
    batch_.incidents = {&incident_, 1, sizeof(lri_incident)};
    batch_.deadline_mono_ns = base::MonotonicNanoseconds() + absl::ToInt64Nanoseconds(kProbeTime);
    batch_.done = &Probe::Done;
  }

  ~Probe() {
    if (slot_.object != nullptr) plugin_.done_slots().GiveBack(slot_.index);
    gate_.Leave();
  }

  // Throws only before the host has the batch; then nothing is told.
  void Start(lri_host_instance* instance) {
    plugin_.timers().RunAfter(kProbeTime, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->Fail("the host did not answer within ", absl::FormatDuration(kProbeTime), LRI_OK);
    });
    slot_ = plugin_.done_slots().Take();
    if (slot_.object == nullptr) throw std::bad_alloc();
    held_ = shared_from_this();
    void* const done_context = batch_.done_context = slot_.object->Arm(this);
    const int32_t code = plugin_.host().CreateIncidents(instance, batch_);
    if (code == LRI_OK || DoneSlot::Take(done_context) == nullptr) return;
    Fail("the host takes no incidents: ", "", code);
    held_ = nullptr;
  }

 private:
  static void Done(void* done_context, const lri_create_result* result) noexcept {
    Probe* const probe = static_cast<Probe*>(DoneSlot::Take(done_context));
    if (probe == nullptr) return;  // a second time
    const std::shared_ptr<Probe> self = std::move(probe->held_);
    if (!Readable(result)) {
      self->TellOnce(absl::StatusCode::kUnavailable, "the host's result cannot be read");
    } else if (result->outcome == LRI_CREATED) {
      self->TellOnce(absl::StatusCode::kOk, self->answer_);
    } else {
      self->Fail("the host cannot create incidents: ", FromView(result->message), result->code);
    }
  }

  // `code` is named where there is no reason.
  void Fail(absl::string_view what, absl::string_view reason, int32_t code) {
    std::string text;
    try {
      std::string name = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
      if (code == LRI_OK || name.empty()) name = "an unexpected code";
      if (reason.empty()) reason = name;
      text = absl::StrCat(what, reason);
    } catch (const std::bad_alloc&) {
      // The answer of the test is the code alone.
    }
    TellOnce(absl::StatusCode::kUnavailable, text);
  }

  void TellOnce(absl::StatusCode code, absl::string_view text) {
    if (!told_.exchange(true)) Tell(done_, done_context_, code, text);
  }

  Plugin& plugin_;
  base::Gate& gate_;
  const std::string answer_;
  const lri_command_done done_;
  void* const done_context_;
  base::ObjectPool<DoneSlot>::Lease slot_{};
  const core::OccurredText occurred_;
  const lri_view details_ = ToView("{}");
  lri_incident incident_{};
  lri_incident_batch batch_{};
  std::atomic<bool> told_{false};
  std::shared_ptr<Probe> held_;  // while the host has the batch
};

}  // namespace

absl::StatusOr<std::unique_ptr<Instance>> Instance::Create(Plugin& plugin,
                                                           const lri_instance_options& options) {
  auto configuration = ReadConfiguration(options, plugin.limits(), plugin.host().Now());
  if (!configuration.ok()) return configuration.status();
  return std::unique_ptr<Instance>(
      new Instance(plugin, *std::move(configuration), options.host_instance));
}

Instance::Instance(Plugin& plugin, Configuration configuration, lri_host_instance* host_instance)
    : plugin_(plugin),
      host_instance_(host_instance),
      health_(plugin.host(), host_instance),
      admission_(plugin.wrong_credentials()),
      listen_handler_(*this, plugin.host(), host_instance, plugin.limits()),
      configuration_(std::make_shared<const Configuration>(std::move(configuration))),
      samples_(plugin.host(), host_instance, plugin.limits(), plugin.timers(),
               plugin.done_slots()) {
  commands_.Open();
}

Instance::~Instance() {
  commands_.Close();
  commands_.WaitUntilEmpty(absl::InfiniteFuture());
}

absl::Status Instance::Start() {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<const Configuration> configuration = this->configuration();
  if (serving_) {
    return absl::FailedPreconditionError(
        absl::StrCat("instance ", configuration->name, " serves already"));
  }
  if (!update_turn_.expired()) {
    return absl::FailedPreconditionError("an update of this instance is prepared");
  }
  if (configuration->listen_port != 0) {
    auto bound = Bind(*configuration);
    if (!bound.ok()) return bound.status();
    listener_ = *std::move(bound);
  }
  samples_.Start(configuration->store_samples);
  serving_ = true;
  calls_.Open();
  host_may_send_ = true;
  if (listener_ != nullptr) listener_->StartAccepting();
  BeginServing(*configuration);
  return absl::OkStatus();
}

absl::Status Instance::Stop(absl::Time deadline) {
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    serving_ = false;
    host_may_send_ = false;
    health_.End();
    listeners.swap(retired_);
    if (listener_ != nullptr) listeners.push_back(std::move(listener_));
  }
  for (const auto& listener : listeners) listener->BeginDrain(UntilTime(deadline));
  for (const auto& listener : listeners) listener->Drain(UntilTime(deadline));
  listeners.clear();
  calls_.Close();
  commands_.Close();
  // Without the lock: a thread that describes the instance may be one that its calls wait for.
  const bool empty = calls_.WaitUntilEmpty(deadline) && commands_.WaitUntilEmpty(deadline);
  // Those that ended just now are not waited for any more.
  const int64_t left = empty ? 0 : calls_.entered() + commands_.entered();
  const bool kept = left == 0 && samples_.Stop(deadline);
  commands_.Open();
  const std::lock_guard lock(mutex_);
  stopping_ = false;
  if (kept) return absl::OkStatus();
  if (left == 0) {
    return absl::DeadlineExceededError(absl::StrCat("instance ", configuration()->name,
                                                    " waits for the host to keep its samples"));
  }
  return absl::DeadlineExceededError(absl::StrCat("instance ", configuration()->name, " still has ",
                                                  base::Counted(left, "call", "calls"),
                                                  " in flight"));
}

absl::StatusOr<std::unique_ptr<InstanceUpdate>> Instance::PrepareUpdate(
    const lri_instance_options& options) {
  auto read = ReadConfiguration(options, plugin_.limits(), plugin_.host().Now());
  if (!read.ok()) return read.status();
  const std::lock_guard lock(mutex_);
  if (!update_turn_.expired()) {
    return absl::FailedPreconditionError("another update of this instance is prepared");
  }
  const std::shared_ptr<const Configuration> before = configuration();
  if (read->name != before->name) {
    return absl::InvalidArgumentError(absl::StrCat("the name of instance ", before->name,
                                                   " cannot change: senders have its URL"));
  }
  auto update = std::make_unique<InstanceUpdate>();
  update->instance = this;
  if (serving_ && read->listen_port != 0 && !SamePlace(*before, *read)) {
    auto bound = Bind(*read, /*is_update=*/true);
    if (!bound.ok()) return bound.status();
    update->listener = *std::move(bound);
  }
  update->configuration = std::make_shared<const Configuration>(*std::move(read));
  update->turn = std::make_shared<const char>();
  update_turn_ = update->turn;
  return update;
}

void Instance::Commit(InstanceUpdate& update) {
  const Configuration& next = *update.configuration;
  std::shared_ptr<Listener> before;  // where the port or address changes
  std::shared_ptr<Listener> after;
  {
    const std::lock_guard lock(mutex_);
    const bool same_place = SamePlace(*configuration(), next);
    {
      const std::lock_guard publish(configuration_mutex_);
      configuration_ = update.configuration;
    }
    if (!serving_) return;
    samples_.SetEnabled(next.store_samples);
    if (!same_place) {
      std::erase_if(retired_, [](const auto& one) { return one->drained(); });
      after = update.listener;
      before = std::exchange(listener_, after);
      if (before != nullptr) retired_.push_back(before);
      health_.SetListener(absl::OkStatus());
    } else if (listener_ != nullptr) {
      listener_->SetTls(next.tls);
      listener_->SetProxies(next.proxies);
    }
    // Who is not trusted any more must not go on through a port that is given up.
    if (next.listen_port != 0) {
      for (const auto& one : retired_) one->SetTls(next.tls);
    }
  }
  // Without the lock, which an I/O thread may want that Retire waits for. The new one accepts
  // first, so that a sender always finds one of them.
  if (after != nullptr) after->StartAccepting();
  if (before != nullptr) {
    before->Retire(absl::Milliseconds(plugin_.limits().body_timeout_ms +
                                      plugin_.limits().answer_timeout_ms +
                                      plugin_.limits().write_timeout_ms));
  }
  BeginServing(next);
}

absl::StatusOr<std::shared_ptr<Listener>> Instance::Bind(const Configuration& configuration,
                                                         bool is_update) {
  auto threads = plugin_.io_threads();
  if (!threads.ok()) return threads.status();
  if (absl::Status status = plugin_.timers().Start(); !status.ok()) return status;
  http::ServerOptions options;
  options.address = configuration.bind_address;
  options.port = configuration.listen_port;
  options.limits = plugin_.limits();
  options.proxies = configuration.proxies;
  options.tls = configuration.tls;
  options.bytes_in_flight = plugin_.bytes_in_flight();
  ListenerEnvironment environment{
      .threads = *threads,
      .handler = &listen_handler_,
      .timers = &plugin_.timers(),
      .ports = &plugin_.ports(),
      .instance = configuration.name,
      .report = [this](const absl::Status& status) { health_.SetListener(status); }};
  return is_update ? Listener::BindNext(std::move(options), std::move(environment), listener_.get())
                   : Listener::Bind(std::move(options), std::move(environment));
}

void Instance::BeginServing(const Configuration& configuration) {
  const absl::Time now = plugin_.host().Now();
  for (const std::string& warning : configuration.WarningsAt(now)) {
    plugin_.host().Log(host_instance_, LRI_WARNING, warning);
  }
  health_.Begin(configuration.FaultAt(now));
}

int32_t Instance::CheckHead(const lri_request_head& head, lri_answer_sink sink, void* sink_context,
                            lri_head_verdict& verdict) {
  if (!host_may_send_.load(std::memory_order_acquire)) return LRI_UNAVAILABLE;
  const Host& host = plugin_.host();
  const int64_t begun_ns = host.wants_answered(LRI_DOOR_EXECUTE) ? base::MonotonicNanoseconds() : 0;
  const auto give = [&](const lri_answer& answer) {
    if (begun_ns != 0) {
      ReportToHost(host, host_instance_, head, 0, answer, base::MonotonicNanoseconds() - begun_ns);
    }
    CallHost("sink of check_head", sink, sink_context, &answer);
  };
  return ValidateHead(LRI_DOOR_EXECUTE, head, give, verdict);
}

int32_t Instance::Execute(const lri_request& request) {
  if (!host_may_send_.load(std::memory_order_acquire)) return LRI_UNAVAILABLE;
  const auto complete = [](const Host& host, lri_call* call, const lri_answer& answer) {
    host.Complete(call, answer);
  };
  return Take(LRI_DOOR_EXECUTE, request, complete);
}

int32_t Instance::ValidateHead(lri_door door, const lri_request_head& head, AnswerSink sink,
                               lri_head_verdict& verdict) {
  if (!calls_.Enter()) return LRI_UNAVAILABLE;
  const absl::Cleanup leave = [this] { calls_.Leave(); };
  const std::shared_ptr<const Configuration> configuration = this->configuration();
  const HeaderViews headers = ToHeaderViews(head.headers);
  base::ObjectPool<SourceJudge>::Lease judge{};
  if (configuration->source != nullptr) {
    judge = plugin_.TakeJudge();
    if (judge.object == nullptr) return LRI_UNAVAILABLE;
  }
  const absl::Cleanup give_back = [&] { plugin_.GiveBack(judge); };
  const Checking checking{plugin_.host(), host_instance_, &admission_, judge.object, {}};
  const HeadRefusal refusal =
      runtime::CheckHead(head, headers, *configuration, plugin_.limits(), checking);
  verdict.refused = refusal != HeadRefusal::kNone;
  verdict.body_limit_bytes = static_cast<uint64_t>(BodyLimit(*configuration, plugin_.limits()));
  verdict.ticket = 0;
  if (refusal != HeadRefusal::kNone) {
    AnswerRefusal(refusal, head, *configuration, checking, sink);
  } else {
    verdict.ticket = door == LRI_DOOR_LISTEN
                         ? configuration->ticket
                         : plugin_.tickets().Issue(configuration->ticket, head, headers);
  }
  return LRI_OK;
}

int32_t Instance::Take(lri_door door, const lri_request& request, CompleteFunction complete) {
  if (!calls_.Enter()) return LRI_UNAVAILABLE;
  absl::Cleanup leave = [this] { calls_.Leave(); };
  const auto lease = plugin_.calls().Take([this] { return Call(plugin_.host()); });
  if (lease.object == nullptr) return LRI_UNAVAILABLE;
  std::move(leave).Cancel();
  std::shared_ptr<const Configuration> configuration = this->configuration();
  Samples* const samples = configuration->store_samples ? &samples_ : nullptr;
  Call::Run(lease,
            {&plugin_, std::move(configuration), host_instance_, &calls_, &admission_, door,
             complete, samples},
            request);
  return LRI_OK;
}

std::shared_ptr<const Configuration> Instance::configuration() const {
  const std::lock_guard lock(configuration_mutex_);
  return configuration_;
}

void Instance::LogRefusal(const http::Answered& answered) noexcept {
  if (const std::string line = refusals_.LineFor(answered, plugin_.host().Now()); !line.empty()) {
    plugin_.host().Log(host_instance_, LRI_WARNING, line);
  }
}

void Instance::Describe(lri_description_sink sink, void* sink_context) const {
  const std::shared_ptr<const Configuration> configuration = this->configuration();
  const std::vector<std::string> texts = configuration->WarningsAt(plugin_.host().Now());
  std::vector<lri_view> warnings;
  for (const std::string& warning : texts) warnings.push_back(ToView(warning));
  const core::Platform& platform = *configuration->platform;
  const std::vector<uint64_t> rule_counts = configuration->source_record->rule_counts();
  const auto by_hand = configuration->source == nullptr ? sources::Source::ByHand()
                                                        : configuration->source->by_hand();
  const absl::Time passwords_end = configuration->credentials.last_expiry();
  const lri_description description{
      .struct_size = sizeof(lri_description),
      .external_key_needed = platform.external_key_needed,
      .path_prefix = ToView(platform.path_prefix),
      .webhook_url = ToView(configuration->webhook_url),
      .listen_url = ToView(configuration->listen_url),
      .record_noun = ToView(platform.record),
      .warnings = {warnings.data(), warnings.size(), sizeof(lri_view)},
      .listen_succeeded = listen_handler_.answers().succeeded(),
      .listen_refused = listen_handler_.answers().refused(),
      .listen_failed = listen_handler_.answers().failed(),
      .rule_counts = rule_counts.data(),
      .rules = rule_counts.size(),
      .token_header = {ToView(by_hand.header), ToView(by_hand.prefix)},
      .token_parameter = ToView(by_hand.parameter),
      .is_signed = by_hand.is_signed,
      .certificate_end_s =
          configuration->tls == nullptr ? 0 : absl::ToUnixSeconds(configuration->tls->not_after()),
      .passwords_end_s =
          passwords_end == absl::InfiniteFuture() ? 0 : absl::ToUnixSeconds(passwords_end),
      .tls_handshakes = listen_handler_.answers().handshakes(),
      .events_dropped = configuration->source_record->dropped(),
  };
  CallHost("sink of describe", sink, sink_context, &description);
}

int32_t Instance::Command(absl::string_view name, absl::string_view arguments,
                          lri_command_done done, void* done_context) {
  if (name == "test") return Test(done, done_context);
  if (name == "try") return Try(arguments, done, done_context);
  return samples_.Command(name, arguments, done, done_context);
}

int32_t Instance::Try(absl::string_view arguments, lri_command_done done, void* done_context) {
  auto trial = Trial::Read(arguments, plugin_.limits(), plugin_.host().Now(), done, done_context);
  if (!trial.ok()) {
    Tell(done, done_context, trial.status().code(), trial.status().message());
    return LRI_OK;
  }
  if (!calls_.Enter()) return LRI_UNAVAILABLE;
  absl::Cleanup leave = [this] { calls_.Leave(); };
  const auto lease = plugin_.calls().Take([this] { return Call(plugin_.host()); });
  if (lease.object == nullptr) return LRI_UNAVAILABLE;
  std::move(leave).Cancel();
  const lri_request& request = (*trial)->request();
  Call::Run(lease,
            {&plugin_, configuration(), host_instance_, &calls_, &admission_, LRI_DOOR_EXECUTE,
             /*complete=*/nullptr, /*samples=*/nullptr, *std::move(trial)},
            request);
  return LRI_OK;
}

int32_t Instance::Test(lri_command_done done, void* done_context) {
  if (absl::Status status = plugin_.timers().Start(); !status.ok()) {
    return static_cast<int32_t>(status.code());
  }
  if (!commands_.Enter()) return LRI_UNAVAILABLE;
  absl::Cleanup leave = [this] { commands_.Leave(); };
  const std::shared_ptr<const Configuration> configuration = this->configuration();
  if (absl::Status status = CheckHere(*configuration); !status.ok()) {
    Tell(done, done_context, status.code(), status.message());
    return LRI_OK;
  }
  std::vector<std::string> warnings = configuration->WarningsAt(plugin_.host().Now());
  if (std::string warning = samples_.WarningOf(configuration->duplication_key); !warning.empty()) {
    warnings.push_back(std::move(warning));
  }
  const auto probe =
      std::make_shared<Probe>(plugin_, commands_, TestAnswer(warnings), done, done_context);
  std::move(leave).Cancel();
  probe->Start(host_instance_);
  return LRI_OK;
}

// All but the host. The configuration itself was checked when it was given.
absl::Status Instance::CheckHere(const Configuration& configuration) {
  const std::string fault = configuration.FaultAt(plugin_.host().Now());
  if (!fault.empty()) return absl::FailedPreconditionError(fault);
  if (configuration.listen_port == 0) return absl::OkStatus();
  // One after the other: two tests at a time must not find each other's port.
  const std::lock_guard lock(mutex_);
  if (stopping_) return absl::UnavailableError("the instance is just being stopped");
  if (listener_ != nullptr) return listener_->status();
  return Bind(configuration).status();
}

}  // namespace webhook::runtime
