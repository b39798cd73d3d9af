#include "plugin/runtime/host_check.h"

#include <atomic>
#include <ctime>
#include <exception>
#include <memory>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugin/base/clock.h"
#include "plugin/core/occurred.h"
#include "plugin/runtime/host.h"

namespace webhook::runtime {
namespace {

// Shared by the host, which has the batch, and the timer.
class Probe : public std::enable_shared_from_this<Probe> {
 public:
  Probe(absl::Time now, base::ObjectPool<DoneSlot>& slots,
        absl::AnyInvocable<void(const absl::Status&)> done, absl::AnyInvocable<void()> released)
      : slots_(slots),
        occurred_(core::TriggerTimes().Format(now)),
        done_(std::move(done)),
        released_(std::move(released)) {
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

  // Throws only before the host has the batch.
  void Start(const Host& host, lri_host_instance* instance, Timers& timers) {
    timers.RunAfter(kProbeTime, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->TellFailure("the host did not answer within ", absl::FormatDuration(kProbeTime));
    });
    slot_ = slots_.Take();
    if (slot_.object == nullptr) throw std::bad_alloc();
    held_ = shared_from_this();
    const auto self = held_;  // done may come before the return
    void* const done_context = batch_.done_context = slot_.object->Arm(this);
    const int32_t code = host.CreateIncidents(instance, batch_);
    if (code == LRI_OK || DoneSlot::Take(done_context) == nullptr) return;
    TellFailure("the host takes no incidents: ", CodeName(code));
    Release();
  }

 private:
  static const char* CodeName(int32_t code) {
    switch (code) {
      case LRI_INVALID_ARGUMENT:
        return "INVALID_ARGUMENT";
      case LRI_RESOURCE_EXHAUSTED:
        return "RESOURCE_EXHAUSTED";
      case LRI_DEADLINE_EXCEEDED:
        return "DEADLINE_EXCEEDED";
      case LRI_UNAVAILABLE:
        return "UNAVAILABLE";
      case LRI_INTERNAL:
        return "INTERNAL";
      default:
        return "an unexpected code";
    }
  }

  static void Done(void* done_context, const lri_create_result* result) noexcept {
    Probe* const self = static_cast<Probe*>(DoneSlot::Take(done_context));
    if (self == nullptr) return;  // a second time
    if (!Readable(result)) {
      self->TellFailure("the host's result cannot be read", "");
    } else if (result->outcome == LRI_CREATED) {
      self->Tell(absl::OkStatus());
    } else {
      const absl::string_view reason = FromView(result->message);
      self->TellFailure("the host cannot create incidents: ",
                        reason.empty() ? CodeName(result->code) : reason);
    }
    self->Release();
  }

  void TellFailure(absl::string_view what, absl::string_view why) {
    absl::Status status(absl::StatusCode::kUnavailable, "");  // takes no memory
    try {
      status = absl::UnavailableError(absl::StrCat(what, why));
    } catch (const std::bad_alloc&) {
      // The answer of the test is the code alone.
    }
    Tell(status);
  }

  void Tell(const absl::Status& status) {
    if (!told_.exchange(true)) std::exchange(done_, nullptr)(status);
  }

  // May end `this`.
  void Release() {
    slots_.GiveBack(slot_.index);
    auto released = std::move(released_);
    held_ = nullptr;
    released();
  }

  base::ObjectPool<DoneSlot>& slots_;
  base::ObjectPool<DoneSlot>::Lease slot_{};
  const core::OccurredText occurred_;
  const lri_view details_ = ToView("{}");
  lri_incident incident_{};
  lri_incident_batch batch_{};
  std::atomic<bool> told_{false};
  absl::AnyInvocable<void(const absl::Status&)> done_;
  absl::AnyInvocable<void()> released_;
  std::shared_ptr<Probe> held_;  // while the host has the batch
};

}  // namespace

void ProbeHost(const Host& host, lri_host_instance* instance, Timers& timers,
               base::ObjectPool<DoneSlot>& slots,
               absl::AnyInvocable<void(const absl::Status&)> done,
               absl::AnyInvocable<void()> released) {
  std::make_shared<Probe>(host.Now(), slots, std::move(done), std::move(released))
      ->Start(host, instance, timers);
}

}  // namespace webhook::runtime
