#include "plugin/runtime/samples.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "plugin/base/counted.h"
#include "plugin/core/mapper.h"

namespace webhook::runtime {
namespace {

constexpr char kKey[] = "samples";
constexpr size_t kMostValueBytes = 8 * 1024 * 1024;  // the ABI's limit for a context's value
constexpr size_t kBytesOfOneRest = 1024 * 1024;
constexpr size_t kMostWaiting = 64;

bool IsRead(int32_t code) { return code == LRI_OK || code == LRI_NOT_FOUND; }

absl::StatusOr<std::string> Run(absl::string_view command, absl::string_view arguments,
                                std::span<const core::SharedSample> newest_first,
                                const Limits& limits) {
  const auto most_bytes = static_cast<size_t>(limits.command_result_bytes);
  if (command == "samples") return core::WriteSamples(newest_first, most_bytes);
  if (command == "fields") {
    return core::ListFields(newest_first, static_cast<size_t>(limits.sample_fields));
  }
  const auto mapper = core::Mapper::Parse(arguments, static_cast<size_t>(limits.mapper_targets));
  if (!mapper.ok()) return mapper.status();
  return mapper->Map(newest_first, most_bytes);
}

}  // namespace

Samples::Samples(const Host& host, lri_host_instance* host_instance, const Limits& limits,
                 TimerThread& tasks, base::ObjectPool<DoneSlot>& done_slots, SampleDelays delays)
    : host_(host),
      host_instance_(host_instance),
      limits_(limits),
      tasks_(tasks),
      done_slots_(done_slots),
      delays_(delays),
      samples_(static_cast<size_t>(limits.samples)),
      rest_(delays.write),
      retry_(delays.retry) {}

Samples::~Samples() { tasks_.Cancel(*this); }

void Samples::Start(bool enabled) {
  Lock lock(mutex_);
  started_ = true;
  enabled_ = enabled;
  last_write_tried_ = false;
  if (unsaved_) ScheduleWork(rest_);
  if (enabled_) Read(std::move(lock));
}

bool Samples::Stop(absl::Time deadline) {
  {
    Lock lock(mutex_);
    started_ = false;  // nothing is scheduled from now on
  }
  tasks_.Cancel(*this);
  Lock lock(mutex_);
  scheduled_ = false;
  if (!WaitForHost(lock, deadline)) return false;
  if (std::exchange(last_write_tried_, true)) return true;
  Write(std::move(lock));
  lock = Lock(mutex_);
  return WaitForHost(lock, deadline);
}

bool Samples::WaitForHost(Lock& lock, absl::Time deadline) {
  const absl::Duration left =
      std::clamp(deadline - absl::Now(), absl::ZeroDuration(), absl::Hours(24));
  return host_is_done_.wait_for(lock, absl::ToChronoNanoseconds(left),
                                [this] { return at_host_ == 0; });
}

void Samples::SetEnabled(bool enabled) {
  Lock lock(mutex_);
  enabled_ = enabled;
  ForgetIfDisabled();
  if (enabled_ && started_) Read(std::move(lock));
}

// Samples that must still be written are cleared after the write.
void Samples::ForgetIfDisabled() {
  if (enabled_ || (kept_ != Kept::kNever && (unsaved_ || writing_))) return;
  samples_.Clear();
  unsaved_ = false;
  if (kept_ == Kept::kRead) kept_ = Kept::kUnread;
}

void Samples::Record(std::vector<core::SharedSample>& newest_last) {
  Lock lock(mutex_);
  if (!enabled_ || newest_last.empty()) return;
  for (core::SharedSample& sample : newest_last) samples_.Add(std::move(sample));
  unsaved_ = true;
  if (kept_ == Kept::kRead && !writing_) ScheduleWork(rest_);
}

void Samples::ScheduleWork(absl::Duration delay) {
  // If the timer thread cannot, the next sample or the stop tries again.
  if (started_ && !scheduled_) scheduled_ = tasks_.Schedule(*this, delay);
}

absl::Duration Samples::NextRetry() {
  return std::exchange(retry_, std::min(2 * retry_, delays_.most_retry));
}

void Samples::RunTask() {
  Lock lock(mutex_);
  scheduled_ = false;
  if (kept_ == Kept::kUnread) {
    if (enabled_) Read(std::move(lock));
  } else {
    Write(std::move(lock));
  }
}

// ---- the host's context ------------------------------------------------------------------------

void Samples::Read(Lock lock) {
  if (kept_ != Kept::kUnread) return;
  kept_ = Kept::kReading;
  ++at_host_;
  try {
    reading_slot_ = done_slots_.Take();
  } catch (const std::bad_alloc&) {
    // HaveRead schedules another read.
  }
  lock.unlock();
  if (reading_slot_.object == nullptr) return HaveRead(LRI_RESOURCE_EXHAUSTED, {});
  void* const context = reading_slot_.object->Arm(this);
  const int32_t code = host_.ContextGet(
      host_instance_, kKey,
      [](void* context, int32_t code, lri_view value) {
        Samples* const self = static_cast<Samples*>(DoneSlot::Take(context));
        if (self != nullptr) self->HaveRead(code, FromView(value));
      },
      context);
  if (code != LRI_OK && DoneSlot::Take(context) != nullptr) HaveRead(code, {});
}

void Samples::HaveRead(int32_t code, absl::string_view value) {
  GiveBack(reading_slot_);
  std::vector<core::SharedSample> read;
  if (code == LRI_OK && !ReadValue(value, read)) code = LRI_RESOURCE_EXHAUSTED;
  Report(IsRead(code), "samples cannot be read", code);
  std::vector<Waiting> waiting;
  {
    Lock lock(mutex_);
    // Those that came meanwhile are newer.
    for (core::SharedSample& sample : read) samples_.AddOldest(std::move(sample));
    kept_ = IsRead(code) ? Kept::kRead : code == LRI_UNIMPLEMENTED ? Kept::kNever : Kept::kUnread;
    if (kept_ == Kept::kRead) {
      retry_ = delays_.retry;
      if (unsaved_) ScheduleWork(rest_);
    }
    ForgetIfDisabled();
    if (kept_ == Kept::kUnread && enabled_) ScheduleWork(NextRetry());
    waiting.swap(waiting_);
  }
  for (const Waiting& command : waiting) Answer(command);
  Leave(Lock(mutex_));
}

bool Samples::ReadValue(absl::string_view value, std::vector<core::SharedSample>& samples) {
  if (value.empty()) return true;
  try {
    auto read = core::ReadSamples(value);
    if (read.ok()) {
      samples = *std::move(read);
    } else {
      host_.Log(host_instance_, LRI_WARNING,
                absl::StrCat("the kept samples are lost: ", read.status().message()));
    }
    return true;
  } catch (const std::bad_alloc&) {
    return false;  // tried again later
  }
}

void Samples::Write(Lock lock) {
  if (kept_ != Kept::kRead || !unsaved_ || writing_) return;
  writing_ = true;
  unsaved_ = false;
  ++at_host_;
  int32_t code = LRI_RESOURCE_EXHAUSTED;
  void* context = nullptr;
  try {
    const std::vector<core::SharedSample> samples = samples_.newest_first();
    lock.unlock();
    const std::string value = core::WriteSamples(samples, kMostValueBytes);
    lock.lock();
    rest_ = delays_.write * (1 + value.size() / kBytesOfOneRest);
    lock.unlock();
    writing_slot_ = done_slots_.Take();
    if (writing_slot_.object == nullptr) throw std::bad_alloc();
    context = writing_slot_.object->Arm(this);
    code = host_.ContextSet(
        host_instance_, kKey, value,
        [](void* context, int32_t code, lri_view) {
          Samples* const self = static_cast<Samples*>(DoneSlot::Take(context));
          if (self != nullptr) self->HaveWritten(code);
        },
        context);
  } catch (const std::bad_alloc&) {
    if (lock.owns_lock()) lock.unlock();
  }
  if (code != LRI_OK && (context == nullptr || DoneSlot::Take(context) != nullptr)) {
    HaveWritten(code);
  }
}

void Samples::HaveWritten(int32_t code) {
  GiveBack(writing_slot_);
  Report(code == LRI_OK, "samples cannot be kept", code);
  Lock lock(mutex_);
  writing_ = false;
  if (code == LRI_OK) {
    retry_ = delays_.retry;
    if (unsaved_) ScheduleWork(rest_);
  } else if (code == LRI_UNIMPLEMENTED) {
    kept_ = Kept::kNever;
  } else {
    unsaved_ = true;
    ScheduleWork(NextRetry());
  }
  ForgetIfDisabled();
  Leave(std::move(lock));
}

// The last use of `this` for a read or a write: a waiting Stop returns after it.
void Samples::Leave(Lock) {
  --at_host_;
  host_is_done_.notify_all();
}

void Samples::GiveBack(base::ObjectPool<DoneSlot>::Lease& slot) {
  if (slot.object != nullptr) done_slots_.GiveBack(slot.index);
  slot = {};
}

// Logs once for a failure, however long it lasts. Allocates nothing: memory may be what failed.
void Samples::Report(bool succeeded, const char* failure, int32_t code) {
  if (succeeded) warned_ = false;
  if (succeeded || code == LRI_UNIMPLEMENTED || warned_.exchange(true)) return;
  char line[128];
  std::snprintf(line, sizeof line, "%s in the host's context (code %d); trying again", failure,
                code);
  host_.Log(host_instance_, LRI_WARNING, line);
}

// ---- commands ----------------------------------------------------------------------------------

std::string Samples::WarningOf(const core::DuplicationKey& key) {
  if (key.empty()) return "";
  std::vector<core::SharedSample> samples;
  {
    const Lock lock(mutex_);
    samples = samples_.newest_first();
  }
  std::erase_if(samples, [](const core::SharedSample& sample) { return sample->truncated; });
  core::DeliveryKeyFinder finder(base::JsonReader::kMostDepth,
                                 static_cast<size_t>(limits_.delivery_key_bytes));
  const bool has_key = std::any_of(
      samples.begin(), samples.end(),
      [&](const core::SharedSample& sample) { return finder.HasKey(key, sample->raw_json); });
  if (samples.empty() || has_key) return "";
  return absl::StrCat("duplication_key: none of the last ",
                      base::Counted(samples.size(), "sample", "samples"),
                      " has a value there, so an event that is sent again is created again");
}

int32_t Samples::Command(absl::string_view name, absl::string_view arguments, lri_command_done done,
                         void* done_context) {
  if (name != "samples" && name != "fields" && name != "map") return LRI_NOT_FOUND;
  Waiting command{std::string(name), std::string(arguments), done, done_context};
  {
    Lock lock(mutex_);
    if (enabled_ && kept_ == Kept::kReading) {
      if (waiting_.size() == kMostWaiting) return LRI_UNAVAILABLE;
      waiting_.push_back(std::move(command));
      return LRI_OK;
    }
  }
  Answer(command);
  return LRI_OK;
}

void Samples::Answer(const Waiting& command) {
  absl::StatusOr<std::string> result(absl::Status(absl::StatusCode::kResourceExhausted, ""));
  try {
    std::vector<core::SharedSample> samples;
    {
      Lock lock(mutex_);
      if (enabled_) samples = samples_.newest_first();
    }
    result = Run(command.name, command.arguments, samples, limits_);
  } catch (const std::bad_alloc&) {
    // The result is RESOURCE_EXHAUSTED.
  }
  const absl::string_view text = result.ok() ? *result : result.status().message();
  CallHost("done of command", command.done, command.done_context,
           static_cast<int32_t>(result.status().code()), ToView(text));
}

}  // namespace webhook::runtime
