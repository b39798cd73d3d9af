#include "plugin/runtime/host_probe.h"

#include <atomic>
#include <ctime>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "plugin/core/occurred.h"

namespace webhook::runtime {
namespace {

// Shared by the host, which has the batch, and the timer.
class Probe : public std::enable_shared_from_this<Probe> {
 public:
  Probe(absl::Time now, absl::AnyInvocable<void(const absl::Status&)> done,
        absl::AnyInvocable<void()> released)
      : occurred_(core::FormatTrigger(now)),
        done_(std::move(done)),
        released_(std::move(released)) {
    incident_.name = ToView("Test of the connection to the host");
    incident_.occurred = ToView(occurred_.text());
    incident_.details = {&details_, 1, sizeof(lri_view)};
    incident_.warnings = {nullptr, 0, sizeof(lri_view)};
    timespec mono{};
    clock_gettime(CLOCK_MONOTONIC, &mono);
    batch_.struct_size = sizeof batch_;
    batch_.dry_run = 1;
    batch_.incidents = {&incident_, 1, sizeof(lri_incident)};
    batch_.deadline_mono_ns =
        absl::ToInt64Nanoseconds(absl::DurationFromTimespec(mono) + kProbeTime);
    batch_.done = &Probe::Done;
    batch_.done_context = this;
  }

  void Start(const Host& host, lri_host_instance* instance, Timers& timers) {
    timers.RunAfter(kProbeTime, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->Tell(absl::UnavailableError(
          absl::StrCat("the host did not answer within ", absl::FormatDuration(kProbeTime))));
    });
    held_ = shared_from_this();
    const auto self = held_;  // done may come before the return
    const int32_t code = host.CreateIncidents(instance, batch_);
    if (code == LRI_OK) return;
    Tell(
        absl::UnavailableError(absl::StrCat("the host takes no incidents (", CodeName(code), ")")));
    Release();
  }

 private:
  static std::string CodeName(int32_t code) {
    return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
  }

  static void Done(void* context, const lri_create_result* result) {
    Probe* const self = static_cast<Probe*>(context);
    if (result->outcome == LRI_CREATED) {
      self->Tell(absl::OkStatus());
    } else {
      const absl::string_view reason = FromView(result->message);
      self->Tell(absl::UnavailableError(absl::StrCat(
          "the host cannot create incidents: ", reason.empty() ? CodeName(result->code) : reason)));
    }
    self->Release();
  }

  void Tell(const absl::Status& status) {
    if (!told_.exchange(true)) std::exchange(done_, nullptr)(status);
  }

  // May end `this`.
  void Release() {
    auto released = std::move(released_);
    held_ = nullptr;
    released();
  }

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
               absl::AnyInvocable<void(const absl::Status&)> done,
               absl::AnyInvocable<void()> released) {
  std::make_shared<Probe>(host.Now(), std::move(done), std::move(released))
      ->Start(host, instance, timers);
}

}  // namespace webhook::runtime
